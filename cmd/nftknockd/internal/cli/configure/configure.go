// Package configure is the commands that write a configuration, and say what is in it. None
// needs a daemon.
package configure

import "github.com/spf13/cobra"

// Commands returns them.
func Commands(configFile *string) []*cobra.Command {
	return []*cobra.Command{
		initCommand(configFile),
		importCommand(),
		clientCommand(configFile),
		otpCommand(configFile),
		spaCommand(configFile),
		checkCommand(configFile),
		rulesetCommand(configFile),
	}
}
