package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/knock"
)

func otpCommand(configFile *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "otp",
		Short: "Secrets of one-time codes, and the codes of the moment",
		Long: `A door can ask for a one-time code after its sequence: the six digits that every
authenticator app shows (TOTP, RFC 6238), knocked at two ports. Each code opens once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(otpNewCommand(configFile), otpShowCommand(configFile))
	return cmd
}

// doorNamed returns the door of a configuration.
func doorNamed(cfg *config.Config, name string) (*knock.Door, error) {
	i := slices.IndexFunc(cfg.Doors, func(d knock.Door) bool { return d.Name == name })
	if i >= 0 {
		return &cfg.Doors[i], nil
	}
	names := make([]string, len(cfg.Doors))
	for i, d := range cfg.Doors {
		names[i] = d.Name
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no door %q: the configuration has none", name)
	}
	return nil, fmt.Errorf("there is no door %q: the configuration has %s", name, strings.Join(names, ", "))
}
