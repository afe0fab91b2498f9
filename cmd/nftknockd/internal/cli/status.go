package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/config"
	"nftknock/nft"
)

func statusCommand(configFile *string) *cobra.Command {
	var asJSON, decoys bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the doors, and who is let in",
		Long: `Shows who is let in through which door, since when, for how long, and by what: a knock, or
somebody's hand. PACKETS counts what came to a door's ports and was not part of a connection, since the
table was installed or last changed. What knocks are expected is not shown, and the decoys, which are as secret, only with --decoys.

While the daemon is down it reads the kernel's table, which takes CAP_NET_ADMIN, and says so.`,
		Example: "  nftknockd status\n  nftknockd status --json | jq -r '.people[].source'",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object: CONTROL.md describes it")
	cmd.Flags().BoolVar(&decoys, "decoys", false, "list the decoys, which nobody else may see")
	socket := addSocketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		status, err := control.NewClient(*socket).Status()
		if errors.Is(err, control.ErrNotRunning) {
			status, err = statusWithoutDaemon(*configFile)
		}
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if !asJSON {
			return printStatus(out, status, decoys)
		}
		lines := json.NewEncoder(out)
		lines.SetIndent("", "  ")
		return lines.Encode(status)
	}
	return cmd
}

// statusWithoutDaemon returns what the kernel knows.
func statusWithoutDaemon(configFile string) (*control.Status, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, fmt.Errorf("%w: and which table to look at is not known: %w", control.ErrNotRunning, err)
	}
	return survey(cfg.Table, nft.Inspect)
}

func printStatus(w io.Writer, s *control.Status, decoys bool) error {
	page := page{style: styleOf(w)}
	page.headline(s)
	page.doors(s.Doors)
	page.people(s.People)
	if decoys && s.Daemon != nil {
		page.decoys(s.Daemon.Decoys)
	}
	_, err := w.Write(page.Bytes())
	return err
}
