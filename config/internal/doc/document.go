// Package doc reads a file of TOML, table by table and key by key, and gathers all that is
// wrong with it: each problem with its line, its key, and what would be right.
//
// No problem shows a secret: a knock is named by its position.
package doc

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// A Document is a file while it is read: its problems gather here.
type Document struct {
	File  string // the name of the file in messages
	Hosts bool   // its named tables are profiles of hosts, not doors

	// Elsewhere says where a key belongs that is not known in a section, or nothing. May be
	// nil.
	Elsewhere func(s *Section, key string) string

	meta     toml.MetaData
	problems Errors
}

// Report gathers a problem. The name is of the door or the profile that it is about.
func (d *Document) Report(line int, name, key, format string, args ...any) {
	p := Problem{File: d.File, Line: line, Key: key, Text: fmt.Sprintf(format, args...)}
	if d.Hosts {
		p.Host = name
	} else {
		p.Door = name
	}
	d.problems = append(d.problems, p)
}

// Folder returns the folder of the file, from which files that it names are taken.
func (d *Document) Folder() string { return filepath.Dir(d.File) }

// Problems returns how many problems there are so far.
func (d *Document) Problems() int { return len(d.problems) }

// Err returns the problems as [Errors], in the order of their lines; nil if there are
// none.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return d.problems
}

// Open parses the TOML and returns the top level, which is empty if there is an error.
//
// Tables become maps rather than structs because the toml package matches the
// fields of a struct whatever their case, and stops at the first error.
func (d *Document) Open(data []byte) *Section {
	root := &Section{Doc: d}
	if len(data) > MaxSize {
		d.Report(0, "", "", "is larger than 1 MiB, the most that is read: is it the right file?")
		return root
	}
	var keys map[string]toml.Primitive
	meta, err := toml.Decode(string(data), &keys)
	if err != nil {
		var pe toml.ParseError
		errors.As(err, &pe)
		d.Report(pe.Position.Line, "", "", "%s", syntax(pe.Message))
		return root
	}
	d.meta = meta
	root.Keys = d.nodes(keys)
	return root
}

func (d *Document) nodes(keys map[string]toml.Primitive) map[string]Node {
	nodes := make(map[string]Node, len(keys))
	for name, p := range keys {
		nodes[name] = Node{d, p}
	}
	return nodes
}

// inFileOrder compares the names of the tables within a table by where they first
// appear.
func (d *Document) inFileOrder(table string) func(a, b string) int {
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

// A Node is a value of the document.
type Node struct {
	doc *Document
	toml.Primitive
}

// Value returns the value as the toml package represents it.
func (n Node) Value() any {
	var v any
	_ = n.doc.meta.PrimitiveDecode(n.Primitive, &v) // anything fits into an any
	return v
}

// Table returns what is in a table, and whether the node is one.
func (n Node) Table() (map[string]Node, bool) {
	if _, ok := n.Value().(map[string]any); !ok {
		return nil, false
	}
	var keys map[string]toml.Primitive
	err := n.doc.meta.PrimitiveDecode(n.Primitive, &keys)
	return n.doc.nodes(keys), err == nil
}

// Line returns where the value begins, from 1; 0 if that is not known. It takes
// time that grows with the file, so it is asked for where there is something to say.
func (n Node) Line() int {
	if n.doc == nil { // the top level
		return 0
	}
	var pe toml.ParseError
	errors.As(n.doc.meta.PrimitiveDecode(n.Primitive, locator{}), &pe)
	if pe.Position.Line > 0 {
		return pe.Position.Line
	}
	// A table made by dotted keys alone begins with the first of them.
	first := 0
	keys, _ := n.Table()
	for _, k := range keys {
		if line := k.Line(); first == 0 || 0 < line && line < first {
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
