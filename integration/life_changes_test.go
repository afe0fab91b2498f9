package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mailDoor = `
[door.mail]
ports    = [25]
sequence = [5303, 4871, 7519]
`

var mailSequence = []string{"5303", "4871", "7519"}

// TestReloadChanges reloads with each kind of change, while a person is in
// through the door ssh.
func TestReloadChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after string
		check         func(t *testing.T, s *site, d *unit)
	}{
		{
			name:   "other ports",
			before: sshDoor,
			after:  strings.Replace(sshDoor, "[22]", "[25, 2222]", 1),
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectOpen(t, s.neighbour, "22")
				s.expectShut(t, s.neighbour, "25", silent)
				s.expectShut(t, s.neighbour, "2222", silent)
				s.expectOpen(t, s.person, "2222")
			},
		},
		{
			name:   "another sequence",
			before: sshDoor,
			after:  strings.Replace(sshDoor, "6127", "6128", 1),
			check: func(t *testing.T, s *site, _ *unit) {
				s.knock(t, s.neighbour, sshSequence...)
				s.knock(t, s.stranger, "7214", "8391", "6128")
				s.waitIn(t, "ssh", s.stranger)
				s.expectOut(t, "ssh", s.neighbour)
			},
		},
		{
			name:   "a closing sequence",
			before: sshDoor,
			after:  sshDoorThatCloses,
			check: func(t *testing.T, s *site, _ *unit) {
				s.knock(t, s.person, sshCloseSequence...)
				s.waitOut(t, "ssh", s.person)
			},
		},
		{
			name:   "one more door",
			before: sshDoor,
			after:  sshDoor + mailDoor,
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectShut(t, s.person, "25", silent)
				s.knock(t, s.neighbour, mailSequence...)
				s.expectOpen(t, s.neighbour, "25")
				s.expectShut(t, s.neighbour, "22", silent)
			},
		},
		{
			name:   "one more door in front of the same port",
			before: sshDoor,
			after:  sshDoor + strings.Replace(mailDoor, "[25]", "[22]", 1),
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectShut(t, s.neighbour, "22", silent)
				s.knock(t, s.neighbour, mailSequence...)
				s.expectOpen(t, s.neighbour, "22")
				s.expectOpen(t, s.person, "22")
			},
		},
		{
			name:   "one door less",
			before: sshDoor + mailDoor,
			after:  sshDoor,
			check: func(t *testing.T, s *site, d *unit) {
				s.expectOpen(t, s.neighbour, "25")
				// Who was in through it is out when it is back.
				d.reload(t, sshDoor+mailDoor)
				s.expectOut(t, "mail", s.neighbour)
				s.expectShut(t, s.neighbour, "25", silent)
			},
		},
		{
			name:   "wider prefixes",
			before: sshDoor,
			after:  sshDoor + "ipv4_prefix = 24\nipv6_prefix = 64\n",
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectOpen(t, s.neighbour, "22")
				s.expectShut(t, s.stranger, "22", silent)
			},
		},
		{
			name:   "another time",
			before: sshDoor,
			after:  sshDoor + "open_timeout = \"1h\"\n",
			check: func(t *testing.T, s *site, _ *unit) {
				s.knock(t, s.person, sshSequence...)
				eventually(t, "the person is in for an hour", func() bool {
					e, _ := s.entry(t, "ssh", s.person)
					return e.timeout == time.Hour
				})
			},
		},
		{
			name:   "no limit to the time",
			before: sshDoor,
			after:  sshDoor + "open_timeout = \"forever\"\n",
			check: func(t *testing.T, s *site, _ *unit) {
				s.knock(t, s.neighbour, sshSequence...)
				if e := s.waitIn(t, "ssh", s.neighbour); e.timeout != 0 {
					t.Errorf("let in for %v, and it should be until closed", e.timeout)
				}
			},
		},
		{
			name:   "another answer",
			before: sshDoor,
			after:  sshDoor + "shut = \"reject\"\n",
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectShut(t, s.neighbour, "22", refused)
			},
		},
		{
			name:   "another group of the log",
			before: sshDoor,
			after:  "nflog_group = 77\n" + sshDoor,
			check: func(t *testing.T, s *site, d *unit) {
				s.knock(t, s.neighbour, sshSequence[:2]...)
				d.reload(t, sshDoor)
				s.knock(t, s.neighbour, sshSequence[2:]...)
				s.expectOpen(t, s.neighbour, "22")
			},
		},
		{
			name:   "somebody who need not knock",
			before: sshDoor,
			after:  "always_allow = [\"10.1.7.0/24\", \"fd00:1:0:7::/64\"]\n" + sshDoor,
			check: func(t *testing.T, s *site, d *unit) {
				s.expectOpen(t, s.stranger, "22")
				s.expectShut(t, s.neighbour, "22", silent)
				d.reload(t, sshDoor)
				s.expectShut(t, s.stranger, "22", silent)
			},
		},
		{
			name:   "other interfaces",
			before: sshDoor,
			after:  "interfaces = [\"net2\"]\n" + sshDoor,
			check: func(t *testing.T, s *site, d *unit) {
				s.expectOpen(t, s.neighbour, "22")
				d.reload(t, "interfaces = [\"net1\", \"net2\"]\n"+sshDoor)
				s.expectShut(t, s.neighbour, "22", silent)
				s.expectOpen(t, s.person, "22")
			},
		},
		{
			name:   "what becomes of the table",
			before: sshDoor,
			after:  "on_stop = \"remove\"\n" + sshDoor,
			check: func(t *testing.T, s *site, d *unit) {
				s.expectShut(t, s.neighbour, "22", silent)
				d.stop(syscall.SIGTERM)
				s.expectOpen(t, s.neighbour, "22")
			},
		},
		{
			name:   "nothing",
			before: sshDoor,
			after:  sshDoor,
			check: func(t *testing.T, s *site, _ *unit) {
				s.expectOpen(t, s.person, "22")
				s.expectShut(t, s.neighbour, "22", silent)
			},
		},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			way := lifeWays[i%len(lifeWays)]
			s := newSite(t, way.family)
			d := s.reloadWhileIn(t, fmt.Sprintf("own_table = %q\n", way.own), test.before, test.after)
			test.check(t, s, d)
		})
	}
}

// reloadWhileIn lets the person in, reloads, and makes sure that they still are.
// The prelude begins both configurations.
func (s *site) reloadWhileIn(t *testing.T, prelude, before, after string) *unit {
	t.Helper()
	for _, port := range []uint16{22, 25, 2222} {
		s.server.listenTCP(t, port)
	}
	d := startReady(t, s.server, writeConfig(t, prelude+before))
	d.prelude = prelude
	s.knock(t, s.person, sshSequence...)
	s.waitIn(t, "ssh", s.person)

	then := s.register(t)
	d.reload(t, after)
	expectLine(t, d.daemon, "msg=reloaded")
	s.expectStill(t, then, s.person)
	return d
}

// expectStill makes sure that the door ssh still lets somebody in, for the time
// that they had.
func (s *site) expectStill(t *testing.T, before register, who netip.Addr) {
	t.Helper()
	after := s.register(t)
	was, in := before.left("ssh", who)
	if !in {
		t.Fatalf("%v was not in before", who)
	}
	is, in := after.left("ssh", who)
	if !in {
		t.Fatalf("%v is not in any more", who)
	}
	if change := after.changeSince(before, was, is); change.less > sameTime || change.more > sameTime {
		t.Errorf("%v had %v left, and %v later %v", who, was, after.begun.Sub(before.done), is)
	}
}
