package functional

import (
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestImport takes over from knockd: the tutorial's file and Debian's, as they
// stand, become doors that open and close as before, to the same client.
func TestImport(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, name := range []string{"tutorial", "debian"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				r := s.Server.Try(t, lab.Nftknockd, "import", "../../config/migrate/testdata/"+name+".conf")
				if r.Exit() != 0 {
					t.Fatalf("exit %d\n%s", r.Exit(), r.Stderr)
				}
				for _, want := range []string{":2: UseSyslog: ", "warning: door ssh: sequence: this is the sequence of the tutorial"} {
					if !strings.Contains(r.Stderr, want) {
						t.Errorf("%q is not in\n%s", want, r.Stderr)
					}
				}

				d := lab.StartDaemon(t, s.Server, r.Stdout)
				s.ExpectShut(t, s.Source, "22", lab.Silent)
				s.RunKnock(t, "50", "7000", "8000", "9000")
				if e := s.WaitIn(t, "ssh", s.Source); e.Timeout != 0 {
					t.Errorf("let in for %v, and knockd would until it is closed", e.Timeout)
				}
				s.ExpectLogin(t, sshd, s.Source, 22)
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)

				s.RunKnock(t, "50", "9000", "8000", "7000")
				s.WaitOut(t, "ssh", s.Source)
				s.ExpectShut(t, s.Source, "22", lab.Silent)
				lab.ExpectSecret(t, d, []string{"7000", "8000", "9000"})
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
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		r := s.Server.Try(t, lab.Nftknockd, "import", lab.WriteConfig(t, conf))
		for _, want := range []string{":12: door flush: command: ", ": 2 doors, 1 hook, 1 line not as before\n"} {
			if r.Exit() != 1 || !strings.Contains(r.Stderr, want) {
				t.Fatalf("exit %d: %q is not in\n%s", r.Exit(), want, r.Stderr)
			}
		}
		lab.StartDaemon(t, s.Server, r.Stdout)
		s.RunKnock(t, "50", "5303", "4871", "7519")
		s.WaitIn(t, "wake", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.RunKnock(t, "50", "7214:udp", "8391", "6127:udp")
		session := s.LogIn(t, sshd, s.Source, 22)
		s.WaitOut(t, "sshforawhile", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		session.ExpectEcho(t, "still here")
	})
}
