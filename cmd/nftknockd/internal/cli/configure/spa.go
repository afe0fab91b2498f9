package configure

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/setup"
	"nftknock/config"
	"nftknock/knock/spa"
)

func spaCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spa",
		Short: "Keys of single packet authorization",
		Long: `A door can be opened by one encrypted packet, which nftknock sends, and every client of
fwknop's. Each person has a key; each packet opens once.`,
		Args: command.NoSuch,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(spaNewCommand(configFile))
	return cmd
}

// personForm is what the name of a key file can be without its ending.
var personForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,58}$`)

func spaNewCommand(configFile *string) *cobra.Command {
	var noQR bool
	var host string
	cmd := &cobra.Command{
		Use:   "new DOOR NAME",
		Short: "Make a person's key for a door, and show the client's side of it",
		Long: `Makes the file with a person's key, NAME.spa beside the configuration, and shows what the
person needs: a line for "nftknock add", a stanza for fwknop's .fwknoprc, and a QR code for
fwknop's app. If the door does not take the key yet, says what to add to it. A file that is
there already is never overwritten. Run by root, it gives the file to the daemon's user: the one
named like the group that may read the configuration.

All that it prints is secret: who has it can open the door.`,
		Example: "  nftknockd spa new ssh alice",
		Args:    usage.Exactly("DOOR", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The key is not there yet.
			cfg, err := config.LoadWithoutSecrets(*configFile)
			if err != nil {
				return err
			}
			door, err := cfg.Door(args[0])
			if err != nil {
				return err
			}
			if len(door.Ports) == 0 {
				return fmt.Errorf("door %s guards no port, and a packet asks for ports: it cannot open this door", door.Name)
			}
			if !personForm.MatchString(args[1]) {
				return fmt.Errorf("%q cannot be a person's name: want letters, digits, dots, _, @ or -, beginning with a letter or digit", args[1])
			}
			client, err := setup.NewClientSide(host)
			if err != nil {
				return err
			}
			key := spa.NewKey(args[1])
			file, configured := keyFile(cfg, *configFile, door.Name, key.Name)
			switch err := setup.WriteSecret(file, *configFile, strings.TrimSuffix(key.File(), "\n")); {
			case errors.Is(err, setup.ErrThere) && configured:
				return fmt.Errorf("%w\nhint: nftknockd client %s --person %s prints it for a client once more; for another key, remove the file first",
					err, door.Name, key.Name)
			case errors.Is(err, setup.ErrThere):
				return fmt.Errorf("%w\nhint: for another key, remove the file first; to use this one, %s", err, useKey(cfg, *configFile, door.Name, file))
			case err != nil:
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: made\n\n", file)
			if !configured {
				fmt.Fprintf(out, "To use it, %s\n\n", useKey(cfg, *configFile, door.Name, file))
			}
			text, err := client.PacketText(door, key, cfg.SPA.Port.Number)
			if err != nil {
				return err
			}
			fmt.Fprint(out, text)
			if !noQR {
				cipher, hmac := key.Base64()
				fmt.Fprint(out, "# For fwknop's app:\n\n")
				drawQR(out, "KEY_BASE64:"+cipher+" HMAC_KEY_BASE64:"+hmac)
			}
			_, err = fmt.Fprintf(out, "Then have the daemon take it: nftknockd reload\n")
			return err
		},
	}
	cmd.Flags().BoolVar(&noQR, "no-qr", false, "draw no QR code")
	cmd.Flags().StringVar(&host, "host", "", "the `NAME` or address by which clients reach this host (default: its host name)")
	return cmd
}

// keyFile returns the file of a person's key, and whether the door takes it already.
func keyFile(cfg *config.Config, configFile, door, name string) (file string, configured bool) {
	for _, d := range cfg.SPA.Doors {
		for _, k := range d.Keys {
			if k.Name == name {
				file = k.File
			}
		}
	}
	if file == "" {
		return filepath.Join(filepath.Dir(configFile), name+".spa"), false
	}
	return file, slices.ContainsFunc(cfg.SPA.Doors[door].Keys, func(k config.SPAKey) bool { return k.Name == name })
}

// useKey says what to write into a door that does not take a key yet.
func useKey(cfg *config.Config, configFile, door, file string) string {
	var files []string
	for _, k := range cfg.SPA.Doors[door].Keys {
		files = append(files, k.File)
	}
	files = append(files, file)
	for i, f := range files {
		if filepath.Dir(f) == filepath.Dir(configFile) {
			files[i] = filepath.Base(f)
		}
		files[i] = fmt.Sprintf("%q", files[i])
	}
	return fmt.Sprintf("write into [door.%s] of %s:\n\nspa_keys = [%s]", door, configFile, strings.Join(files, ", "))
}
