// Package cli is the commands of nftknock: flags, profiles, and nothing of how to knock.
package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/cmd/internal/build"
	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknock/internal/knocker"
	"nftknock/config/profile"
)

// Exit statuses, those of knock(1): it has no other for wrong usage.
const (
	exitDone   = 0
	exitFailed = 1
)

// Streams are where the program reads and writes. They are files, not readers and
// writers, since the system copies between files and connections faster.
type Streams struct{ In, Out, Err *os.File }

// Run runs the program with its arguments and returns its exit status.
func Run(args []string, std Streams) int {
	root := Command(std)
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	called, err := root.ExecuteC()
	if err != nil {
		printError(std.Err, err)
		return exitFailed
	}
	if help, _ := root.Flags().GetBool("help"); help && called == root {
		return exitFailed // as knock(1) does
	}
	return exitDone
}

// printError prints problems of the profiles a line each, as compilers do, and any
// other error as one.
func printError(w *os.File, err error) {
	var problems profile.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(w, problems)
		return
	}
	fmt.Fprintf(w, "nftknock: %v\n", err)
}

// Command returns the program's command with all of its subcommands.
func Command(std Streams) *cobra.Command {
	var o options
	var closing bool
	root := &cobra.Command{
		Use:   "nftknock [flags] HOST PORT[:PROTO]... | [flags] NAME",
		Short: "Knock at ports, in order",
		Long: `Knocks at the ports of a host, in order: one SYN for each that is TCP, one datagram
for each that is UDP. The letters are those of knock(1).

One word is the NAME of a profile in the user's nftknock/hosts.toml; more are a host and
its ports. What is given here goes before what the profile says. A first word that is a
command (add, list, proxy, import-conf, completion, help) is that command: after -- it is a
profile or a host.

A host is a name, also one beyond ASCII, or an address: an IPv6 address may be in brackets, and
a link-local one needs its interface (fe80::1%eth0). It is knocked at by IPv4 and by IPv6, at the
first address of each that it has and this machine can reach; with a one-time code, which is good
once, at the first of all. If the port to wait for is known and does not answer, the next
addresses follow, up to four of each family.

If the port is known, it is tried before the first knock, and if it answers, there is no knock
(--force knocks all the same). Programs of one user that knock at the same host take turns, and
those who waited find the door open.

The exit status is 0 if every knock was sent and the port to wait for, if there is one,
has answered; otherwise 1. As with knock(1), it is 1 for this help too.`,
		Example: `  nftknock server.example.org 7000 8000:udp 9000
  nftknock --wait 22 server.example.org 7000 8000:udp 9000
  nftknock home
  nftknock --close home
  nftknock --wait 22 fe80::1%eth0 7000 8000:udp 9000`,
		Version:           build.Read().String(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("whom to knock at is missing\nhint: nftknock HOST PORT..., or nftknock --help")
			}
			target, err := o.target(cmd, args, closing)
			if err != nil {
				return err
			}
			return (&knocker.Knocker{Target: target, Dial: knocker.Touch, Stderr: std.Err, Notes: std.Out}).Run()
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(flagError)
	root.Flags().BoolP("help", "h", false, "show this help") // of commands too
	root.Flags().BoolP("version", "V", false, "show the version")
	root.Flags().BoolVar(&closing, "close", false, "knock the close_sequence of the profile")
	o.addFlags(root.Flags())
	root.AddCommand(
		addCommand(std),
		listCommand(),
		proxyCommand(std),
		importConfCommand(),
	)
	return root
}

// flagError adds to what is wrong with a flag the one that may be meant.
func flagError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if flag, ok := nearestFlag(cmd, unknown.GetSpecifiedName()); ok && unknown.GetSpecifiedShortnames() == "" {
			hint = fmt.Sprintf("did you mean --%s?", flag)
		}
	}
	return fmt.Errorf("%w\nhint: %s", usage.FlagError(err), hint)
}

func nearestFlag(cmd *cobra.Command, name string) (string, bool) {
	var known, longer []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		known = append(known, f.Name)
		if strings.HasPrefix(f.Name, name) {
			longer = append(longer, f.Name)
		}
	})
	if len(longer) == 1 {
		return longer[0], true
	}
	return profile.Nearest(name, known)
}
