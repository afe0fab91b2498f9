// Package cli is the commands of nftknockd: flags, output, and nothing else.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/build"
	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/cli/configure"
	"nftknock/cmd/nftknockd/internal/cli/observe"
	"nftknock/cmd/nftknockd/internal/cli/operate"
	"nftknock/cmd/nftknockd/internal/demo"
	"nftknock/config"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run runs the program with its arguments and returns its exit status.
func Run(args []string, stdout, stderr io.Writer) int {
	root := Command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// What goes wrong before a command is about to run is wrong usage.
	understood := false
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	called, err := root.ExecuteC()
	switch {
	case err == nil:
		return exitDone
	case !understood:
		fmt.Fprintf(stderr, "nftknockd: %v\nhint: %s --help\n", err, called.CommandPath())
		return exitUsage
	case errors.Is(err, command.ErrReported), errors.Is(err, demo.ErrReported):
		return exitFailed
	}
	printError(stderr, err)
	return exitFailed
}

// printError prints the problems of a configuration a line each, as compilers do.
func printError(w io.Writer, err error) {
	var problems config.Errors
	if errors.As(err, &problems) && strings.HasPrefix(err.Error(), problems.Error()) {
		fmt.Fprintln(w, err) // with the hint that it may carry
		return
	}
	fmt.Fprintf(w, "nftknockd: %v\n", err)
	if errors.Is(err, api.ErrNotRunning) {
		fmt.Fprintln(w, "hint: start it: systemctl start nftknockd, or nftknockd run; --socket names another daemon's socket")
	}
}

// Command returns the program's command with all of its subcommands.
func Command() *cobra.Command {
	root := &cobra.Command{
		Use:   "nftknockd",
		Short: "A port-knocking gate on nftables",
		Long: `nftknockd shuts ports with one nftables table, follows knocks through NFLOG, and
lets a source in for a time once it has knocked the right sequence.`,
		Version:       build.Read().String(),
		SilenceErrors: true,
		SilenceUsage:  true,

		Args: command.NoSuch,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.FlagError(err) })
	configFile := root.PersistentFlags().StringP("config", "c", config.DefaultFile, "configuration `FILE`")
	root.AddCommand(runCommand(configFile), hooksCommand(), fleetCommand(), demoCommand(configFile))
	root.AddCommand(observe.Commands(configFile)...)
	root.AddCommand(operate.Commands(configFile)...)
	root.AddCommand(configure.Commands(configFile)...)
	return root
}
