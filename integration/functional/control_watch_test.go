package functional

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestWatch has a program run for what happens.
func TestWatch(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		config := lab.WriteConfig(t, lab.SSHDoorThatCloses)
		d := lab.StartDaemonFile(t, s.Server, config)
		done := filepath.Join(t.TempDir(), "done")
		const hook = `read -r line; echo "$NFTKNOCK_KIND $NFTKNOCK_DOOR $NFTKNOCK_SOURCE $line" >>"$0"; exit 3`
		notify := lab.ListenNotify(t)
		cmd := lab.Command(context.Background(), t, lab.Nftknockd, "watch", "--socket", d.Socket, "--exec", "sh", "-c", hook, done)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
		w := s.Server.StartCmd(t, cmd)
		lab.Eventually(t, "somebody watches", func() bool { return lab.HasLine(lab.NextNotice(notify), "READY=1") })

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Source)
		d.Tell(t, "open", "ssh", s.Neighbour.String(), "--for", "1s")
		d.Tell(t, "reload")

		lab.ExpectWords(t, "watch", w.Out.String, "granted", "door ssh", s.Source.String(), "by knock", "until")
		lab.ExpectWords(t, "watch", w.Out.String, "revoked", "door ssh", s.Source.String(), "by knock")
		lab.ExpectWords(t, "watch", w.Out.String, "expired", "door ssh", s.Neighbour.String())
		lab.ExpectWords(t, "watch", w.Out.String, "reloaded")
		lab.ExpectWords(t, "watch", w.Out.String, "exit status 3", "expired", s.Neighbour.String())
		read := func() string { b, _ := os.ReadFile(done); return string(b) }
		lab.ExpectWords(t, "the program", read, "granted ssh "+s.Source.String(), `{"time":`, `"kind":"granted"`, `"by":"knock"`)
		lab.ExpectWords(t, "the program", read, "expired ssh "+s.Neighbour.String())
		for _, text := range []string{w.Out.String(), read()} {
			for _, knock := range lab.SSHSequence {
				if strings.Contains(text, " "+knock) {
					t.Errorf("it tells the sequence:\n%s", text)
				}
			}
		}
		d.Stop(os.Interrupt)
		lab.Eventually(t, "watch ends when the daemon has gone", w.Ended)
		if w.Cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("when the daemon has gone watch ends with %v", w.Cmd.ProcessState)
		}
	})
}
