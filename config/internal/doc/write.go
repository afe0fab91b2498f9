package doc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// A Table is written key by key, and aligns them.
type Table struct {
	heading string
	keys    [][2]string
}

// NewTable begins the table of a name within a table, such as [door.ssh].
func NewTable(table, name string) *Table {
	if !bareKey.MatchString(name) {
		name = Quote(name) // a dot would make a table within a table
	}
	return &Table{heading: "[" + table + "." + name + "]"}
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Set writes a key, with a value that is TOML already.
func (t *Table) Set(key, value string) { t.keys = append(t.keys, [2]string{key, value}) }

// String returns the table as it stands in a file.
func (t *Table) String() string {
	width := 0
	for _, k := range t.keys {
		width = max(width, len(k[0]))
	}
	var b strings.Builder
	b.WriteString(t.heading + "\n")
	for _, k := range t.keys {
		fmt.Fprintf(&b, "%-*s = %s\n", width, k[0], k[1])
	}
	return b.String()
}

// Quote writes a string of TOML. Unlike [strconv.Quote] it knows no \x.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// QuoteList writes a list of strings.
func QuoteList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Append returns a file with a table behind all that is there, which stays as it is. A
// table of the same name in the file makes the result invalid.
func Append(data []byte, table string) []byte {
	text := table
	switch {
	case len(bytes.TrimSpace(data)) == 0:
	case bytes.HasSuffix(data, []byte("\n")):
		text = "\n" + text
	default:
		text = "\n\n" + text
	}
	return append(bytes.Clone(data), lineEnds(data, text)...)
}

// Replace returns a file with another table in the place of that of a section, which has
// to have a heading of its own. What follows it, with the comments above that, stays as
// it is.
func (s *Section) Replace(data []byte, table string) ([]byte, error) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	first := s.Node.Line() - 1
	if first < 0 || first >= len(lines) || !bytes.HasPrefix(bytes.TrimSpace(lines[first]), []byte("[")) {
		return nil, errors.New("it has no heading of its own, which is needed to replace it: change it by hand")
	}
	end := len(lines)
	for i := first + 1; i < len(lines); i++ {
		if bytes.HasPrefix(bytes.TrimSpace(lines[i]), []byte("[")) {
			end = i
			break
		}
	}
	for end > first+1 && notAKey(lines[end-1]) {
		end--
	}
	text := lineEnds(data, table)
	if end == len(lines) && !bytes.HasSuffix(data, []byte("\n")) {
		text = bytes.TrimRight(text, "\r\n")
	}
	return bytes.Join([][]byte{bytes.Join(lines[:first], nil), text, bytes.Join(lines[end:], nil)}, nil), nil
}

func notAKey(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// lineEnds ends the lines of a text as those of a file.
func lineEnds(data []byte, text string) []byte {
	if bytes.Contains(data, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

// WriteFile puts a file in the place of another at once: who reads it sees all of the one
// or all of the other. Mode and owner stay as they are; a file that was not there gets
// the mode. Of a symbolic link the file it points to is written.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.Stat(path)
	switch {
	case err == nil:
		mode = old.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".nftknock-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then if all is well
	if old != nil {
		err = keepOwner(f, old)
	}
	_, writeErr := f.Write(data)
	err = errors.Join(err, f.Chmod(mode), writeErr, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
