// Package cli is the commands of nftknockd: flags, output, and nothing else.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config"
)

const defaultConfig = "/etc/nftknock/nftknockd.toml"

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run runs the program with its arguments and returns its exit status.
func Run(args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
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
		fmt.Fprintf(stderr, "nftknockd: %v\nnftknockd: hint: %s --help\n", err, called.CommandPath())
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	}
	printError(stderr, err)
	return exitFailed
}

// printError prints problems of the configuration a line each, as compilers do,
// and any other error as one.
func printError(w io.Writer, err error) {
	var problems config.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(w, problems)
		return
	}
	fmt.Fprintf(w, "nftknockd: %v\n", err)
}

// noSuchCommand refuses what is not the name of a command, and suggests one that is near.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "nftknockd",
		Short: "A port-knocking gate on nftables",
		Long: `nftknockd shuts ports with one nftables table, follows knocks through NFLOG, and
lets a source in for a time when it has knocked the right sequence.`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,

		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	configFile := root.PersistentFlags().StringP("config", "c", defaultConfig, "configuration `FILE`")
	root.AddCommand(
		runCommand(configFile),
		checkCommand(configFile),
		rulesetCommand(configFile),
		statusCommand(configFile),
		openCommand(configFile),
		closeCommand(configFile),
		watchCommand(),
		reloadCommand(),
		demoCommand(configFile),
		removeCommand(configFile),
		otpCommand(configFile),
		trialCommand(configFile),
		initCommand(configFile),
		importCommand(),
		docsCommand(),
	)
	return root
}
