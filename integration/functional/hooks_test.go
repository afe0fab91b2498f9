package functional

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// linesOf returns the lines of a file that programs write to, in order.
func linesOf(file string) []string {
	text, _ := os.ReadFile(file)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	slices.Sort(lines)
	return lines
}

// TestHooks has the programs of a configuration run for what happens, the daemon being
// restarted, reloaded and stopped meanwhile.
func TestHooks(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		done := filepath.Join(t.TempDir(), "done")
		hook := func(name, rest string) string {
			const words = `"{event} {door} {source} {by} $NFTKNOCK_KIND $NFTKNOCK_HOOK {{source}}"`
			return fmt.Sprintf("\n[hook.%s]\nrun = [\"/bin/sh\", \"-c\", 'echo %s >>\"$0\"', %q]\n%s\n", name, words, done, rest)
		}
		config := lab.WriteConfig(t, lab.SSHDoorThatCloses+hook("all", `on = ["granted", "revoked", "expired"]`)+
			"[hook.fails]\ndoor = \"ssh\"\non = [\"revoked\"]\nrun = [\"/bin/sh\", \"-c\", \"echo about to fail; exit 3\"]\n"+
			"[hook.hangs]\non = [\"revoked\"]\nrun = [\"/bin/sleep\", \"1000\"]\ntimeout = 1\n")
		socket := lab.NewSocket(t)
		start := func() *lab.Daemon { return lab.StartDaemonAt(t, s.Server, config, socket) }
		d := start()
		state := t.TempDir()
		h := lab.StartHooks(t, d, state)

		expect := func(event, by, name string, who fmt.Stringer) {
			t.Helper()
			line := fmt.Sprintf("%s ssh %v %s %s %s {source}", event, who, by, event, name)
			lab.Eventually(t, line, func() bool { return slices.Contains(linesOf(done), line) })
		}
		s.Knock(t, s.Source, lab.SSHSequence...)
		expect("granted", "knock", "all", s.Source)
		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		expect("revoked", "knock", "all", s.Source)
		lab.ExpectWords(t, "hooks", h.Out.String, "about to fail")
		lab.ExpectWords(t, "hooks", h.Out.String, "level=ERROR", "hook=fails", "exit status 3", s.Source.String())
		lab.ExpectWords(t, "hooks", h.Out.String, "level=ERROR", "hook=hangs", "killed: it took longer than 1s")

		// What happens while it does not run is dealt with when it does.
		h.Stop(os.Kill)
		d.Tell(t, "open", "ssh", s.Neighbour.String(), "--for", "1s")
		s.WaitOut(t, "ssh", s.Neighbour)
		h = lab.StartHooks(t, d, state)
		expect("granted", "admin", "all", s.Neighbour)
		expect("expired", "", "all", s.Neighbour)

		// So is a grant that ends while the daemon does not run.
		d.Tell(t, "open", "ssh", s.Stranger.String(), "--for", "2s")
		expect("granted", "admin", "all", s.Stranger) // by then it is recorded, as a kill at once could prevent
		d.Stop(os.Kill)
		s.WaitOut(t, "ssh", s.Stranger)
		d = start()
		expect("expired", "", "all", s.Stranger)

		// Hooks are reloaded with the daemon; without any there is nothing to do.
		rewrite := func(text string) {
			t.Helper()
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			d.Tell(t, "reload")
		}
		rewrite(lab.SSHDoorThatCloses + hook("other", `door = "ssh"`))
		s.Knock(t, s.Source, lab.SSHSequence...)
		expect("granted", "knock", "other", s.Source)
		before := linesOf(done)
		rewrite(lab.SSHDoorThatCloses)
		lab.Eventually(t, "it ends", h.Ended)
		if !h.Cmd.ProcessState.Success() {
			t.Errorf("without a hook it ends with %v", h.Cmd.ProcessState)
		}
		// A process that is killed may have run a hook and not have said so: it runs it again.
		if lines := linesOf(done); len(slices.Compact(slices.Clone(lines))) != 7 || !slices.Equal(lines, before) {
			t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		lab.ExpectSecret(t, d, append(lab.SSHSequence, lab.SSHCloseSequence...))
		for _, secret := range lab.SSHSequence {
			if strings.Contains(h.Out.String(), secret) {
				t.Errorf("%s is in\n%s", secret, h.Out.String())
			}
		}
	})
}

// TestHooksBesideKnockd runs knockd itself and what import makes of its file at the same time:
// both hear the same knocks, and run the same.
func TestHooksBesideKnockd(t *testing.T) {
	const conf = `
[options]
	UseSyslog
[wake]
	sequence      = 5303,4871:udp,7519
	seq_timeout   = 10
	tcpflags      = syn
	command       = /bin/echo wake %%IP%% >> %[1]s
[vpn]
	sequence      = 6303,5871,8519
	seq_timeout   = 10
	tcpflags      = syn
	start_command = /bin/sh -c 'echo start "%%IP%%" >> %[1]s'
	cmd_timeout   = 2
	stop_command  = echo stop %%IP%% >> %[1]s && echo "stopped, {really}" >> %[1]s
[game]
	sequence      = 25565
	seq_timeout   = 1
	tcpflags      = syn
	command       = echo "%%IP%% plays" | tr a-z A-Z >> %[1]s
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 25565)
		dir := t.TempDir()
		theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
		file := lab.WriteConfig(t, fmt.Sprintf(conf, theirs))
		r := s.Server.Try(t, lab.Nftknockd, "import", lab.WriteConfig(t, fmt.Sprintf(conf, ours)))
		if r.Stdout == "" {
			t.Fatalf("import: %s", r.Stderr)
		}
		d := lab.StartDaemon(t, s.Server, r.Stdout)
		hooks := lab.StartHooks(t, d, t.TempDir())
		knockd := s.Server.Start(t, "knockd", "-v", "-i", "net1", "-c", file)
		lab.Eventually(t, "knockd listens", func() bool { return strings.Contains(knockd.Out.String(), "listening on") })

		s.RunKnock(t, "50", "5303", "4871:udp", "7519")
		s.RunKnock(t, "50", "6303", "5871", "8519")
		s.ExpectOpen(t, s.Source, "25565")
		const runs = 5
		for name, file := range map[string]string{"knockd": theirs, "nftknockd hooks": ours} {
			lab.Eventually(t, name+" has run everything", func() bool { return len(linesOf(file)) >= runs })
		}
		if !slices.Equal(linesOf(ours), linesOf(theirs)) {
			t.Errorf("knockd has run\n%s\nand nftknockd\n%s", strings.Join(linesOf(theirs), "\n"), strings.Join(linesOf(ours), "\n"))
		}
		if strings.Contains(hooks.Out.String(), "level=ERROR") {
			t.Errorf("hooks:\n%s", hooks.Out.String())
		}
	})
}
