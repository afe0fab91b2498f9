package knockd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRealKnockd reads files with knockd itself, which says in its debugging output what it
// makes of each line, and compares that.
func TestRealKnockd(t *testing.T) {
	program, err := exec.LookPath("knockd")
	if err != nil {
		t.Skip("knockd is not installed")
	}
	files, err := filepath.Glob("../migrate/testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no files:", err)
	}
	forms := filepath.Join(t.TempDir(), "forms.conf")
	var text strings.Builder
	for i, value := range []string{"10 # seconds", "  25", "+7", "12s", "60 ; a minute", "007"} {
		fmt.Fprintf(&text, "[a%[1]d]\n\tSEQUENCE = 70%[1]d1 , 80%[1]d2:UDP,90%[1]dx # a comment\n\ttimeout = %[2]s\n\tcmd_timeout=%[2]s\n\tCommand = echo a=b # c\n", i, value)
	}
	if err := os.WriteFile(forms, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, forms) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			// It ends when there is no such interface: what it said of the file is all there then.
			out, _ := exec.CommandContext(ctx, program, "-D", "-i", "no-such", "-c", file).CombinedOutput()
			compareWithKnockd(t, Parse(data), string(out))
		})
	}
}

var debugLine = regexp.MustCompile(`^config: (.+?): (sequence|seq_timeout|cmd_timeout|start_command|stop_command): (.*)$`)

func compareWithKnockd(t *testing.T, f *File, out string) {
	t.Helper()
	doors := f.Doors()
	section := -1 // of what knockd is at
	compared := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "config: new section: '"); ok {
			if name != Options+"'" {
				section++
			}
			continue
		}
		m := debugLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if section < 0 || section >= len(doors) || doors[section].Name != m[1] {
			t.Fatalf("knockd is at section %d, %q", section, m[1])
		}
		d, ok := doors[section].Get(m[2])
		if !ok {
			t.Errorf("%s: %s is not read", m[1], m[2])
			continue
		}
		got := d.Value
		switch m[2] {
		case "sequence":
			sequence, err := doors[section].Sequence()
			if err != nil {
				t.Errorf("%s: %v", m[1], err)
			}
			var knocks []string
			for _, p := range sequence {
				knocks = append(knocks, fmt.Sprintf("%d:%v", p.Number, p.Proto))
			}
			got = strings.Join(knocks, ",")
		case "seq_timeout", "cmd_timeout":
			n, err := Number(d.Value)
			if err != nil {
				continue // knockd's 0, which is told of elsewhere
			}
			got = strconv.FormatUint(n, 10)
		}
		if got != m[3] {
			t.Errorf("%s: %s is %q, and knockd has %q", m[1], m[2], got, m[3])
		}
		compared++
	}
	if compared == 0 {
		t.Errorf("knockd said nothing:\n%s", out)
	}
}
