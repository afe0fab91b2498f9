package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/config"
)

// Letting in and putting out by hand.

func openCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open DOOR ADDR",
		Short: "Let a source in, as its knock would",
		Long: `Lets a source in through a door, as the whole sequence from there would. ADDR is an
address, or a prefix: all of it is let in, at most 256 times as much as the door lets in with one knock.`,
		Example:           "  nftknockd open ssh 203.0.113.7\n  nftknockd open ssh 2001:db8:0:7::/64 --for 8h",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeDoor(configFile),
	}
	duration := cmd.Flags().String("for", "", "how long, a `DURATION` such as 90s, 8h or forever; otherwise the door's open_timeout")
	socket := addSocketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := control.NewClient(*socket).Open(control.Request{Door: args[0], Source: args[1], For: *duration})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "let in through door %s until %s: %s\n", r.Door, until(r.Until), several(r.Sources))
		return nil
	}
	return cmd
}

func closeCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close DOOR {ADDR | --all}",
		Short: "Put a source out",
		Long: `Puts out who is let in through a door: from an address, from all of a prefix, or
everybody. Connections that are up stay up.`,
		Example: "  nftknockd close ssh 203.0.113.7\n  nftknockd close ssh --all",
	}
	all := cmd.Flags().Bool("all", false, "everybody")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *all {
			return cobra.ExactArgs(1)(cmd, args)
		}
		return cobra.ExactArgs(2)(cmd, args)
	}
	cmd.ValidArgsFunction = completeDoor(configFile)
	socket := addSocketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := control.Request{Door: args[0], All: *all}
		if !*all {
			request.Source = args[1]
		}
		r, err := control.NewClient(*socket).Close(request)
		if err != nil {
			return err
		}
		if len(r.Sources) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "nobody from there was let in through door %s\n", r.Door)
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "put out of door %s: %s\n", r.Door, several(r.Sources))
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

// completeDoor completes the names of doors, if the configuration can be read.
func completeDoor(configFile *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg, err := config.Load(*configFile)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return doorNames(cfg), cobra.ShellCompDirectiveNoFileComp
	}
}
