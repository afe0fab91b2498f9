package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/config/profile"
	"nftknock/knock"
	"nftknock/knock/spa"
)

func spaCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spa",
		Short: "Keys of single packet authorization",
		Long: `A door can be opened by one encrypted packet, which nftknock sends, and every client of
fwknop's. Each person has a key; each packet opens once.`,
		Args: cobra.NoArgs,
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
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The key is not there yet.
			cfg, err := config.LoadWithoutSecrets(*configFile)
			if err != nil {
				return err
			}
			door, err := doorNamed(cfg, args[0])
			if err != nil {
				return err
			}
			if len(door.Ports) == 0 {
				return fmt.Errorf("door %s guards no port, and a packet asks for ports: it cannot open this door", door.Name)
			}
			if !personForm.MatchString(args[1]) {
				return fmt.Errorf("%q cannot be a person's name: want letters, digits, dots, _, @ or -, beginning with a letter or digit", args[1])
			}
			client, err := newClientSide(host)
			if err != nil {
				return err
			}
			key := spa.NewKey(args[1])
			file, configured := keyFile(cfg, *configFile, door.Name, key.Name)
			if err := writeSecret(file, *configFile, strings.TrimSuffix(key.File(), "\n")); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: made\n\n", file)
			if !configured {
				explainKey(out, cfg, *configFile, door.Name, file)
			}
			if err := client.explainPacket(out, cfg, door, key, !noQR); err != nil {
				return err
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

// explainKey says what to add to a door that does not take a key yet.
func explainKey(w io.Writer, cfg *config.Config, configFile, door, file string) {
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
	fmt.Fprintf(w, "In [door.%s] of %s:\n\nspa_keys = [%s]\n\n", door, configFile, strings.Join(files, ", "))
}

// explainPacket writes what a person needs who opens a door with a packet.
func (c *clientSide) explainPacket(w io.Writer, cfg *config.Config, door *knock.Door, key spa.Key, qr bool) error {
	if port := firstTCP(door.Ports); port != 0 {
		p := profile.New(c.profile)
		p.Host, p.Wait, p.SPAKeyFile, p.SPAPort = c.host, port, key.Name+".spa", cfg.SPA.Port.Number
		line, err := p.Line(config.Secret(key.File()))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "For nftknock: run \"nftknock add\" on the client, and paste this line.\n\n%s\n\n", line)
	}
	var access []string
	for _, p := range door.Ports {
		access = append(access, fmt.Sprintf("%s/%d", p.Proto, p.Number))
	}
	cipher, hmac := key.Base64()
	fmt.Fprintf(w, `For fwknop: in ~/.fwknoprc, for nobody else to read (chmod 600); then run
"fwknop -n %s -a ADDRESS", with the address from which the connection will come.

[%[1]s]
SPA_SERVER          %s
SPA_SERVER_PORT     %d
ACCESS              %s
KEY_BASE64          %s
HMAC_KEY_BASE64     %s
USE_HMAC            Y

`, c.profile, c.host, cfg.SPA.Port.Number, strings.Join(access, ","), cipher, hmac)
	if qr {
		fmt.Fprint(w, "For fwknop's app:\n\n")
		drawQR(w, "KEY_BASE64:"+cipher+" HMAC_KEY_BASE64:"+hmac)
	}
	return nil
}
