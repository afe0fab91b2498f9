package functional

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nftknock/integration/lab"
)

// parallelDoor has the closing sequence that is most easily spelt by people who knock
// together, and takes as many packets as they send.
const parallelDoor = "limits.per_source = 10000\n" + lab.SSHDoorThatCloses + longer

// TestParallel has clients of one source knock at once, each of which knows nothing of the
// others: every one of them is let in, and nobody is put out.
func TestParallel(t *testing.T) {
	const rounds = 5
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, clients := range []int{3, 8} {
			t.Run(fmt.Sprint(clients), func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				d := lab.StartDaemon(t, s.Server, parallelDoor)
				var users []*user
				for range clients {
					users = append(users, newUser(t, s.Client, ""))
				}
				granted := func() int { return strings.Count(d.Log(), "msg=granted") }
				for round := range rounds {
					var all sync.WaitGroup
					for i, u := range users {
						delay := fmt.Sprint(1 + 5*(i+round)%40) // in milliseconds
						all.Go(func() {
							args := slices.Concat([]string{lab.Nftknock, "-d", delay, s.Addr.String()}, lab.SSHSequence)
							if r := s.Client.Try(t, u.env[0], u.with(args[0], args[1:]...)...); r.Err != nil {
								t.Errorf("%v: %s", r.Err, r.Stderr)
							}
						})
					}
					all.Wait()
					lab.Eventually(t, "everybody has been let in", func() bool { return granted() == (round+1)*clients })
				}
				if strings.Contains(d.Log(), "msg=revoked") {
					t.Error("somebody has been put out")
				}
				s.ExpectOpen(t, s.Source, "22")
				t.Logf("%d of %d", granted(), rounds*clients)
			})
		}
	})
}

// TestParallelPrograms has what opens several connections do so through the shut door: logins
// as of Ansible's forks, and copies, all at once.
func TestParallelPrograms(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		d := lab.StartDaemon(t, s.Server, parallelDoor)
		ssh := sshConfig(t, sshd, "Host home\n ProxyCommand "+lab.Nftknock+" proxy --force home\n")
		here, dir := filepath.Join(t.TempDir(), "here"), t.TempDir()
		data := make([]byte, 1<<20+1)
		rand.Read(data)
		if err := os.WriteFile(here, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var copies []string
		there := func() string {
			copies = append(copies, filepath.Join(dir, fmt.Sprint(len(copies))))
			return "home:" + copies[len(copies)-1]
		}
		runs := [][]string{
			{"ssh", "-F", ssh, "home", "true"},
			{"ssh", "-F", ssh, "home", "true"},
			{"ssh", "-F", ssh, "home", "true"},
			{"ssh", "-F", ssh, "home", "true"},
			{"scp", "-q", "-F", ssh, here, there()},
			{"scp", "-q", "-F", ssh, here, there()},
			{"rsync", "-e", "ssh -F " + ssh, here, there()},
			{"rsync", "-e", "ssh -F " + ssh, here, there()},
		}
		var all sync.WaitGroup
		for _, run := range runs {
			u := newUser(t, s.Client, home(s))
			all.Go(func() {
				if r := s.Client.Try(t, u.env[0], u.with(run[0], run[1:]...)...); r.Err != nil {
					t.Errorf("%s: %v\n%s", run[0], r.Err, r.Stderr)
				}
			})
		}
		all.Wait()
		for _, file := range copies {
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
				t.Errorf("a copy has %d bytes, or others: %v", len(got), err)
			}
		}
		if n := strings.Count(d.Log(), "msg=granted"); n != len(runs) {
			t.Errorf("%d of %d knocks have opened", n, len(runs))
		}
	})
}
