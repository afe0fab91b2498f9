package operate

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/event"
)

func openCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open DOOR ADDR",
		Short: "Grant a source access, as its knock would",
		Long: `Grants a source access through a door, as the whole sequence from there would. ADDR is an
address, or a prefix: a /8 of IPv4 or a /32 of IPv6 at most. A link-local address has its interface.

A prefix takes the place of narrower prefixes within it, if it is granted for as long; addresses
within it keep grants of their own. Within one that is granted for as long it needs no grant.`,
		Example:           "  nftknockd open ssh 203.0.113.7\n  nftknockd open ssh 2001:db8:0:7::/64 --for 8h\n  nftknockd open ssh fe80::1%eth0",
		Args:              usage.Exactly("DOOR", "ADDR"),
		ValidArgsFunction: command.CompleteDoor(configFile),
	}
	duration := cmd.Flags().String("for", "", "how long, a `DURATION` such as 90s, 8h, 1d or forever; otherwise the door's open_timeout")
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
		r, err := client.Open(api.Request{Door: args[0], Source: args[1], For: *duration})
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "granted through door %s until %s: %s\n", r.Door, event.Until(r.Until), several(r.Sources))
		for _, w := range r.Still {
			fmt.Fprintf(out, "%s gets in without a grant: it is in always_allow\n", w.Source)
		}
		return nil
	}
	return cmd
}

func closeCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close DOOR {ADDR | --all}",
		Short: "Revoke a source's access",
		Long: `Revokes access through a door: of an address, of all within a prefix, or of everybody.
An address that is let in with a wider prefix stays in, which is an error that names the prefix:
revoke that. What else still lets them in to the door's ports is told: always_allow, and other
doors that guard the same. Connections that are up stay up.`,
		Example: "  nftknockd close ssh 203.0.113.7\n  nftknockd close ssh --all",
	}
	all := cmd.Flags().Bool("all", false, "everybody")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *all {
			return usage.Exactly("DOOR")(cmd, args)
		}
		return usage.Exactly("DOOR", "ADDR")(cmd, args)
	}
	cmd.ValidArgsFunction = command.CompleteDoor(configFile)
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := api.Request{Door: args[0], All: *all}
		if !*all {
			request.Source = args[1]
		}
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
		r, err := client.Close(request)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if len(r.Sources) == 0 {
			fmt.Fprintf(out, "nobody from there had access through door %s\n", r.Door)
		} else {
			fmt.Fprintf(out, "revoked at door %s: %s\n", r.Door, several(r.Sources))
		}
		for _, w := range r.Still {
			if w.Door == "" {
				fmt.Fprintf(out, "%s still gets in: it is in always_allow\n", w.Source)
			} else {
				fmt.Fprintf(out, "%s still gets in: through door %s, to the same port, until %s\n", w.Source, w.Door, event.Until(w.Until))
			}
		}
		return nil
	}
	return cmd
}

// several names up to a few sources.
func several(sources []string) string {
	const most = 4
	if len(sources) <= most {
		return strings.Join(sources, ", ")
	}
	return fmt.Sprintf("%s … %s, %d in all", sources[0], sources[len(sources)-1], len(sources))
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration anew",
		Long: `Has the running daemon read its configuration anew, and returns when that is in force. A bad
one is refused with all of its errors, and the old one stays in force. The grants of doors that
remain stay. To try another file, and put it in the place of the daemon's, there is
"nftknockd trial -c FILE".`,
		Example: "  nftknockd reload",
		Args:    usage.Exactly(),
	}
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
		err = client.Reload()
		if e, ok := errors.AsType[*api.Error](err); ok && e.Code == http.StatusUnprocessableEntity {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\nnftknockd: the old configuration stays in force\n", e.Text)
			return command.ErrReported
		}
		if err != nil {
			return err
		}
		if status, err := client.Status(); err == nil { // without, the log has the warnings
			for _, w := range status.Daemon.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
		}
		return nil
	}
	return cmd
}
