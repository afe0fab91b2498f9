package migrate

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// firewalls are the programs whose arguments are understood. A nil rule is a
// command that changes nothing.
var firewalls = map[string]func(args []string) (*rule, error){
	"iptables":         iptables,
	"ip6tables":        iptables,
	"iptables-legacy":  iptables,
	"iptables-nft":     iptables,
	"ip6tables-legacy": iptables,
	"ip6tables-nft":    iptables,
	"knock_add":        knockAdd,
	"nft":              nft,
	"ufw":              ufw,
	"firewall-cmd":     firewallCmd,
}

// A reading is what is understood of a command.
type reading struct {
	rule                 // of all its firewall commands together
	found  bool          // there is a firewall command
	slept  time.Duration // between them
	others []string      // the programs that it runs beside
}

// longest is how long a command can be, in bytes: knockd reads lines of up to
// PATH_MAX. It bounds how deep a hostile one can be nested.
const longest = 4096

// read reads a command as knockd has /bin/sh do (system(3)).
func read(command string) (*reading, error) {
	r := &reading{}
	if len(command) > longest {
		return nil, errProgram
	}
	if err := r.shell(command); err != nil {
		return nil, err
	}
	return r, nil
}

var errProgram = errors.New("it is more of a shell program than can be understood here")

func (r *reading) shell(command string) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(command), "")
	if err != nil {
		return errProgram
	}
	for _, s := range file.Stmts {
		if err := r.statement(s); err != nil {
			return err
		}
	}
	return nil
}

// statement takes apart what is joined by ;, && and ||: firewall commands are
// joined so that each is run, or so that none is run twice.
func (r *reading) statement(s *syntax.Stmt) error {
	switch c := s.Cmd.(type) {
	case *syntax.BinaryCmd:
		if c.Op != syntax.AndStmt && c.Op != syntax.OrStmt {
			return errProgram
		}
		return errors.Join(r.statement(c.X), r.statement(c.Y))
	case *syntax.CallExpr:
		var words []string
		for _, w := range c.Args {
			var word strings.Builder
			if !literal(&word, w.Parts) {
				return errProgram
			}
			words = append(words, word.String())
		}
		return r.program(words)
	}
	return errProgram
}

var unescape = regexp.MustCompile(`\\(.)`)

// literal writes what the parts of a word are without quotes. It reports false where
// that is known only when the command runs.
func literal(b *strings.Builder, parts []syntax.WordPart) bool {
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape.ReplaceAllString(p.Value, "$1"))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			if !literal(b, p.Parts) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (r *reading) program(words []string) error {
	for len(words) > 1 && path.Base(words[0]) == "sudo" {
		words = words[1:]
		for len(words) > 1 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return nil
	}
	name := path.Base(words[0])
	switch {
	case (name == "sh" || name == "bash") && len(words) == 3 && words[1] == "-c":
		return r.shell(words[2])
	case name == "sleep" && len(words) == 2:
		d, err := duration(words[1])
		r.slept += d
		return err
	case firewalls[name] == nil:
		r.others = append(r.others, name)
		return nil
	}
	one, err := firewalls[name](words[1:])
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case one == nil:
		return nil
	}
	return r.add(one)
}

func (r *reading) add(one *rule) error {
	switch {
	case !r.found || r.opens == one.opens:
	case r.opens && r.slept > 0 && samePorts(r.ports, one.ports):
		r.lasts = r.slept
		return nil
	default:
		return errors.New("it both opens and closes: knockd's start_command and stop_command are for that")
	}
	r.found = true
	r.opens, r.lasts = one.opens, max(r.lasts, one.lasts)
	for _, p := range one.ports {
		r.addPort(p)
	}
	if r.set == "" {
		r.set = one.set
	}
	for _, n := range one.notes {
		if !slices.Contains(r.notes, n) {
			r.notes = append(r.notes, n)
		}
	}
	return nil
}
