package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/spf13/cobra"

	"nftknock/config"
)

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
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The secret is not there yet.
			cfg, err := config.LoadWithoutSecrets(*configFile)
			if err != nil {
				return err
			}
			door, err := doorNamed(cfg, args[0])
			if err != nil {
				return err
			}
			configured := door.CodeBase != 0
			file := cfg.OTP[door.Name].File
			if !configured {
				file = filepath.Join(filepath.Dir(*configFile), door.Name+".otp")
			}
			key, err := newKey(door.Name)
			if err != nil {
				return err
			}
			if err := writeSecret(file, *configFile, key.Secret()); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: made\n\n%s\n\n", file, key)
			if !noQR {
				drawQR(out, key.String())
			}
			if !configured {
				// The host may not let us see what listens: then that is not avoided.
				host, _ := config.ReadHost()
				explainCodes(out, *configFile, door.Name, file, freeCodeBase(cfg, host))
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
	return totp.Generate(totp.GenerateOpts{Issuer: "nftknock", AccountName: door + "@" + host, SecretSize: 20})
}

// writeSecret makes a file that nobody but the daemon can read, or root where the
// daemon is root.
func writeSecret(path, configFile, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and phones may rely on it\nhint: remove it first if none does", path)
	}
	if err != nil {
		return err
	}
	err = giveToDaemon(f, configFile)
	if err == nil {
		_, err = f.WriteString(secret + "\n")
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return syncDir(filepath.Dir(path))
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

// explainCodes says what to add to a door that takes no codes yet.
func explainCodes(w io.Writer, configFile, door, file string, base uint16) {
	fmt.Fprintf(w, "Add to [door.%s] in %s:\n\n", door, configFile)
	fmt.Fprintf(w, "otp_secret_file = %q\n", filepath.Base(file))
	if base == 0 {
		fmt.Fprintln(w, "otp_base = …  # the first of 2,000 ports that nothing uses; none was found")
	} else {
		fmt.Fprintf(w, "otp_base = %d\n", base)
	}
	fmt.Fprintln(w)
}
