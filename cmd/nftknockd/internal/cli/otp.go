package cli

import (
	"fmt"
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
	if door := findDoor(cfg, name); door != nil {
		return door, nil
	}
	names := doorNames(cfg)
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no door %q: the configuration has none", name)
	}
	return nil, fmt.Errorf("there is no door %q: the configuration has %s", name, strings.Join(names, ", "))
}
