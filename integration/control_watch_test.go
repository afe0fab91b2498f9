package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWatch has a program run for what happens.
func TestWatch(t *testing.T) {
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		config := WriteConfig(t, SSHDoorThatCloses)
		d := StartDaemonFile(t, s.Server, config)
		done := filepath.Join(t.TempDir(), "done")
		const hook = `read -r line; echo "$NFTKNOCK_KIND $NFTKNOCK_DOOR $NFTKNOCK_SOURCE $line" >>"$0"; exit 3`
		notify := ListenNotify(t)
		cmd := Command(context.Background(), t, Nftknockd, "watch", "--socket", d.Socket, "--exec", "sh", "-c", hook, done)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
		w := s.Server.StartCmd(t, cmd)
		Eventually(t, "somebody watches", func() bool { return HasLine(NextNotice(notify), "READY=1") })

		s.Knock(t, s.Person, SSHSequence...)
		s.WaitIn(t, "ssh", s.Person)
		s.Knock(t, s.Person, SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Person)
		d.Tell(t, "open", "ssh", s.Neighbour.String(), "--for", "1s")
		d.Tell(t, "reload")

		ExpectWords(t, "watch", w.Out.String, "let in", "door ssh", s.Person.String(), "by knock", "until")
		ExpectWords(t, "watch", w.Out.String, "put out", "door ssh", s.Person.String(), "by knock")
		ExpectWords(t, "watch", w.Out.String, "expired", "door ssh", s.Neighbour.String())
		ExpectWords(t, "watch", w.Out.String, "reloaded")
		ExpectWords(t, "watch", w.Out.String, "exit status 3", "expired", s.Neighbour.String())
		read := func() string { b, _ := os.ReadFile(done); return string(b) }
		ExpectWords(t, "the program", read, "let_in ssh "+s.Person.String(), `{"time":`, `"kind":"let_in"`, `"by":"knock"`)
		ExpectWords(t, "the program", read, "expired ssh "+s.Neighbour.String())
		for _, text := range []string{w.Out.String(), read()} {
			for _, knock := range SSHSequence {
				if strings.Contains(text, " "+knock) {
					t.Errorf("it tells the sequence:\n%s", text)
				}
			}
		}
		d.Stop(os.Interrupt)
		Eventually(t, "watch ends when the daemon has gone", w.Ended)
		if w.Cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("when the daemon has gone watch ends with %v", w.Cmd.ProcessState)
		}
	})
}
