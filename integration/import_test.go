package integration

import (
	"strings"
	"testing"
)

// TestImport takes over from knockd: the tutorial's file and Debian's, as they
// stand, become doors that open and close as before, to the same client.
func TestImport(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, name := range []string{"tutorial", "debian"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				sshd := startSSHD(t, s.server, 22)
				r := s.server.try(t, program, "import", "../config/migrate/testdata/"+name+".conf")
				if r.exit() != 0 {
					t.Fatalf("exit %d\n%s", r.exit(), r.stderr)
				}
				for _, want := range []string{":2: UseSyslog: ", "warning: door ssh: sequence: this is the sequence of the tutorial"} {
					if !strings.Contains(r.stderr, want) {
						t.Errorf("%q is not in\n%s", want, r.stderr)
					}
				}

				d := startDaemon(t, s.server, r.stdout)
				s.expectShut(t, s.person, "22", silent)
				s.client.run(t, "knock", "-d", "50", s.addr.String(), "7000", "8000", "9000")
				if e := s.waitIn(t, "ssh", s.person); e.timeout != 0 {
					t.Errorf("let in for %v, and knockd would until it is closed", e.timeout)
				}
				s.expectLogin(t, sshd, s.person, 22)
				s.expectShut(t, s.neighbour, "22", silent)

				s.client.run(t, "knock", "-d", "50", s.addr.String(), "9000", "8000", "7000")
				s.waitOut(t, "ssh", s.person)
				s.expectShut(t, s.person, "22", silent)
				expectSecret(t, d, []string{"7000", "8000", "9000"})
			})
		}
	})
}

// TestImportTimed is knockd's start_command, cmd_timeout and stop_command, over UDP
// and with another firewall's command, beside a section that runs a program, which becomes
// a trigger, and one that cannot be carried over.
func TestImportTimed(t *testing.T) {
	const conf = `
[sshForAWhile]
	sequence      = 7214:udp,8391,6127:udp  # by hand
	start_command = ufw allow from %IP% to any port 22 proto tcp
	cmd_timeout   = 2 # seconds
	stop_command  = ufw delete allow from %IP% to any port 22 proto tcp
[wake]
	sequence      = 5303,4871,7519
	command       = /usr/bin/wakeonlan 00:11:22:33:44:55
[flush]
	sequence      = 5304,4872,7520
	command       = iptables -F
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		r := s.server.try(t, program, "import", writeConfig(t, conf))
		for _, want := range []string{":12: door flush: command: ", ": 2 doors, 1 hook, 1 line not as before\n"} {
			if r.exit() != 1 || !strings.Contains(r.stderr, want) {
				t.Fatalf("exit %d: %q is not in\n%s", r.exit(), want, r.stderr)
			}
		}
		startDaemon(t, s.server, r.stdout)
		s.client.run(t, "knock", "-d", "50", s.addr.String(), "5303", "4871", "7519")
		s.waitIn(t, "wake", s.person)
		s.expectShut(t, s.person, "22", silent)
		s.client.run(t, "knock", "-d", "50", s.addr.String(), "7214:udp", "8391", "6127:udp")
		session := s.logIn(t, sshd, s.person, 22)
		s.waitOut(t, "sshforawhile", s.person)
		s.expectShut(t, s.person, "22", silent)
		session.expectEcho(t, "still here")
	})
}
