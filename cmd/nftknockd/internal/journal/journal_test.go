package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/config"
)

// A stranger can cause any number of lines, and gets only so many.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logBuffer
		log := newLog(&out, config.Text)
		seen := 0
		written := func() string { // since the last time
			synctest.Wait()
			text := string(out.text())[seen:]
			seen += len(text)
			return text
		}
		for range 5 * logBurst {
			log.Info("scan", "source", "203.0.113.7")
		}
		log.Info("let in", "source", "203.0.113.8")
		text := written()
		if n := strings.Count(text, "msg=scan"); n != logBurst {
			t.Errorf("%d lines, want %d", n, logBurst)
		}
		if !strings.HasSuffix(text, "msg=\"let in\" source=203.0.113.8\n") {
			t.Error("one kind of line is left out because of another")
		}
		time.Sleep(logPause)
		want := fmt.Sprintf("level=WARN msg=\"lines left out, there were too many\" kind=scan count=%d\n", 4*logBurst)
		if text := written(); !strings.HasSuffix(text, want) {
			t.Errorf("then %q, want %q", text, want)
		}
		for range 5 * logBurst {
			log.Info("scan")
		}
		if n, want := strings.Count(written(), "msg=scan"), logRate*int(logPause.Seconds()); n != want {
			t.Errorf("%d lines after %v, want %d", n, logPause, want)
		}
		time.Sleep(logPause)
		written()
	})
}

// Under journald a line begins with its priority, and has no time of its own.
func TestLogToTheJournal(t *testing.T) {
	for _, format := range []config.LogFormat{config.Text, config.JSON} {
		t.Run(string(format), func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var stat unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
				t.Fatal(err)
			}
			t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
			log := newLog(f, format)
			log.Info("let in", "door", "ssh")
			log.With("a", 1).Warn("put right")
			log.Error("amiss")
			data, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			var priorities []string
			for line := range strings.Lines(string(data)) {
				priorities = append(priorities, line[:3])
				if strings.Contains(line, "time") {
					t.Errorf("it has a time: %s", line)
				}
				if format == config.JSON && !json.Valid([]byte(line[3:])) {
					t.Errorf("it is no JSON: %s", line)
				}
			}
			if got := strings.Join(priorities, ""); got != "<6><4><3>" {
				t.Errorf("priorities %s in\n%s", got, data)
			}
			t.Setenv("JOURNAL_STREAM", "1:2")
			if isJournal(f) || isJournal(new(bytes.Buffer)) {
				t.Error("takes something else for the journal")
			}
		})
	}
}

// The filter finds those whom the daemon has refused, and nobody else.
func TestFail2ban(t *testing.T) {
	program, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		t.Skip("fail2ban is not installed")
	}
	for _, format := range []config.LogFormat{config.Text, config.JSON} {
		t.Run(string(format), func(t *testing.T) {
			var out bytes.Buffer
			g := newGate(newLog(&out, format), stateDir(t.TempDir()), func(string) {})
			g.emit(control.Event{Kind: control.LetIn, Door: "ssh", Source: "198.51.100.1", By: control.ByKnock})
			g.emit(control.Event{Kind: control.Refused, Door: "ssh", Source: "203.0.113.7", Text: "scan source=198.51.100.2"})
			g.emit(control.Event{Kind: control.Scan, Source: "203.0.113.8"})
			g.emit(control.Event{Kind: control.Scan, Source: "2001:db8::7"})
			g.emit(control.Event{Kind: control.PutOut, Door: "scan", Source: "198.51.100.3", By: control.ByHand})
			g.log.Warn("msg=scan source=198.51.100.4")

			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := exec.Command(program, "--out", "ip", path, "../../../../systemd/fail2ban/nftknockd.conf").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, found)
			}
			if got, want := strings.Fields(string(found)), "[203.0.113.7 203.0.113.8 2001:db8::7]"; fmt.Sprint(got) != want {
				t.Errorf("it finds %v, want %v in\n%s", got, want, &out)
			}
		})
	}
}

// What is emitted becomes a line, whose kind is its message.
func TestEmit(t *testing.T) {
	var out bytes.Buffer
	g := newGate(slog.New(slog.NewTextHandler(&out, nil)), stateDir(t.TempDir()), func(string) {})
	for _, test := range []struct {
		event control.Event
		want  string
	}{
		{control.Event{Kind: control.LetIn, Door: "ssh", Source: "203.0.113.7", By: control.ByKnock},
			`msg="let in" door=ssh source=203.0.113.7 by=knock until=closed`},
		{control.Event{Kind: control.LetIn, Door: "ssh", Source: "203.0.113.7", By: control.ByHand, Until: time.Unix(0, 0).UTC()},
			`msg="let in" door=ssh source=203.0.113.7 by=hand until=1970-01-01T00:00:00Z`},
		{control.Event{Kind: control.Refused, Door: "ssh", Source: "203.0.113.7", Text: "a spent code"},
			`msg=refused door=ssh source=203.0.113.7 why="a spent code"`},
		{control.Event{Kind: control.Scan, Source: "2001:db8::7", Until: time.Unix(0, 0).UTC()},
			`msg=scan source=2001:db8::7 until=1970-01-01T00:00:00Z`},
		{control.Event{Kind: control.Reloaded, Doors: []string{"a", "b"}}, `msg=reloaded doors=2`},
	} {
		out.Reset()
		g.emit(test.event)
		if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), "level=INFO "); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}
