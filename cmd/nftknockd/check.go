package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/config"
)

func checkCommand(configFile *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print warnings",
		Long: `Validates the configuration and prints what is unwise in it, and how many tries it takes to
guess a door. It touches nothing and needs no root, but has to be able to read the file, and the
secrets of one-time codes beside it.`,
		Example: "  nftknockd check -c ./nftknockd.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, w := range warnings(cfg) {
				fmt.Fprintf(out, "warning: %v\n", w)
			}
			for _, d := range cfg.Doors {
				guards := "guards " + listOf(d.Ports)
				if len(d.Ports) == 0 {
					guards = "guards nothing, it is a trigger"
				}
				fmt.Fprintf(out, "door %s %s: %s\n", d.Name, guards, describeGuess(&d, cfg.Scan))
			}
			fmt.Fprintf(out, "%s: valid\n", *configFile)
			return nil
		},
	}
}

// warnings returns what is unwise in a configuration, on this host. What the
// host does not let us see gives no warnings.
func warnings(cfg *config.Config) []config.Problem {
	host, _ := config.ReadHost()
	return cfg.Warnings(host)
}
