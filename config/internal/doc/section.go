package doc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Section is a table of the file while its keys are read.
type Section struct {
	Doc    *Document
	Node   Node // zero at the top level
	Keys   map[string]Node
	Prefix string // of the keys in messages, such as "limits"; empty at the top level, and where there is an owner
	Owner  string // the door or the profile that it is about
}

// Has reports whether the section has a key.
func (s *Section) Has(key string) bool {
	_, ok := s.Keys[key]
	return ok
}

// Subsection returns a table within the section, or nil if there is none.
func (s *Section) Subsection(name string) *Section {
	n, ok := s.Keys[name]
	if !ok {
		return nil
	}
	keys, ok := n.Table()
	if !ok {
		s.Fail(name, "found %s: write a table: [%s]", Kind(n.Value()), name)
		return nil
	}
	return &Section{Doc: s.Doc, Node: n, Keys: keys, Prefix: name}
}

// Named returns the tables of a kind that have names, such as [door.ssh], in the order
// of the file, each with its name as its owner. The example tells what is right.
func (s *Section) Named(table, example string) []*Section {
	tables, ok := s.Keys[table]
	if !ok {
		return nil
	}
	named, ok := tables.Table()
	if !ok {
		s.Fail(table, "found %s: %s", Kind(tables.Value()), example)
		return nil
	}
	var sections []*Section
	for _, name := range slices.SortedFunc(maps.Keys(named), s.Doc.inFileOrder(table)) {
		n := named[name]
		keys, ok := n.Table()
		if !ok {
			s.Doc.Report(n.Line(), name, "", "found %s: %s", Kind(n.Value()), example)
			continue
		}
		sections = append(sections, &Section{Doc: s.Doc, Node: n, Keys: keys, Owner: name})
	}
	return sections
}

// Fail reports a problem with a key; where the section does not have the key, the
// line is the section's own.
func (s *Section) Fail(key, format string, args ...any) {
	n, ok := s.Keys[key]
	if !ok {
		n = s.Node
	}
	if s.Prefix != "" {
		key = s.Prefix + "." + key
	}
	s.Doc.Report(n.Line(), s.Owner, key, format, args...)
}

// Require reports a key that is missing.
func (s *Section) Require(key, right string) {
	if !s.Has(key) {
		s.Fail(key, "is missing: %s", right)
	}
}

// RefuseUnknown reports the keys that are not among the known ones.
func (s *Section) RefuseUnknown(known []string) {
	for _, key := range slices.Sorted(maps.Keys(s.Keys)) {
		if !slices.Contains(known, key) {
			s.Doc.Report(s.Keys[key].Line(), s.Owner, s.Prefix, "unknown key %q: %s", key, s.instead(key, known))
		}
	}
}

// instead says what may have been meant by an unknown key.
func (s *Section) instead(key string, known []string) string {
	nearest, near := Nearest(key, known)
	if near && distance(key, nearest) == 1 { // a slip, also if it makes a key of another table
		if nearest == "ports" {
			return `did you mean "ports", a list such as [22]?`
		}
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	if s.Doc.Elsewhere != nil {
		if where := s.Doc.Elsewhere(s, key); where != "" {
			return where
		}
	}
	if near {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "possible here: " + strings.Join(known, ", ")
}

// Nearest returns the one of the known words that somebody may have meant by
// another, if one of them is near enough.
func Nearest(word string, known []string) (string, bool) {
	if len(known) == 0 {
		return "", false
	}
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(word, a) - distance(word, b) })
	return nearest, 3*distance(word, nearest) <= len(nearest)+1
}

// distance is how many letters have to be changed, added or taken away to turn one
// word into another, whatever their case.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1) // from the letters of a so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Read sets a value to what parse makes of a key, if the section has the key and
// nothing is wrong with it.
func Read[T any](s *Section, key string, value *T, parse func(any) (T, error)) {
	n, ok := s.Keys[key]
	if !ok {
		return
	}
	v, err := parse(n.Value())
	if err == nil {
		*value = v
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			s.Fail(key, "%v", err)
		}
		return
	}
	s.Fail(key, "%v", err)
}
