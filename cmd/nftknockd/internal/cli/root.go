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
	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/cmd/nftknockd/internal/demo"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
)

// DefaultConfig is the configuration of --config.
const DefaultConfig = "/etc/nftknock/nftknockd.toml"

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
		fmt.Fprintf(stderr, "nftknockd: %v\nnftknockd: hint: %s --help\n", err, called.CommandPath())
		return exitUsage
	case errors.Is(err, errReported), errors.Is(err, demo.ErrReported):
		return exitFailed
	}
	printError(stderr, err)
	return exitFailed
}

// errReported says that the error has been printed.
var errReported = errors.New("reported")

// printError prints the problems of a configuration a line each, as compilers do.
func printError(w io.Writer, err error) {
	var problems config.Errors
	if errors.As(err, &problems) && strings.HasPrefix(err.Error(), problems.Error()) {
		fmt.Fprintln(w, err) // with the hint that it may carry
		return
	}
	fmt.Fprintf(w, "nftknockd: %v\n", err)
	if errors.Is(err, control.ErrNotRunning) {
		fmt.Fprintln(w, "hint: start it: systemctl start nftknockd, or nftknockd run; --socket names another daemon's socket")
	}
}

// noSuchCommand refuses an unknown command, and suggests one of a similar name.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
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

		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.FlagError(err) })
	configFile := root.PersistentFlags().StringP("config", "c", DefaultConfig, "configuration `FILE`")
	root.AddCommand(
		runCommand(configFile),
		checkCommand(configFile),
		rulesetCommand(configFile),
		statusCommand(configFile),
		openCommand(configFile),
		closeCommand(configFile),
		watchCommand(),
		whyCommand(),
		unmuteCommand(),
		reloadCommand(),
		demoCommand(configFile),
		removeCommand(configFile),
		otpCommand(configFile),
		spaCommand(configFile),
		trialCommand(configFile),
		initCommand(configFile),
		clientCommand(configFile),
		importCommand(),
		hooksCommand(),
	)
	return root
}

// addSocketFlag adds the flag of the daemon and of the commands that talk to it.
func addSocketFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("socket", control.DefaultSocket, "control socket `PATH`")
}

// addStateFlag adds the flag of the commands that use the state directory.
func addStateFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", "", "state `DIR`ectory (default $STATE_DIRECTORY, or "+string(statedir.Default)+")")
}

// portList returns ports as people write them, one after the other.
func portList(ports []knock.Port) string { return strings.Join(knock.PortNames(ports), ", ") }
