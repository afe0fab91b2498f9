package configure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mdp/qrterminal/v3"
	"github.com/pquerna/otp"
	keys "github.com/pquerna/otp/totp"
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/setup"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/totp"
)

func otpCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "otp",
		Short: "Secrets of one-time codes, and the codes of the moment",
		Long: `A door can ask for a one-time code after its sequence: the six digits that every
authenticator app shows (TOTP, RFC 6238), knocked at two ports. Each code opens once.`,
		Args: command.NoSuch,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(otpNewCommand(configFile), otpShowCommand(configFile))
	return cmd
}

func otpNewCommand(configFile *string) *cobra.Command {
	var noQR bool
	cmd := &cobra.Command{
		Use:   "new DOOR",
		Short: "Make the secret of a door's one-time codes, and show it to a phone",
		Long: `Makes the file with the secret of a door's one-time codes, and shows it as an
otpauth:// URI and as a QR code for an authenticator app. If the door takes no codes yet, says
what to add to it. A file that is there already is never overwritten. Run by root, it gives the
file to the daemon's user: the one named like the group that may read the configuration.`,
		Example: "  nftknockd otp new ssh",
		Args:    usage.Exactly("DOOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The secret is not there yet.
			cfg, err := config.LoadWithoutSecrets(*configFile)
			if err != nil {
				return err
			}
			door, err := cfg.Door(args[0])
			if err != nil {
				return err
			}
			configured := door.CodeBase != 0
			file := cfg.OTP[door.Name].File
			if !configured {
				file = codeFile(*configFile, door)
			}
			key, err := newKey(door.Name)
			if err != nil {
				return err
			}
			switch err := setup.WriteSecret(file, *configFile, key.Secret()); {
			case errors.Is(err, setup.ErrThere) && configured:
				return fmt.Errorf("%w\nhint: nftknockd client %s prints it for a client once more; for another secret, remove the file first", err, door.Name)
			case errors.Is(err, setup.ErrThere):
				return fmt.Errorf("%w\nhint: for another secret, remove the file first; to use this one, %s", err, useCodes(cfg, *configFile, door))
			case err != nil:
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: made\n\n%s\n\n", file, key)
			if !noQR {
				drawQR(out, key.String())
			}
			if !configured {
				fmt.Fprintf(out, "To use it, %s\n\n", useCodes(cfg, *configFile, door))
			}
			fmt.Fprintf(out, "Show it to an authenticator app, compare with `nftknockd otp show %s`, and reload the daemon.\n", door.Name)
			return nil
		},
	}
	cmd.Flags().BoolVar(&noQR, "no-qr", false, "print the URI alone")
	return cmd
}

// newKey makes a secret of 160 bits, as RFC 4226, section 4, recommends. The app
// shows it under the names of the door and of this host.
func newKey(door string) (*otp.Key, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return keys.Generate(keys.GenerateOpts{Issuer: "nftknock", AccountName: door + "@" + host, SecretSize: 20})
}

// drawQR draws a QR code of text, two rows a line. It sets the colours, because not
// every app reads white on black, which is what letters on a bright terminal make of it.
func drawQR(w io.Writer, text string) {
	var code bytes.Buffer
	qrterminal.GenerateHalfBlock(text, qrterminal.L, &code)
	for line := range strings.Lines(code.String()) {
		fmt.Fprintf(w, "\x1b[97;40m%s\x1b[0m\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprintln(w)
}

// codeFile returns the file of a secret for a door that takes no codes yet.
func codeFile(configFile string, door *knock.Door) string {
	return filepath.Join(filepath.Dir(configFile), door.Name+".otp")
}

// useCodes says what to add to a door that takes no codes yet.
func useCodes(cfg *config.Config, configFile string, door *knock.Door) string {
	host, _ := config.ReadHost() // it may not let us see what listens: then that is not avoided
	base := "…  # the first of 2,000 ports that nothing uses; none was found"
	if n := setup.FreeCodeBase(cfg, host); n != 0 {
		base = fmt.Sprint(n)
	}
	return fmt.Sprintf("add to [door.%s] in %s:\n\notp_secret_file = %q\notp_base = %s",
		door.Name, configFile, filepath.Base(codeFile(configFile, door)), base)
}

func otpShowCommand(configFile *string) *cobra.Command {
	return &cobra.Command{
		Use:   "show DOOR",
		Short: "Print the current code of a door, and how to knock it",
		Long: `Prints the code that an authenticator app has to show now, the ports that spell it, and
those of the next code. Needs root, or to be the user that the secret's file belongs to.`,
		Example: "  nftknockd otp show ssh",
		Args:    usage.Exactly("DOOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			door, err := cfg.Door(args[0])
			if err != nil {
				return err
			}
			if door.CodeBase == 0 {
				if _, err := os.Stat(codeFile(*configFile, door)); err == nil {
					return fmt.Errorf("door %s takes no codes yet\nhint: the secret is there: to use it, %s", door.Name, useCodes(cfg, *configFile, door))
				}
				return fmt.Errorf("door %s takes no codes\nhint: nftknockd otp new %s", door.Name, door.Name)
			}
			return showCodes(cmd.OutOrStdout(), door, cfg.OTP[door.Name].Secret, time.Now())
		},
	}
}

// showCodes prints the code of a moment and the one after it.
func showCodes(w io.Writer, door *knock.Door, secret config.Secret, now time.Time) error {
	step := totp.Step(now)
	left := totp.Period - now.Sub(totp.Start(step)).Truncate(time.Second)
	for _, c := range []struct {
		when string
		step int64
	}{
		{"now", step},
		{"next", step + 1},
	} {
		code, knocks, err := totp.Spell(string(secret), c.step, door.CodeBase)
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
