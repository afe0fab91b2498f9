package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/config/profile"
)

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the profiles",
		Long: `Lists the profiles: their names, hosts, the ports that wait behind the doors, and what opens
them: a sequence, a one-time code, a packet (single packet authorization). No secrets.`,
		Example: "  nftknock list",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			hosts, err := loadProfiles()
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(cmd.ErrOrStderr(), "nftknock: there are no profiles yet\nhint: nftknock add takes the line that nftknockd prints on the server")
				return nil
			}
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, p := range hosts {
				port := "-"
				if p.Wait != 0 {
					port = strconv.Itoa(int(p.Wait))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.Host, port, openedBy(p))
			}
			return w.Flush()
		},
	}
}

// openedBy returns the kinds of what opens the door of a profile.
func openedBy(p profile.Profile) string {
	var kinds []string
	if len(p.Sequence) > 0 {
		kinds = append(kinds, "sequence")
	}
	if p.OTPSecret != "" {
		kinds = append(kinds, "code")
	}
	if p.SPAKeyFile != "" {
		kinds = append(kinds, "packet")
	}
	return strings.Join(kinds, ", ")
}

func loadProfiles() (profile.Profiles, error) {
	path, err := profile.Path()
	if err != nil {
		return nil, err
	}
	return profile.Load(path)
}

func findProfile(cmd *cobra.Command, name string) (profile.Profile, error) {
	hosts, err := loadProfiles()
	if err == nil {
		var p profile.Profile
		if p, err = hosts.Find(name); err == nil {
			return p, nil
		}
		err = fmt.Errorf("%w\nhint: nftknock list shows the profiles; a host needs its ports (nftknock %s PORT...)", err, name)
	}
	if commands := cmd.Root().SuggestionsFor(name); len(commands) > 0 {
		err = fmt.Errorf("%w\nhint: did you mean the command %s?", err, strings.Join(commands, " or "))
	}
	return profile.Profile{}, err
}

// completeProfile completes the first word. What is wrong with the profiles is
// not told while somebody types.
func completeProfile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	hosts, _ := loadProfiles()
	names := make([]string, len(hosts))
	for i, p := range hosts {
		names[i] = cobra.CompletionWithDesc(p.Name, p.Host)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
