// Package command is what the commands of nftknockd have in common: flags, and what they say
// when they cannot go on.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
)

// ErrReported says that the error has been printed.
var ErrReported = errors.New("reported")

// NoSuch refuses an unknown command, and suggests one of a similar name.
func NoSuch(cmd *cobra.Command, args []string) error {
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

// AddSocket adds the flag of the daemon and of the commands that talk to it.
func AddSocket(cmd *cobra.Command) *string {
	return cmd.Flags().String("socket", api.DefaultSocket, "control socket `PATH`")
}

// AddState adds the flag of the commands that use the state directory.
func AddState(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", "", "state `DIR`ectory (default $STATE_DIRECTORY, or "+string(statedir.Default)+")")
}

// CompleteDoor completes the names of doors, if the configuration can be read.
func CompleteDoor(configFile *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg, err := config.Load(*configFile)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return cfg.DoorNames(), cobra.ShellCompDirectiveNoFileComp
	}
}

// AskDaemon returns a client of the daemon at a socket. Which file that reads is not up to
// --config: one that names another is an error.
func AskDaemon(cmd *cobra.Command, socket string) (*api.Client, error) {
	client := api.NewClient(socket)
	named := cmd.Flag("config")
	if !named.Changed {
		return client, nil
	}
	status, err := client.Status()
	if err != nil {
		return nil, err
	}
	if file := named.Value.String(); !SameFile(file, status.Daemon.File) {
		return nil, fmt.Errorf("the daemon at %s reads %s, not %s\n"+
			"hint: nftknockd trial -c FILE tries another file; --socket PATH asks another daemon", socket, status.Daemon.File, file)
	}
	return client, nil
}

// SameFile reports whether two paths lead to one file, or would if it were there.
func SameFile(a, b string) bool {
	if abs, err := filepath.Abs(a); err == nil && abs == b {
		return true
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// UntilSignal returns a context that ends with SIGTERM or SIGINT. A second signal then has its
// default action: the process waits for nothing more.
func UntilSignal() (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
