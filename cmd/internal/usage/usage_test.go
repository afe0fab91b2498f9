package usage

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                     "DOOR is missing: want gate open DOOR ADDR",
		"ssh":                  "ADDR is missing: want gate open DOOR ADDR",
		"ssh 192.0.2.1 1h":     `unexpected argument "1h": want gate open DOOR ADDR`,
		"ssh 192.0.2.1":        "",
		"--wait=ssh a b":       `--wait: invalid value "ssh": want a whole number from 0 to 65535`,
		"--retry=-1 a b":       `--retry: invalid value "-1": want a whole number from 0 to 255`,
		"--mute=5 a b":         `--mute: invalid value "5": want a time such as 90s or 2m`,
		"--at-once=many a b":   `--at-once: invalid value "many": want a whole number`,
		"--force=perhaps a b":  `--force: invalid value "perhaps": want true or false`,
		"--force --wait=9 a b": "",
	} {
		root := &cobra.Command{Use: "gate", SilenceErrors: true, SilenceUsage: true}
		cmd := &cobra.Command{Use: "open", Args: Exactly("DOOR", "ADDR"), Run: func(*cobra.Command, []string) {}}
		root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return FlagError(err) })
		cmd.Flags().Uint16("wait", 0, "")
		cmd.Flags().Uint8("retry", 0, "")
		cmd.Flags().Duration("mute", time.Second, "")
		cmd.Flags().Int("at-once", 1, "")
		cmd.Flags().Bool("force", false, "")
		root.AddCommand(cmd)
		root.SetArgs(append([]string{"open"}, strings.Fields(line)...))
		got := ""
		if err := root.Execute(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s\nwant %s", line, got, want)
		}
	}
}
