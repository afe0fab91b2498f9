// Package knockd reads knockd.conf, the configuration of knockd(1) 0.8:
//
//	[openSSH]
//	    sequence    = 7000,8000:udp,9000
//	    seq_timeout = 5
//	    command     = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
//
// It keeps everything, with its line, and judges nothing: whatever is in a file,
// what has to be made of it is for others to say. The grammar is that of
// parseconfig in knockd's src/knockd.c:
//
//   - lines are trimmed; empty ones, and those that begin with #, are comments; a #
//     further on is part of the value;
//   - a line in brackets begins a section, whose name is compared with its case;
//   - "key = value" is a directive, whatever the key's case; the value goes from the
//     first = to the end of the line;
//   - of directives that are there twice in a section the last one counts.
package knockd

import "strings"

// Options is the section about knockd itself; every other one is a door.
const Options = "options"

// What knockd takes for a directive that is not there, in seconds.
const (
	DefaultSeqTimeout = 25
	DefaultCmdTimeout = 10
)

// A File is a knockd.conf.
type File struct {
	// In the order of the file. Two may have the same name. What stands above the
	// first heading, which knockd refuses, is in one without a name.
	Sections []Section
}

// A Section is a heading and what follows it.
type Section struct {
	Name       string // as it is written
	Line       int    // of the heading, from 1; 0 without one
	Directives []Directive
}

// A Directive is one line of a section.
type Directive struct {
	// In lower case; "command", "command_6" and "timeout", which mean the same, as
	// "start_command", "start_command_6" and "seq_timeout".
	Key   string
	Value string // without the space around it
	Line  int    // from 1
	Text  string // the line as it is written, without the space around it
}

// Parse reads a knockd.conf. What knockd would refuse is a directive like any other:
// a line without = is one without a value.
func Parse(data []byte) *File {
	f := &File{}
	for i, line := range strings.Split(string(data), "\n") {
		text := strings.TrimFunc(line, isSpace)
		switch {
		case text == "" || text[0] == '#':
		case text[0] == '[' && text[len(text)-1] == ']':
			f.Sections = append(f.Sections, Section{Name: text[1 : len(text)-1], Line: i + 1})
		default:
			if len(f.Sections) == 0 {
				f.Sections = []Section{{}}
			}
			s := &f.Sections[len(f.Sections)-1]
			s.Directives = append(s.Directives, directive(text, i+1))
		}
	}
	return f
}

var aliases = map[string]string{
	"command":   "start_command",
	"command_6": "start_command_6",
	"timeout":   "seq_timeout",
}

func directive(text string, line int) Directive {
	key, value, _ := strings.Cut(text, "=")
	key = strings.ToLower(strings.TrimFunc(key, isSpace))
	if alias, ok := aliases[key]; ok {
		key = alias
	}
	return Directive{Key: key, Value: strings.TrimFunc(value, isSpace), Line: line, Text: text}
}

// isSpace is isspace(3) of the C locale.
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

// Doors returns the sections that are doors, in the order of the file.
func (f *File) Doors() []*Section {
	var doors []*Section
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Line > 0 && s.Name != Options {
			doors = append(doors, s)
		}
	}
	return doors
}

// Get returns the directive that counts for a key, in the form of Directive.Key, and
// whether there is one.
func (s *Section) Get(key string) (Directive, bool) {
	for i := len(s.Directives) - 1; i >= 0; i-- {
		if s.Directives[i].Key == key {
			return s.Directives[i], true
		}
	}
	return Directive{}, false
}
