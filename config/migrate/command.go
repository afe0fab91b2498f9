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
	"ipset":            ipset,
	"firewall-cmd":     firewallCmd,
}

// otherFirewalls are programs that change a firewall in ways that are not understood. What
// they do no hook can do: it is run without the rights for that.
var otherFirewalls = regexp.MustCompile(`(?:^|[^\w.-])((?:ip6?|arp|eb)tables(?:-[a-z]+)*|nft|ufw|firewall-cmd|ipset|knock_add|` +
	`netfilter-persistent|shorewall6?|pfctl|csf|ipfw|ferm)(?:[^\w.-]|$)`)

// A reading is what is understood of a command.
type reading struct {
	rule         // of all its firewall commands together
	found   bool // there is a firewall command
	slept   time.Duration
	program []statement // what it runs beside, in its order
}

// A statement is a piece of a command that a hook can run.
type statement struct {
	text  string // of the shell
	sleep bool   // it only waits
}

// longest is how long a command can be, in bytes: knockd reads lines of up to
// PATH_MAX. It bounds how deep a hostile one can be nested.
const longest = 4096

// read reads a command as knockd has /bin/sh do (system(3)). A command without a firewall
// in it is one statement, whatever it is.
func read(command string) (*reading, error) {
	r := &reading{}
	if len(command) > longest {
		return nil, errProgram
	}
	if !otherFirewalls.MatchString(command) && !strings.Contains(command, recentFiles) {
		if text := strings.TrimSpace(command); text != "" {
			r.program = []statement{{text: text}}
		}
		return r, nil
	}
	if err := r.shell(command); err != nil {
		return nil, err
	}
	return r, nil
}

var errProgram = errors.New("it is more of a shell program than can be understood here")

func (r *reading) shell(command string) error {
	file, err := parseShell(command)
	if err != nil {
		return errProgram
	}
	for _, s := range file.Stmts {
		if err := r.statement(command, s); err != nil {
			return err
		}
	}
	return nil
}

func parseShell(command string) (*syntax.File, error) {
	return syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(command), "")
}

// statement takes apart what is joined by ;, && and ||: firewall commands are
// joined so that each is run, or so that none is run twice.
func (r *reading) statement(command string, s *syntax.Stmt) error {
	text := command[s.Pos().Offset():s.End().Offset()]
	if name, opens, ok := recent(s); ok {
		return r.add(&rule{opens: opens, set: name})
	}
	if !otherFirewalls.MatchString(text) {
		text = strings.TrimSpace(strings.TrimSuffix(text, ";"))
		d, sleeps := sleep(s)
		r.slept += d
		r.program = append(r.program, statement{text, sleeps})
		return nil
	}
	switch c := s.Cmd.(type) {
	case *syntax.BinaryCmd:
		if c.Op != syntax.AndStmt && c.Op != syntax.OrStmt {
			return errProgram
		}
		if err := r.statement(command, c.X); err != nil {
			return err
		}
		before := len(r.program)
		if err := r.statement(command, c.Y); err != nil {
			return err
		}
		if c.Op == syntax.OrStmt && len(r.program) > before {
			r.program = r.program[:before]
			r.note("what stands behind || was run when the firewall's command failed, which a door does not")
		}
		return nil
	case *syntax.CallExpr:
		words, ok := literals(c.Args)
		if !ok {
			return errProgram
		}
		return r.call(text, words)
	}
	return errProgram
}

// sleep returns how long a statement waits, if that is all it does.
func sleep(s *syntax.Stmt) (time.Duration, bool) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok {
		return 0, false
	}
	words, ok := literals(c.Args)
	if !ok || len(words) != 2 || path.Base(words[0]) != "sleep" {
		return 0, false
	}
	d, err := duration(words[1])
	return d, err == nil
}

// recentFiles is where the lists of "-m recent" of iptables are (iptables-extensions(8)).
const recentFiles = "/proc/net/xt_recent/"

// recent reads "echo +%IP% > /proc/net/xt_recent/NAME", which puts into a list, or takes
// away with a -.
func recent(s *syntax.Stmt) (name string, adds, ok bool) {
	c, isCall := s.Cmd.(*syntax.CallExpr)
	if !isCall || len(s.Redirs) != 1 || s.Redirs[0].Word == nil {
		return "", false, false
	}
	file, ok1 := literals([]*syntax.Word{s.Redirs[0].Word})
	words, ok2 := literals(c.Args)
	if !ok1 || !ok2 || len(words) < 2 || path.Base(words[0]) != "echo" && path.Base(words[0]) != "printf" {
		return "", false, false
	}
	name, ok = strings.CutPrefix(file[0], recentFiles)
	what := words[len(words)-1]
	return name, what == "+"+knocker || what == knocker, ok && strings.HasSuffix(what, knocker)
}

// literals returns what words are without quotes. It reports false where that is known only
// when the command runs.
func literals(args []*syntax.Word) ([]string, bool) {
	var words []string
	for _, w := range args {
		var word strings.Builder
		if !literal(&word, w.Parts) {
			return nil, false
		}
		words = append(words, word.String())
	}
	return words, true
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

// call reads one program and its arguments.
func (r *reading) call(text string, words []string) error {
	words = withoutSudo(words)
	if len(words) == 0 {
		return nil
	}
	name := path.Base(words[0])
	switch {
	case (name == "sh" || name == "bash") && len(words) == 3 && words[1] == "-c":
		return r.shell(words[2])
	case firewalls[name] == nil && otherFirewalls.MatchString(name):
		return fmt.Errorf("%q changes the firewall in a way that is not understood here", name)
	case firewalls[name] == nil: // it has the name of one among its arguments
		r.program = append(r.program, statement{text: text})
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

func withoutSudo(words []string) []string {
	for len(words) > 1 && path.Base(words[0]) == "sudo" {
		words = words[1:]
		for len(words) > 1 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
	}
	return words
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
