// Package operate is the commands that change what a daemon, or the kernel, does.
package operate

import "github.com/spf13/cobra"

// Commands returns them.
func Commands(configFile *string) []*cobra.Command {
	return []*cobra.Command{
		openCommand(configFile),
		closeCommand(configFile),
		unmuteCommand(),
		reloadCommand(),
		trialCommand(configFile),
		removeCommand(configFile),
	}
}
