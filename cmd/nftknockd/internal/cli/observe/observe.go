// Package observe is the commands that look at a daemon and change nothing.
package observe

import "github.com/spf13/cobra"

// Commands returns them.
func Commands(configFile *string) []*cobra.Command {
	return []*cobra.Command{statusCommand(configFile), watchCommand(), whyCommand()}
}
