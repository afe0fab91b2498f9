package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/knock"
)

func initCommand(configFile *string) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration with a random sequence",
		Long: `Writes a configuration with one door, whose sequence is drawn at random: four ports above
1024, outside of the range from which the host takes ports for its own connections, with
nothing listening, and in no order. Then prints the client's side of it: a profile for nftknock
and a stanza for ssh. A file that is there already gets the door added, unless it has one of the
same name; all else in it, comments included, stays as it is.

A new file is for root alone, or, where there is a group nftknock, as packages make it, for
that group to read too.`,
		Example: `  nftknockd init --host server.example.org
  nftknockd init --door vpn --port 51820:udp --output ./vpn.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.output == "" {
				o.output = *configFile
			}
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to `FILE` (default: the one of --config)")
	cmd.Flags().StringVar(&o.door, "door", "ssh", "the door's `NAME`")
	cmd.Flags().StringSliceVar(&o.ports, "port", []string{"22"}, "guard `PORT[:PROTO]`; may be given several times")
	cmd.Flags().StringVar(&o.host, "host", "", "the `NAME` or address by which clients reach this host (default: its host name)")
	return cmd
}

type initOptions struct {
	output, door, host string
	ports              []string
}

func (o *initOptions) run(stdout, stderr io.Writer) error {
	door := knock.Door{Name: o.door, OpenTimeout: time.Minute}
	for _, word := range o.ports {
		port, err := knock.ParsePort(word)
		if err != nil {
			return fmt.Errorf("--port %w", err)
		}
		door.Ports = append(door.Ports, port)
	}
	client, err := newClientSide(o.host)
	if err != nil {
		return err
	}
	host, err := config.ReadHost()
	if err != nil {
		return fmt.Errorf("cannot see which ports this host uses: %w", err)
	}
	before, err := os.ReadFile(o.output)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := addDoor(o.output, before, &door, host)
	if err != nil {
		return err
	}
	if there {
		if err := config.WriteFile(o.output, text); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknockd: added door %s to %s\n", door.Name, o.output)
	} else {
		mode, err := writeNewConfig(o.output, string(text))
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknockd: wrote %s (mode %04o)\n", o.output, mode)
	}
	fmt.Fprintf(stderr, "hint: rehearse it: nftknockd demo -c %s; then shut the doors, on trial: nftknockd trial -c %[1]s\n", o.output)
	_, err = io.WriteString(stdout, client.text(&door))
	return err
}

// addDoor draws the door's sequence, and returns the configuration with the door, about
// whose sequence nothing is to be warned. One that is empty so far gets a heading.
func addDoor(name string, before []byte, door *knock.Door, host config.Host) ([]byte, error) {
	if len(before) == 0 {
		before = []byte(newConfigHeading)
	}
	candidates := knockable(door, host)
	// Of a hundred draws eight are in an order, whatever the ports: this ends.
	for range 100 {
		sequence, err := draw(candidates)
		if err != nil {
			return nil, err
		}
		door.Sequence = sequence
		text, err := config.AddDoor(name, before, config.WrittenDoor{Door: *door})
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse(name, text)
		if err != nil {
			return nil, err
		}
		unwise := func(p config.Problem) bool { return p.Door == door.Name && p.Key == "sequence" }
		if !slices.ContainsFunc(cfg.Warnings(host), unwise) {
			return text, nil
		}
	}
	return nil, errFewPorts
}

const newConfigHeading = `# What nftknockd guards, and the knocks that let in: nftknockd.toml(5) explains every key.
#
# This file holds secrets: let only root and the daemon read it.
`

// defaultHost returns by what name clients may reach this host, where nobody says.
func defaultHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("%w\nhint: --host gives the name by which clients reach this host", err)
	}
	return name, nil
}

// knocks is how long a drawn sequence is: with some thirty thousand ports to choose
// from, sixty bits.
const knocks = 4

var errFewPorts = errors.New("too few ports are left to knock on: " +
	"between 1025 and 65535 nearly all are in /proc/sys/net/ipv4/ip_local_port_range, or something listens there")

// knockable returns the TCP ports that a sequence can be made of, one that opens the
// door. TCP, because every program that can connect can knock it.
func knockable(door *knock.Door, host config.Host) []knock.Port {
	first, last := host.EphemeralFirst, host.EphemeralLast
	if last == 0 {
		first, last = 32768, 60999 // Linux's own, where the host does not show its
	}
	var ports []knock.Port
	for n := 1025; n <= 65535; n++ {
		p := knock.Port{Number: uint16(n), Proto: knock.TCP}
		if (p.Number < first || p.Number > last) && !host.Listening[p] && !slices.Contains(door.Ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// draw draws a sequence of different ports.
func draw(from []knock.Port) ([]knock.Port, error) {
	if len(from) < 1000 { // forty bits
		return nil, errFewPorts
	}
	var sequence []knock.Port
	for len(sequence) < knocks {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			return nil, err
		}
		if p := from[i.Int64()]; !slices.Contains(sequence, p) {
			sequence = append(sequence, p)
		}
	}
	return sequence, nil
}

// daemonGroup is whom a package's daemon runs as (sysusers.d), and who therefore has
// to be able to read the configuration.
const daemonGroup = "nftknock"

// writeNewConfig writes a file that is not there yet, and returns its mode: 0600, or
// where root writes it and the daemon has a group of its own, 0640 of root and that
// group, as tmpfiles.d has it: the unit's daemon is not root and could not read
// the file otherwise.
func writeNewConfig(path, text string) (fs.FileMode, error) {
	group := -1
	if g, err := user.LookupGroup(daemonGroup); err == nil && os.Geteuid() == 0 {
		group, _ = strconv.Atoi(g.Gid)
	}
	if err := makeParent(path, group); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	mode, err := fill(f, text, group)
	if err != nil {
		os.Remove(path) // half of it would be in the way of the next try
	}
	return mode, err
}

func fill(f *os.File, text string, group int) (fs.FileMode, error) {
	mode := fs.FileMode(0o600)
	if group >= 0 {
		mode = 0o640
		if err := f.Chown(0, group); err != nil {
			return 0, err
		}
	}
	// Whatever the umask says.
	if err := f.Chmod(mode); err != nil {
		return 0, err
	}
	if _, err := f.WriteString(text); err != nil {
		return 0, err
	}
	return mode, f.Sync()
}

// makeParent makes the folder of a file, if it is not there: /etc/nftknock where no
// package has.
func makeParent(path string, group int) error {
	dir := filepath.Dir(path)
	err := os.Mkdir(dir, 0o750)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err == nil && group >= 0:
		return os.Chown(dir, 0, group)
	}
	return err
}
