package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/config"
)

// A stranger can cause any number of lines, and gets only so many.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		log := New(&out, config.Text)
		seen := 0
		written := func() string { // since the last time
			synctest.Wait()
			text := out.String()[seen:]
			seen += len(text)
			return text
		}
		for range 5 * logBurst {
			log.Info("scan", "source", "203.0.113.7")
		}
		log.Info("granted", "source", "203.0.113.8")
		text := written()
		if n := strings.Count(text, "msg=scan"); n != logBurst {
			t.Errorf("%d lines, want %d", n, logBurst)
		}
		if !strings.HasSuffix(text, "msg=granted source=203.0.113.8\n") {
			t.Error("one kind of line is left out because of another")
		}
		time.Sleep(logPause)
		want := fmt.Sprintf("level=WARN msg=\"log lines dropped: too many of one kind\" kind=scan count=%d\n", 4*logBurst)
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
			log := New(f, format)
			log.Info("granted", "door", "ssh")
			log.With("a", 1).Warn("recovered")
			log.Error("degraded")
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

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
