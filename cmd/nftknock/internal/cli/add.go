package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nftknock/cmd/nftknock/internal/relay"
	"nftknock/config/profile"
)

func addCommand(std Streams) *cobra.Command {
	var name, host string
	var replace bool
	cmd := &cobra.Command{
		Use:   "add [flags]",
		Short: "Add the profile that the server has printed",
		Long: `Reads the line that nftknockd prints on the server (init, client, otp new, spa new), and adds
the profile that it carries, with its secrets, to hosts.toml. Folder and file are made where
they are not there, for nobody else to read. Then it prints what ssh_config(5) needs.

The line begins with "nftknock1:". It is read from standard input, where other text may be around
it, or typed at a prompt, which does not show it; never from the arguments, which every
program of the machine can see.`,
		Example: `  nftknock add
  ssh root@server.example.org nftknockd client ssh | nftknock add
  nftknock add --name office --host 192.0.2.1 < line`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("the line does not go here: every program of this machine sees the arguments, and the shell remembers them\n" +
					"hint: run nftknock add by itself, then paste the line")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			text, err := readLine(std)
			if err != nil {
				return err
			}
			p, spaKey, err := profile.ParseLine(text)
			if err != nil {
				return fmt.Errorf("what was read %w", err)
			}
			if name != "" {
				p.Rename(name)
			}
			if host != "" {
				p.Host = host
			}
			path, err := addProfile(p, spaKey, replace)
			if err != nil {
				return err
			}
			fmt.Fprintf(std.Err, "nftknock: profile %s is in %s\n", p.Name, path)
			_, err = io.WriteString(std.Out, p.SSHConfig(relay.CanHandOver))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "call the profile `NAME`")
	cmd.Flags().StringVar(&host, "host", "", "knock at `HOST`, a name or an address, whatever the line says")
	cmd.Flags().BoolVar(&replace, "replace", false, "replace a profile of the same name")
	return cmd
}

// readLine reads a line from a terminal, without showing it, or all that there is
// elsewhere.
func readLine(std Streams) (string, error) {
	if fd := int(std.In.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(std.Err, "Paste the line that the server has printed (it is not shown): ")
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(std.Err)
		return string(text), err
	}
	const most = 64 << 10
	data, err := io.ReadAll(io.LimitReader(std.In, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("standard input has more than %d KiB, the most that is read: is it what nftknockd printed?", most>>10)
	}
	return string(data), err
}

// addProfile adds a profile to those of the user, and returns where they are.
func addProfile(p profile.Profile, spaKey profile.Secret, replace bool) (path string, err error) {
	path, err = profile.Path()
	if err != nil {
		return "", err
	}
	err = profile.Add(path, p, spaKey, replace)
	if errors.Is(err, profile.ErrExists) {
		err = fmt.Errorf("%w\nhint: --replace puts this one in its place, --name gives it another name", err)
	}
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w\nhint: the folder and the file have to be those of the user who knocks", err)
	}
	return path, err
}
