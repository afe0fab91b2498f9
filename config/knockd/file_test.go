package knockd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

const example = `
stray
[options]
	UseSyslog
	LogFile = /var/log/knockd.log

# [comment]
  [ open SSH ]
Sequence	=	7000, 8000 : UDP ,9000:tcp
	timeout = 5
	COMMAND = sh -c "a=b" # not a comment
	seq_timeout = 7
[options]
	interface = eth1
[]
[x
`

func TestParse(t *testing.T) {
	want := []Section{
		{Directives: []Directive{{Key: "stray", Line: 2, Text: "stray"}}},
		{Name: "options", Line: 3, Directives: []Directive{
			{Key: "usesyslog", Line: 4, Text: "UseSyslog"},
			{Key: "logfile", Value: "/var/log/knockd.log", Line: 5, Text: "LogFile = /var/log/knockd.log"},
		}},
		{Name: " open SSH ", Line: 8, Directives: []Directive{
			{Key: "sequence", Value: "7000, 8000 : UDP ,9000:tcp", Line: 9, Text: "Sequence	=	7000, 8000 : UDP ,9000:tcp"},
			{Key: "seq_timeout", Value: "5", Line: 10, Text: "timeout = 5"},
			{Key: "start_command", Value: `sh -c "a=b" # not a comment`, Line: 11, Text: `COMMAND = sh -c "a=b" # not a comment`},
			{Key: "seq_timeout", Value: "7", Line: 12, Text: "seq_timeout = 7"},
		}},
		{Name: "options", Line: 13, Directives: []Directive{{Key: "interface", Value: "eth1", Line: 14, Text: "interface = eth1"}}},
		{Name: "", Line: 15, Directives: []Directive{{Key: "[x", Line: 16, Text: "[x"}}},
	}
	f := Parse([]byte(strings.ReplaceAll(example, "\n", "\r\n")))
	if diff := cmp.Diff(want, f.Sections); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}

	doors := f.Doors()
	if len(doors) != 2 || doors[0].Name != " open SSH " {
		t.Fatalf("doors: %+v", doors)
	}
	if d, ok := doors[0].Get("seq_timeout"); !ok || d.Value != "7" {
		t.Errorf("the last of two counts, and this is %q", d.Value)
	}
	if _, ok := doors[0].Get("tcpflags"); ok {
		t.Error("there is no tcpflags")
	}
	sequence, err := doors[0].Sequence()
	if err != nil {
		t.Fatal(err)
	}
	ports := []knock.Port{{Number: 7000, Proto: knock.TCP}, {Number: 8000, Proto: knock.UDP}, {Number: 9000, Proto: knock.TCP}}
	if diff := cmp.Diff(ports, sequence); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if sequence, err := doors[1].Sequence(); sequence != nil || err != nil {
		t.Errorf("a section without a sequence has %v, %v", sequence, err)
	}
}

func TestSequenceErrors(t *testing.T) {
	for _, tt := range []struct{ sequence, want string }{
		{"", "knock 1 "},
		{"x71", "knock 1 "},
		{"7000,0", "knock 2 "},
		{"70000,8000,-1", "knock 1 is no port: write 1 to 65535, with :udp for UDP\nknock 3 "},
		{"7000:,8000", "knock 1 "},
		{"7000:icmp", "knock 1 "},
		{strings.Repeat("1,", 32) + "1", "33 knocks: "},
	} {
		s := Parse([]byte("[a]\nsequence=" + tt.sequence)).Doors()[0]
		sequence, err := s.Sequence()
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || sequence != nil {
			t.Errorf("%q: %v, %v: want %q", tt.sequence, sequence, err, tt.want)
		}
	}
}

// TestSequenceForms reads what knockd reads.
func TestSequenceForms(t *testing.T) {
	want := []knock.Port{{Number: 7000, Proto: knock.TCP}, {Number: 8000, Proto: knock.UDP}}
	for _, value := range []string{
		"7000,8000:udp", "7000 , 8000 : UDP ", "7000:tcp,8000:udp:tcp", "+7000,8000:udp # first, then, the other", "7000x,08000y:udp#",
	} {
		got, err := Parse([]byte("[a]\nsequence=" + value)).Doors()[0].Sequence()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", value, err, diff)
		}
	}
}

func TestInterface(t *testing.T) {
	for defaults, want := range map[string]string{
		"": "",
		"START_KNOCKD=1\nKNOCKD_OPTS=\"-i eth1\"\n":       "eth1",
		"#KNOCKD_OPTS=\"-i eth1\"":                        "",
		"KNOCKD_OPTS=\"-d -ieth1 -v\" # -i eth2":          "eth1",
		"OPTIONS='--interface=wg0'\nKNOCKD_OPTS=-i wlan0": "wlan0",
		"KNOCKD_OPTS=\"\"":                                "",
	} {
		if got := Interface([]byte(defaults)); got != want {
			t.Errorf("%q: %q, not %q", defaults, got, want)
		}
	}
}

// FuzzParse looks for files that make Parse panic, or lose a line.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("[")
	f.Add("]\n=\n[]\n[=]")
	f.Fuzz(func(t *testing.T, text string) {
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimFunc(line, isSpace); line != "" && line[0] != '#' {
				lines++
			}
		}
		got := 0
		for _, s := range Parse([]byte(text)).Sections {
			if s.Line > 0 {
				got++
			}
			got += len(s.Directives)
			if sequence, err := s.Sequence(); err == nil && len(sequence) > knock.MaxSequence {
				t.Error("too many knocks")
			}
		}
		if got != lines {
			t.Errorf("%d lines say something, and %d were read", lines, got)
		}
	})
}
