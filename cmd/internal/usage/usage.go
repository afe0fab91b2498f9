// Package usage says what is wrong with a command line, in words that tell what would be
// right: those of the packages that read it are for programmers.
package usage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exactly takes as many arguments as there are names, which are those of the command's Use.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		right := strings.Join(append([]string{cmd.CommandPath()}, names...), " ")
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing: want %s", names[len(args)], right)
		case len(args) > len(names) && len(names) == 0:
			return fmt.Errorf("unexpected argument %q: %s takes none", args[0], right)
		case len(args) > len(names):
			return fmt.Errorf("unexpected argument %q: want %s", args[len(names)], right)
		}
		return nil
	}
}

// wants is what the values of flags have to be, by the type that pflag gives them.
var wants = map[string]string{
	"uint8":    "a whole number from 0 to 255",
	"uint16":   "a whole number from 0 to 65535",
	"int":      "a whole number",
	"duration": "a time such as 90s or 2m",
	"bool":     "true or false",
}

// FlagError returns an error of a flag in plain words. What a flag of our own says stays.
func FlagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	text := invalid.Unwrap().Error()
	if raw := strings.HasPrefix(text, "strconv.") || strings.HasPrefix(text, "time: "); raw {
		text = "want " + wants[flag.Value.Type()]
	}
	return fmt.Errorf("--%s: invalid value %q: %s", flag.Name, invalid.GetValue(), text)
}
