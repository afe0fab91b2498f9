package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mdp/qrterminal/v3"
	"github.com/pquerna/otp"
	keys "github.com/pquerna/otp/totp"
	"github.com/spf13/cobra"

	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/statedir"
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
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(otpNewCommand(configFile), otpShowCommand(configFile))
	return cmd
}

// doorNamed returns the door of a configuration.
func doorNamed(cfg *config.Config, name string) (*knock.Door, error) {
	if door := gate.FindDoor(cfg, name); door != nil {
		return door, nil
	}
	names := gate.DoorNames(cfg)
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no door %q: the configuration has none", name)
	}
	return nil, fmt.Errorf("there is no door %q: the configuration has %s", name, strings.Join(names, ", "))
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
	return keys.Generate(keys.GenerateOpts{Issuer: "nftknock", AccountName: door + "@" + host, SecretSize: 20})
}

// writeSecret makes a file that nobody but the daemon can read, or root where the
// daemon is root.
func writeSecret(path, configFile, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and clients may rely on it\nhint: remove it first if none does", path)
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
	return statedir.SyncDir(filepath.Dir(path))
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

// freeCodeBase returns the first of knock.CodePorts ports that neither the
// configuration nor the host uses, or 0 if there is none. It is a whole thousand, so
// that the digits of a code can be seen in the ports.
func freeCodeBase(cfg *config.Config, host config.Host) uint16 {
	used := make(map[uint16]bool)
	for p := range host.Listening {
		used[p.Number] = true
	}
	for _, d := range cfg.Doors {
		for _, p := range slices.Concat(d.Ports, d.Sequence, d.CloseSequence) {
			used[p.Number] = true
		}
	}
	free := func(base int) bool {
		if base <= int(host.EphemeralLast) && base+knock.CodePorts > int(host.EphemeralFirst) {
			return false
		}
		if slices.ContainsFunc(cfg.Doors, func(d knock.Door) bool {
			return d.CodeBase != 0 && base < int(d.CodeBase)+knock.CodePorts && int(d.CodeBase) < base+knock.CodePorts
		}) {
			return false
		}
		for p := range used {
			if int(p) >= base && int(p) < base+knock.CodePorts {
				return false
			}
		}
		return true
	}
	// Low ports are the likelier ones to be somebody's some day.
	for base := 20000; base+knock.CodePorts <= 65536; base += 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	for base := 19000; base > 1024; base -= 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	return 0
}

// giveToDaemon gives a file to the user that the daemon runs as. That is the one named
// like the group that may read the configuration, as the package makes them; where
// the group is root's, or somebody else than root asks, the file stays whose it is.
func giveToDaemon(f *os.File, configFile string) error {
	info, err := os.Stat(configFile)
	if err != nil {
		return err
	}
	gid := info.Sys().(*syscall.Stat_t).Gid
	if os.Geteuid() != 0 || gid == 0 {
		return nil
	}
	group, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return fmt.Errorf("whose is the secret to be? The group of %s: %w", configFile, err)
	}
	owner, err := user.Lookup(group.Name)
	if err != nil {
		return fmt.Errorf("whose is the secret to be? The user named like the group of %s: %w", configFile, err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return f.Chown(uid, int(gid))
}
