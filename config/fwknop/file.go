// Package fwknop reads the files of fwknop(8) and fwknopd(8): access.conf, fwknopd.conf and
// .fwknoprc, all of lines "VARIABLE value". It keeps everything, with its line, and judges
// nothing. The grammar is that of parse_access_file in fwknop's server/access.c:
//
//   - empty lines, and those that begin with # or ;, are comments;
//   - a variable ends at the first space, and may have a colon behind it;
//   - its value goes to the end of the line, or to a semicolon;
//   - in access.conf each SOURCE begins a stanza, in .fwknoprc each [name].
package fwknop

import (
	"bytes"
	"strings"
)

// A Stanza is what belongs together.
type Stanza struct {
	Name       string // in .fwknoprc, without the brackets; empty in the others
	Line       int    // where it begins, from 1
	Directives []Directive
}

// A Directive is one line.
type Directive struct {
	Key   string // in capitals
	Value string // without the space around it
	Line  int    // from 1
}

// ParseAccess reads an access.conf. What stands above the first SOURCE, such as %include,
// is in a stanza without one.
func ParseAccess(data []byte) []Stanza {
	return parse(data, func(d Directive) (string, bool) { return "", d.Key == "SOURCE" })
}

// ParseServer reads a fwknopd.conf.
func ParseServer(data []byte) Stanza {
	s := parse(data, func(Directive) (string, bool) { return "", false })
	if len(s) == 0 {
		return Stanza{}
	}
	return s[0]
}

// ParseClient reads a .fwknoprc.
func ParseClient(data []byte) []Stanza {
	return parse(data, func(d Directive) (string, bool) {
		name, ok := strings.CutPrefix(d.Key, "[")
		name, _, closed := strings.Cut(name, "]")
		return strings.TrimSpace(name), ok && closed
	})
}

// parse reads directives, of which some begin a stanza, and may give it a name.
func parse(data []byte, begins func(Directive) (name string, ok bool)) []Stanza {
	var stanzas []Stanza
	for i, line := range strings.Split(string(bytes.TrimPrefix(data, []byte("\ufeff"))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		d := Directive{Line: i + 1}
		if line[0] == '[' {
			d.Key = line // may hold spaces
		} else {
			key, value := line, ""
			if end := strings.IndexAny(line, " \t:="); end >= 0 {
				key, value = line[:end], strings.TrimLeft(line[end:], " \t:=")
			}
			value, _, _ = strings.Cut(value, ";")
			d.Key, d.Value = strings.ToUpper(key), strings.TrimSpace(value)
		}
		name, ok := begins(d)
		if ok || len(stanzas) == 0 {
			stanzas = append(stanzas, Stanza{Name: name, Line: d.Line})
		}
		s := &stanzas[len(stanzas)-1]
		if !ok || d.Key[0] != '[' {
			s.Directives = append(s.Directives, d)
		}
	}
	return stanzas
}

// Get returns the directive that counts for a key, the last one, and whether there is one.
func (s *Stanza) Get(key string) (Directive, bool) {
	for i := len(s.Directives) - 1; i >= 0; i-- {
		if s.Directives[i].Key == key {
			return s.Directives[i], true
		}
	}
	return Directive{}, false
}

// Yes reports whether a directive says Y.
func (s *Stanza) Yes(key string) bool {
	d, _ := s.Get(key)
	return strings.EqualFold(d.Value, "y") || strings.EqualFold(d.Value, "yes")
}
