package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// A document is a file while it is read: its problems gather here.
type document struct {
	file       string
	hosts      bool         // it is a hosts.toml, not the daemon's configuration
	readSecret secretReader // nil: secrets are left unread
	meta       toml.MetaData
	problems   Errors
}

// A secretReader reads the file with the secret of a door's one-time codes.
type secretReader func(path, door string) (Secret, error)

// report gathers a problem. The name is of the door or the profile that it is about.
func (d *document) report(line int, name, key, format string, args ...any) {
	p := Problem{File: d.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)}
	if d.hosts {
		p.Host = name
	} else {
		p.Door = name
	}
	d.problems = append(d.problems, p)
}

// open parses the TOML and returns the top level, which is empty if there is an error.
//
// Tables become maps rather than structs because the toml package matches the
// fields of a struct whatever their case, and stops at the first error.
func (d *document) open(data []byte) *section {
	root := &section{doc: d}
	if len(data) > maxSize {
		d.report(0, "", "", "is larger than 1 MiB, the most that is read: is it the right file?")
		return root
	}
	var keys map[string]toml.Primitive
	meta, err := toml.Decode(string(data), &keys)
	if err != nil {
		var pe toml.ParseError
		errors.As(err, &pe)
		d.report(pe.Position.Line, "", "", "%s", syntax(pe.Message))
		return root
	}
	d.meta = meta
	root.keys = d.nodes(keys)
	return root
}

func (d *document) nodes(keys map[string]toml.Primitive) map[string]node {
	nodes := make(map[string]node, len(keys))
	for name, p := range keys {
		nodes[name] = node{d, p}
	}
	return nodes
}

// inFileOrder compares the names of the tables within a table by where they first
// appear.
func (d *document) inFileOrder(table string) func(a, b string) int {
	order := make(map[string]int)
	for i, key := range d.meta.Keys() {
		if len(key) > 1 && key[0] == table {
			if _, ok := order[key[1]]; !ok {
				order[key[1]] = i
			}
		}
	}
	return func(a, b string) int { return cmp.Compare(order[a], order[b]) }
}

// A node is a value of the document.
type node struct {
	doc *document
	toml.Primitive
}

// value returns the value as the toml package represents it.
func (n node) value() any {
	var v any
	_ = n.doc.meta.PrimitiveDecode(n.Primitive, &v) // anything fits into an any
	return v
}

// table returns what is in a table, and whether the node is one.
func (n node) table() (map[string]node, bool) {
	if _, ok := n.value().(map[string]any); !ok {
		return nil, false
	}
	var keys map[string]toml.Primitive
	err := n.doc.meta.PrimitiveDecode(n.Primitive, &keys)
	return n.doc.nodes(keys), err == nil
}

// line returns where the value begins, from 1; 0 if that is not known. It takes
// time that grows with the file, so it is asked for where there is something to say.
func (n node) line() int {
	var pe toml.ParseError
	errors.As(n.doc.meta.PrimitiveDecode(n.Primitive, locator{}), &pe)
	if pe.Position.Line > 0 {
		return pe.Position.Line
	}
	// A table made by dotted keys alone begins with the first of them.
	first := 0
	keys, _ := n.table()
	for _, k := range keys {
		if line := k.line(); first == 0 || 0 < line && line < first {
			first = line
		}
	}
	return first
}

// A locator refuses every value: the toml package tells the line of a value in the
// error of an Unmarshaler, and nowhere else.
type locator struct{}

func (locator) UnmarshalTOML(any) error { return errors.New("located") }

// secrets matches what a message of the toml package quotes from the file and
// could be a sequence, or a seed, that is not written as TOML.
var secrets = regexp.MustCompile(`"[^"]*[0-9][^"]*"|"[^"]{16,}"|[0-9][0-9_.-]{5,}`)

// syntax turns a message of the toml package into one for a log.
func syntax(message string) string {
	if strings.HasPrefix(message, "invalid datetime") || strings.HasPrefix(message, "expected value but found") {
		// 8000:udp without quotes begins like a time of day, and of a secret the
		// beginning would be shown.
		return `is not a value: text goes in quotes, such as "51820:udp" or "15s"`
	}
	message = secrets.ReplaceAllString(message, `"…"`)
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, message)
}
