package functional

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestClientSSH goes through a shut door with ssh, scp and rsync, which know of it only
// what is in ssh_config.
func TestClientSSH(t *testing.T) {
	configs := map[string]string{
		"ProxyCommand": "Host home\n ProxyCommand " + lab.Nftknock + " proxy home\n",
		"fdpass":       "Host home\n ProxyCommand " + lab.Nftknock + " proxy --fdpass home\n ProxyUseFdpass yes\n",
		"Match exec":   "Match host home exec \"" + lab.Nftknock + " home\"\n HostName @\n",
		"without a profile": "Host home\n ProxyCommand " + lab.Nftknock + " proxy @ 22 " +
			strings.Join(lab.SSHSequence, " ") + "\n",
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for name, config := range configs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
				u := newUser(t, s.Client, fmt.Sprintf(`
[host.home]
host = "%v"
wait = 22
sequence = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]
`, s.Addr))
				ssh := sshConfig(t, sshd, strings.ReplaceAll(config, "@", s.Addr.String()))
				s.ExpectShut(t, s.Source, "22", lab.Silent)
				// through runs something that has to knock for itself, and shuts the door again.
				through := func(name string, args ...string) string {
					t.Helper()
					out := u.run(t, name, args...)
					s.WaitIn(t, "ssh", s.Source)
					u.run(t, lab.Nftknock, "--close", "home")
					s.WaitOut(t, "ssh", s.Source)
					return out
				}
				here, there := filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "there")
				data := make([]byte, 3<<20+1)
				rand.Read(data)
				if err := os.WriteFile(here, data, 0o600); err != nil {
					t.Fatal(err)
				}
				expectCopy := func(file string) {
					t.Helper()
					if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
						t.Errorf("the copy has %d bytes, or others: %v", len(got), err)
					}
					os.Remove(file)
				}

				if got := through("ssh", "-F", ssh, "home", "cat", here); got != string(data) {
					t.Errorf("ssh has brought %d bytes, or others", len(got))
				}
				if f == lab.IPv6 || name == "without a profile" {
					return // the rest would be the same again
				}
				through("scp", "-q", "-F", ssh, here, "home:"+there)
				expectCopy(there)
				through("scp", "-q", "-F", ssh, "home:"+here, there)
				expectCopy(there)
				through("rsync", "-e", "ssh -F "+ssh, here, "home:"+there)
				expectCopy(there)
				through("rsync", "-e", "ssh -F "+ssh, "home:"+here, there)
				expectCopy(there)
			})
		}
	})
}

// sshConfig writes an ssh_config that begins with how to get to the host.
func sshConfig(t testing.TB, d *lab.SSHD, way string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssh_config")
	config := way + `
Host *
  User root
  IdentityFile ` + d.Key + `
  BatchMode yes
  IdentitiesOnly yes
  IdentityAgent none
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
