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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		config := writeConfig(t, sshDoorThatCloses)
		d := startDaemonFile(t, s.server, config)
		done := filepath.Join(t.TempDir(), "done")
		const hook = `read -r line; echo "$NFTKNOCK_KIND $NFTKNOCK_DOOR $NFTKNOCK_SOURCE $line" >>"$0"; exit 3`
		notify := listenNotify(t)
		cmd := command(context.Background(), t, program, "watch", "--socket", d.socket, "--exec", "sh", "-c", hook, done)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
		w := s.server.startCmd(t, cmd)
		eventually(t, "somebody watches", func() bool { return hasLine(nextNotice(notify), "READY=1") })

		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)
		s.knock(t, s.person, sshCloseSequence...)
		s.waitOut(t, "ssh", s.person)
		d.tell(t, "open", "ssh", s.neighbour.String(), "--for", "1s")
		d.tell(t, "reload")

		expectWords(t, "watch", w.out.String, "granted", "door ssh", s.person.String(), "by knock", "until")
		expectWords(t, "watch", w.out.String, "revoked", "door ssh", s.person.String(), "by knock")
		expectWords(t, "watch", w.out.String, "expired", "door ssh", s.neighbour.String())
		expectWords(t, "watch", w.out.String, "reloaded")
		expectWords(t, "watch", w.out.String, "exit status 3", "expired", s.neighbour.String())
		read := func() string { b, _ := os.ReadFile(done); return string(b) }
		expectWords(t, "the program", read, "granted ssh "+s.person.String(), `{"time":`, `"kind":"granted"`, `"by":"knock"`)
		expectWords(t, "the program", read, "expired ssh "+s.neighbour.String())
		for _, text := range []string{w.out.String(), read()} {
			for _, knock := range sshSequence {
				if strings.Contains(text, " "+knock) {
					t.Errorf("it tells the sequence:\n%s", text)
				}
			}
		}
		d.stop(os.Interrupt)
		eventually(t, "watch ends when the daemon has gone", w.ended)
		if w.cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("when the daemon has gone watch ends with %v", w.cmd.ProcessState)
		}
	})
}

// expectWords waits until one line of a text has all of the words.
func expectWords(t testing.TB, what string, text func() string, words ...string) {
	t.Helper()
	eventually(t, what+" has a line with "+strings.Join(words, " and "), func() bool {
	lines:
		for line := range strings.Lines(text()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}
