package migrate

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"nftknock/config"
	"nftknock/config/knockd"
)

// A hook is what a part runs beside opening or closing ports.
type hook struct {
	name string
	line int
	on   config.HookEvent
	run  []string
}

// addHook makes a hook of the statements of a command that open or close nothing.
func (m *migration) addHook(p *part, d knockd.Directive, on config.HookEvent, statements []statement) {
	var texts []string
	for _, s := range statements {
		if !s.sleep || len(statements) == 1 {
			texts = append(texts, s.text)
		}
	}
	if len(texts) == 0 {
		return
	}
	if strings.ContainsRune(d.Value, 0) {
		m.lose(p.section, d, "it holds a zero byte, which no program can be given")
		return
	}
	p.hooks = append(p.hooks, hook{"", d.Line, on, hookRun(strings.Join(texts, "; "))})
}

// hookRun returns what a hook runs for a command of the shell: its one program, or the
// shell where more than that is needed. The address of who has knocked is filled in either
// way: it holds nothing that means something to a shell.
func hookRun(command string) []string {
	words, ok := oneProgram(command)
	if !ok {
		return []string{"/bin/sh", "-c", fillIn(command)}
	}
	for i, w := range words {
		words[i] = fillIn(w)
	}
	switch {
	case strings.Contains(words[0], "/"):
		words[0] = path.Join("/", words[0]) // where knockd is
		return words
	default: // to be found as the shell does
		return append([]string{"/usr/bin/env"}, words...)
	}
}

// unquoted is what the shell does more about than to pass it on.
const unquoted = "*?[]~$`={}"

// oneProgram returns the words of a command that runs one program and does nothing else.
func oneProgram(command string) ([]string, bool) {
	file, err := parseShell(command)
	if err != nil || len(file.Stmts) != 1 {
		return nil, false
	}
	s := file.Stmts[0]
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Background || s.Negated || len(s.Redirs) > 0 || len(c.Assigns) > 0 || len(c.Args) == 0 {
		return nil, false
	}
	for i, w := range c.Args {
		for _, part := range w.Parts {
			// An = means something in the first word only.
			if lit, ok := part.(*syntax.Lit); ok && (strings.ContainsAny(lit.Value, strings.ReplaceAll(unquoted, "=", "")) || i == 0 && strings.Contains(lit.Value, "=")) {
				return nil, false
			}
		}
	}
	words, ok := literals(c.Args)
	if !ok || words[0] == "" || strings.Contains(words[0], knocker) || shellBuiltin[words[0]] {
		return nil, false
	}
	return words, true
}

// shellBuiltin are commands that only the shell has, or that mean something else there.
var shellBuiltin = map[string]bool{
	".": true, ":": true, "alias": true, "cd": true, "command": true, "eval": true, "exec": true, "exit": true, "export": true,
	"read": true, "set": true, "shift": true, "source": true, "trap": true, "ulimit": true, "umask": true, "unset": true, "wait": true,
}

var braced = regexp.MustCompile(`\{[A-Za-z_]+\}`)

// fillIn writes %IP% as a hook has it, and what looks like that so that it stays as it is.
func fillIn(s string) string {
	return strings.ReplaceAll(braced.ReplaceAllString(s, "{$0}"), knocker, "{source}")
}
