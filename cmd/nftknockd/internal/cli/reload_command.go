package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"nftknock/cmd/nftknockd/internal/control"
)

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration again",
		Long: `Has the running daemon read its configuration again, and returns when that is in force.
A bad one is refused with all of its errors, and the old one stays in force. Who is in through a
door that remains stays in.`,
		Example: "  nftknockd reload",
		Args:    cobra.NoArgs,
	}
	socket := addSocketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		err := control.NewClient(*socket).Reload()
		if e, ok := errors.AsType[*control.Error](err); ok && e.Code == http.StatusUnprocessableEntity {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\nnftknockd: the old configuration stays in force\n", e.Text)
			return errReported
		}
		return err
	}
	return cmd
}
