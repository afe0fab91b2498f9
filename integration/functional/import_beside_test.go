package functional

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nftknock/config/knockd"
	"nftknock/integration/lab"
)

var (
	commandLine = regexp.MustCompile(`(?mi)^(\s*(?:start_|stop_)?command\s*=).*$`)
	timeoutLine = regexp.MustCompile(`(?mi)^(\s*cmd_timeout\s*=).*$`)
	onceLine    = regexp.MustCompile(`(?mi)^(\s*one_time_sequences\s*=).*$`)
	otherLines  = regexp.MustCompile(`(?mi)^\s*(?:interfaces?|tcp_flags)\s*=.*$`) // of another host, and what knockd does not know
)

// TestImportBesideKnockd runs knockd itself and what import makes of its file at the same time, for
// each of the files that import is tested with. A section that knockd opens makes an event here,
// unless import has said that it was lost.
func TestImportBesideKnockd(t *testing.T) {
	files, err := filepath.Glob("../../config/migrate/testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no files:", err)
	}
	t.Parallel()
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := lab.NewTopology(t, lab.IPv4)
			r := s.Server.Try(t, lab.Nftknockd, "import", file)
			d := lab.StartDaemon(t, s.Server, otherLines.ReplaceAllString(r.Stdout, "")+lab.NoDecoys) // this host has net1
			once := lab.WriteConfig(t, "4001,4002,4003\n")
			harmless := otherLines.ReplaceAll(commandLine.ReplaceAll(data, []byte("$1 true")), nil)
			harmless = onceLine.ReplaceAll(harmless, []byte("$1 "+once))
			harmless = timeoutLine.ReplaceAll(harmless, []byte("$1 1")) // for which a process of knockd's waits that nobody ends
			theirs := s.Server.Start(t, "knockd", "-v", "-i", "net1", "-c", lab.WriteConfig(t, string(harmless)))
			lab.Eventually(t, "knockd listens", func() bool { return strings.Contains(theirs.Out.String(), "listening on") })

			opened := 0
			for _, section := range knockd.Parse(data).Doors() {
				sequence, err := section.Sequence()
				if err != nil || len(sequence) == 0 {
					continue
				}
				var knocks []string
				for _, p := range sequence {
					knocks = append(knocks, p.String())
				}
				before := strings.Count(d.Log(), "by=knock")
				s.RunKnock(t, "20", knocks...)
				if !comesAbout(func() bool { return strings.Contains(theirs.Out.String(), ": "+section.Name+": OPEN SESAME") }) {
					t.Logf("knockd does not open %s", section.Name)
					continue
				}
				opened++
				if strings.Contains(r.Stderr, "door "+section.Name+": ") {
					continue // something of it is lost
				}
				lab.Eventually(t, "nftknockd does something for "+section.Name, func() bool { return strings.Count(d.Log(), "by=knock") > before })
			}
			t.Logf("knockd opens %d sections", opened)
			if opened == 0 {
				t.Error("knockd has opened nothing")
			}
		})
	}
}

// comesAbout reports whether something comes to be the case: knockd logs a tenth of a second late.
func comesAbout(is func() bool) bool {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(lab.PollInterval) {
		if is() {
			return true
		}
	}
	return false
}
