package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"nftknock/config/internal/doc"
)

// A Hook is a program that is run, without a shell, when something happens.
type Hook struct {
	Name    string
	Door    string        // at this one; empty: at any
	On      []HookEvent   // at least one; default HookGranted
	Run     []string      // the program, by its whole path, and its arguments, in which {source} and the like stand
	Timeout time.Duration // after which it is ended: 1s to 1h, default 30s
}

// A HookEvent is what a hook is run for.
type HookEvent string

const (
	HookGranted HookEvent = "granted" // somebody was let in
	HookRevoked HookEvent = "revoked" // somebody was put out
	HookExpired HookEvent = "expired" // somebody's time was over
	HookRefused HookEvent = "refused" // a code or packet was wrong
	HookScan    HookEvent = "scan"    // somebody touched a decoy, and is muted
)

var hookEvents = []HookEvent{HookGranted, HookRevoked, HookExpired, HookRefused, HookScan}

// HookPlaceholders are what is filled in, in curly brackets, in the arguments of a hook.
var HookPlaceholders = []string{"source", "door", "by", "event"}

const maxHookTimeout = time.Hour

var (
	hookKeys = []string{"door", "on", "run", "timeout"}

	hookName    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	placeholder = regexp.MustCompile(`\{\{[A-Za-z_]+\}\}|\{([A-Za-z_]+)\}`) // a doubled one stands for itself
)

const exampleRun = `such as ["/usr/bin/logger", "{source} is let in"]`

// hooks reads the hooks, in the order of the file.
func (r *reader) hooks(root *doc.Section, doors []*door) []Hook {
	var hooks []Hook
	for _, s := range root.Named("hook", "a hook is a table with a name, such as [hook.wake]") {
		name := s.Owner
		s.Owner, s.Prefix = "", "hook."+doc.Plain(name)
		h := Hook{Name: name, On: []HookEvent{HookGranted}, Timeout: 30 * time.Second}
		if !hookName.MatchString(name) {
			r.Report(s.Node.Line(), "", s.Prefix, "%q is not a name for a hook: "+
				"write a lower-case letter, then up to 31 lower-case letters, digits, _ or -", name)
		}
		s.RefuseUnknown(hookKeys)
		s.Require("run", "write the program and its arguments, "+exampleRun)
		doc.Read(s, "door", &h.Door, func(v any) (string, error) { return doorOf(v, doors) })
		doc.Read(s, "on", &h.On, hookOn)
		doc.Read(s, "run", &h.Run, hookRun)
		doc.Read(s, "timeout", &h.Timeout, doc.Duration(maxHookTimeout, "from 1s to 1h", false))
		if s.Has("door") && slices.Contains(h.On, HookScan) {
			s.Fail("door", `a scan is at no door: leave this out, or take "scan" out of on`)
		}
		hooks = append(hooks, h)
	}
	return hooks
}

func hookOn(v any) ([]HookEvent, error) {
	const right = `such as ["granted", "expired"]`
	seen := make(map[HookEvent]bool)
	on, err := doc.List(v, right, func(_ int, v any) (HookEvent, error) {
		s, ok := v.(string)
		e := HookEvent(s)
		switch {
		case !ok:
			return "", doc.WrongKind(v, `an event, such as "granted"`)
		case !slices.Contains(hookEvents, e):
			return "", fmt.Errorf("invalid value %q: want %s", s, words(hookEvents))
		case seen[e]:
			return "", fmt.Errorf("%q is there twice: write it once", s)
		}
		seen[e] = true
		return e, nil
	})
	if err == nil && len(on) == 0 {
		err = errors.New("is empty: write " + words(hookEvents))
	}
	return on, err
}

// words lists words to choose from.
func words[T ~string](all []T) string {
	quoted := make([]string, len(all))
	for i, w := range all {
		quoted[i] = fmt.Sprintf("%q", string(w))
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

func hookRun(v any) ([]string, error) {
	args, err := doc.List(v, exampleRun, func(position int, v any) (string, error) {
		s, ok := v.(string)
		switch {
		case !ok:
			return "", doc.WrongKind(v, fmt.Sprintf("word %d as a string", position))
		case strings.ContainsRune(s, 0):
			return "", fmt.Errorf("word %d holds a zero byte, which no program can be given: leave it out", position)
		case position == 1 && (!filepath.IsAbs(s) || strings.HasSuffix(s, "/")):
			return "", fmt.Errorf("%q is not the whole path of a program: write it, %s", s, exampleRun)
		case position == 1 && placeholder.MatchString(s):
			return "", errors.New("the program cannot depend on what happens: write its whole path, " + exampleRun)
		}
		for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
			if m[1] != "" && !slices.Contains(HookPlaceholders, m[1]) {
				return "", fmt.Errorf("word %d: nothing is known to fill in for {%s}: possible are {%s}; {{%[2]s}} is left as {%[2]s}", position, m[1], strings.Join(HookPlaceholders, "}, {"))
			}
		}
		return s, nil
	})
	if err == nil && len(args) == 0 {
		err = errors.New("is empty: write the program and its arguments, " + exampleRun)
	}
	return args, err
}

// Args returns what is run: the program and its arguments, in which fill has said what to
// write for each placeholder, and {{word}} has become {word}.
func (h Hook) Args(fill func(placeholder string) string) []string {
	args := slices.Clone(h.Run)
	for i, arg := range args {
		args[i] = placeholder.ReplaceAllStringFunc(arg, func(s string) string {
			if strings.HasPrefix(s, "{{") {
				return s[1 : len(s)-1]
			}
			return fill(s[1 : len(s)-1])
		})
	}
	return args
}

// TOML returns the hook as it stands in a configuration.
func (h Hook) TOML() string {
	t := doc.NewTable("hook", h.Name)
	if h.Door != "" {
		t.Set("door", doc.Quote(h.Door))
	}
	on := make([]string, len(h.On))
	for i, e := range h.On {
		on[i] = string(e)
	}
	t.Set("on", doc.QuoteList(on))
	t.Set("run", doc.QuoteList(h.Run))
	if h.Timeout != 0 && h.Timeout != 30*time.Second {
		t.Set("timeout", doc.Quote(FormatDuration(h.Timeout)))
	}
	return t.String()
}
