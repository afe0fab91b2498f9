package configure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/setup"
	"nftknock/cmd/nftknockd/internal/term"
	"nftknock/config"
	"nftknock/knock"
)

func initCommand(configFile *string) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration with a random sequence",
		Long: `Writes a configuration with one door, whose sequence is drawn at random: four ports above
1024, outside of the range from which the host takes ports for its own connections, with
nothing listening, and in no order. Then prints the client's side of it, as "nftknockd client"
does. A file that is there already gets the door added, unless it has one of the same name; all
else in it, comments included, stays as it is. Nothing is shut yet: "nftknockd trial" does that.

A new file is for root alone, or, where there is a group nftknock, as packages make it, for
that group to read too.`,
		Example: `  nftknockd init --host server.example.org
  nftknockd init --door vpn --port 51820:udp --output ./vpn.toml`,
		Args: usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.output == "" {
				o.output = *configFile
			}
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to `FILE` (default: the one of --config)")
	cmd.Flags().StringVar(&o.door, "door", "ssh", "the door's `NAME`")
	cmd.Flags().StringSliceVar(&o.ports, "port", []string{"22"}, "guard `PORT[:PROTO]`; may be given several times")
	cmd.Flags().StringVar(&o.host, "host", "", "the `NAME` or address by which clients reach this host (default: its host name)")
	return cmd
}

type initOptions struct {
	output, door, host string
	ports              []string
}

func (o *initOptions) run(stdout, stderr io.Writer) error {
	door := knock.Door{Name: o.door, OpenTimeout: time.Minute}
	for _, word := range o.ports {
		port, err := knock.ParsePort(word)
		if err != nil {
			return fmt.Errorf("--port %w", err)
		}
		door.Ports = append(door.Ports, port)
	}
	client, err := setup.NewClientSide(o.host)
	if err != nil {
		return err
	}
	host, err := config.ReadHost()
	if err != nil {
		return fmt.Errorf("cannot see which ports this host uses: %w", err)
	}
	before, err := os.ReadFile(o.output)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := setup.AddDoor(o.output, before, &door, host)
	if there && errors.As(err, new(config.Errors)) {
		return fmt.Errorf("%w\nhint: %s is as it was, and no door was added: correct it, and run init again; --output writes another file", err, o.output)
	}
	if err != nil {
		return err
	}
	if there {
		if err := config.WriteFile(o.output, text); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknockd: added door %s to %s\n", door.Name, o.output)
	} else {
		mode, err := setup.WriteConfig(o.output, string(text))
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknockd: wrote %s (mode %04o)\n", o.output, mode)
	}
	if err := printClient(stdout, client, new(config.Config), &door, ""); err != nil {
		return err
	}
	trial := "nftknockd trial"
	if o.output != config.DefaultFile {
		trial += " -c " + o.output
	}
	fmt.Fprintf(stderr, "hint: shut the door, on trial: %s\n", trial)
	return nil
}

// printClient prints the client's side of a door, with a QR code on a terminal.
func printClient(w io.Writer, client *setup.ClientSide, cfg *config.Config, door *knock.Door, person string) error {
	p, spaKey, err := client.Profile(cfg, door, person)
	if err != nil {
		return err
	}
	var draw func(io.Writer, string)
	if term.IsTerminal(w) {
		draw = drawQR
	}
	text, err := client.Text(p, spaKey, draw)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

func clientCommand(configFile *string) *cobra.Command {
	var host, person string
	cmd := &cobra.Command{
		Use:   "client DOOR",
		Short: "Print the client's side of a door",
		Long: `Prints what a client needs to knock at a door: one line for "nftknock add", a QR code of it on a
terminal, and the profile and what ssh needs, to be written by hand instead. It shows the door's
secrets on the screen, those of one-time codes included.`,
		Example:           "  nftknockd client ssh --host server.example.org",
		Args:              usage.Exactly("DOOR"),
		ValidArgsFunction: command.CompleteDoor(configFile),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			door, err := cfg.Door(args[0])
			if err != nil {
				return err
			}
			client, err := setup.NewClientSide(host)
			if err != nil {
				return err
			}
			return printClient(cmd.OutOrStdout(), client, cfg, door, person)
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "the `NAME` or address by which clients reach this host (default: its host name)")
	cmd.Flags().StringVar(&person, "person", "", "the `NAME` of whose packets open the door: its spa_keys without their ending")
	return cmd
}
