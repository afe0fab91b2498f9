package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/knock"
)

func otpShowCommand(configFile *string) *cobra.Command {
	return &cobra.Command{
		Use:   "show DOOR",
		Short: "Print the current code of a door, and how to knock it",
		Long: `Prints the code that an authenticator app has to show now, the ports that spell it, and
those of the next code. Needs root, or to be the user that the secret's file belongs to.`,
		Example: "  nftknockd otp show ssh",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			door, err := doorNamed(cfg, args[0])
			if err != nil {
				return err
			}
			if door.CodeBase == 0 {
				return fmt.Errorf("door %s takes no codes\nhint: nftknockd otp new %s", door.Name, door.Name)
			}
			return showCodes(cmd.OutOrStdout(), door, cfg.OTP[door.Name].Secret, time.Now())
		},
	}
}

// showCodes prints the code of a moment and the one after it.
func showCodes(w io.Writer, door *knock.Door, secret config.Secret, now time.Time) error {
	step := stepAt(now)
	left := stepTime - now.Sub(time.Unix(step*int64(stepTime/time.Second), 0)).Truncate(time.Second)
	for _, c := range []struct {
		when string
		step int64
	}{
		{"now", step},
		{"next", step + 1},
	} {
		code, knocks, err := spelledCode(secret, c.step, door.CodeBase)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-5s%s %s  knock %v, then %v\n", c.when, code[:3], code[3:], knocks[0], knocks[1])
	}
	if len(door.Sequence) > 0 {
		fmt.Fprintln(w, "The door's sequence comes before the two knocks.")
	}
	_, err := fmt.Fprintf(w, "The code changes in %v.\n", left)
	return err
}
