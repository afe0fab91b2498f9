package life

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
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
		check         func(t *testing.T, s *lab.Topology, d *unit)
	}{
		{
			name:   "other ports",
			before: lab.SSHDoor,
			after:  strings.Replace(lab.SSHDoor, "[22]", "[25, 2222]", 1),
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectOpen(t, s.Neighbour, "22")
				s.ExpectShut(t, s.Neighbour, "25", lab.Silent)
				s.ExpectShut(t, s.Neighbour, "2222", lab.Silent)
				s.ExpectOpen(t, s.Source, "2222")
			},
		},
		{
			name:   "another sequence",
			before: lab.SSHDoor,
			after:  strings.Replace(lab.SSHDoor, "6127", "6128", 1),
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.Knock(t, s.Neighbour, lab.SSHSequence...)
				s.Knock(t, s.Stranger, "7214", "8391", "6128")
				s.WaitIn(t, "ssh", s.Stranger)
				s.ExpectOut(t, "ssh", s.Neighbour)
			},
		},
		{
			name:   "a closing sequence",
			before: lab.SSHDoor,
			after:  lab.SSHDoorThatCloses,
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.Knock(t, s.Source, lab.SSHCloseSequence...)
				s.WaitOut(t, "ssh", s.Source)
			},
		},
		{
			name:   "one more door",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + mailDoor,
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectShut(t, s.Source, "25", lab.Silent)
				s.Knock(t, s.Neighbour, mailSequence...)
				s.ExpectOpen(t, s.Neighbour, "25")
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
			},
		},
		{
			name:   "one more door in front of the same port",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + strings.Replace(mailDoor, "[25]", "[22]", 1),
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
				s.Knock(t, s.Neighbour, mailSequence...)
				s.ExpectOpen(t, s.Neighbour, "22")
				s.ExpectOpen(t, s.Source, "22")
			},
		},
		{
			name:   "one door less",
			before: lab.SSHDoor + mailDoor,
			after:  lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, d *unit) {
				s.ExpectOpen(t, s.Neighbour, "25")
				// Who was in through it is out when it is back.
				d.reload(t, lab.SSHDoor+mailDoor)
				s.ExpectOut(t, "mail", s.Neighbour)
				s.ExpectShut(t, s.Neighbour, "25", lab.Silent)
			},
		},
		{
			name:   "wider prefixes",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + "ipv4_prefix = 24\nipv6_prefix = 64\n",
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectOpen(t, s.Neighbour, "22")
				s.ExpectShut(t, s.Stranger, "22", lab.Silent)
			},
		},
		{
			name:   "another time",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + "open_timeout = \"1h\"\n",
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.Knock(t, s.Source, lab.SSHSequence...)
				lab.Eventually(t, "the person is in for an hour", func() bool {
					e, _ := s.Entry(t, "ssh", s.Source)
					return e.IsFor(time.Hour)
				})
			},
		},
		{
			name:   "no limit to the time",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + "open_timeout = \"forever\"\n",
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.Knock(t, s.Neighbour, lab.SSHSequence...)
				if e := s.WaitIn(t, "ssh", s.Neighbour); e.Timeout != 0 {
					t.Errorf("let in for %v, and it should be until closed", e.Timeout)
				}
			},
		},
		{
			name:   "another answer",
			before: lab.SSHDoor,
			after:  lab.SSHDoor + "shut = \"reject\"\n",
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectShut(t, s.Neighbour, "22", lab.Refused)
			},
		},
		{
			name:   "another group of the log",
			before: lab.SSHDoor,
			after:  "nflog_group = 77\n" + lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, d *unit) {
				s.Knock(t, s.Neighbour, lab.SSHSequence[:2]...)
				d.reload(t, lab.SSHDoor)
				s.Knock(t, s.Neighbour, lab.SSHSequence[2:]...)
				s.ExpectOpen(t, s.Neighbour, "22")
			},
		},
		{
			name:   "somebody who need not knock",
			before: lab.SSHDoor,
			after:  "always_allow = [\"10.1.7.0/24\", \"fd00:1:0:7::/64\"]\n" + lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, d *unit) {
				s.ExpectOpen(t, s.Stranger, "22")
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
				d.reload(t, lab.SSHDoor)
				s.ExpectShut(t, s.Stranger, "22", lab.Silent)
			},
		},
		{
			name:   "other interfaces",
			before: lab.SSHDoor,
			after:  "interfaces = [\"net2\"]\n" + lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, d *unit) {
				s.ExpectOpen(t, s.Neighbour, "22")
				d.reload(t, "interfaces = [\"net1\", \"net2\"]\n"+lab.SSHDoor)
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
				s.ExpectOpen(t, s.Source, "22")
			},
		},
		{
			name:   "what becomes of the table",
			before: lab.SSHDoor,
			after:  "on_stop = \"remove\"\n" + lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, d *unit) {
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
				d.Stop(syscall.SIGTERM)
				s.ExpectOpen(t, s.Neighbour, "22")
			},
		},
		{
			name:   "nothing",
			before: lab.SSHDoor,
			after:  lab.SSHDoor,
			check: func(t *testing.T, s *lab.Topology, _ *unit) {
				s.ExpectOpen(t, s.Source, "22")
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
			},
		},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			way := lifeWays[i%len(lifeWays)]
			s := lab.NewTopology(t, way.family)
			d := reloadWhileIn(t, s, fmt.Sprintf("own_table = %q\n", way.own), test.before, test.after)
			test.check(t, s, d)
		})
	}
}

// reloadWhileIn lets the person in, reloads, and makes sure that they still are.
// The prelude begins both configurations.
func reloadWhileIn(t *testing.T, s *lab.Topology, prelude, before, after string) *unit {
	t.Helper()
	for _, port := range []uint16{22, 25, 2222} {
		s.Server.ListenTCP(t, port)
	}
	d := startReady(t, s.Server, lab.WriteConfig(t, prelude+before))
	d.prelude = prelude
	s.Knock(t, s.Source, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Source)

	then := takeSnapshot(t, s)
	d.reload(t, after)
	lab.ExpectLine(t, d.Daemon, "msg=reloaded")
	expectStill(t, s, then, s.Source)
	return d
}

// expectStill makes sure that the door ssh still lets somebody in, for the time
// that they had.
func expectStill(t *testing.T, s *lab.Topology, before snapshot, who netip.Addr) {
	t.Helper()
	after := takeSnapshot(t, s)
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
