package configure

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/setup"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/totp"
)

func checkCommand(configFile *string) *cobra.Command {
	var inWords bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print warnings",
		Long: `Validates the configuration, prints what is unwise in it, and how many tries it takes to guess
each door. It touches nothing and needs no root, but has to be able to read the file and the
secrets beside it. Of the file that the unit's daemon reads it tells whether that, which is not
root, can read it and the secrets, too, and how to put that right.`,
		Example: "  nftknockd check -c ./nftknockd.toml\n  nftknockd check --explain",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if obstacles := setup.DaemonObstacles(*configFile, cfg); len(obstacles) > 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), strings.Join(obstacles, "\n"))
				return command.ErrReported
			}
			if inWords {
				explainConfig(out, cfg)
			}
			for _, w := range cfg.WarningsHere() {
				fmt.Fprintf(out, "warning: %v\n", w)
			}
			for _, d := range cfg.Doors {
				guards := "guards " + knock.PortList(d.Ports)
				if len(d.Ports) == 0 {
					guards = "guards nothing, it is a trigger"
				}
				fmt.Fprintf(out, "door %s %s: %s\n", d.Name, guards, describeStrength(&d, cfg.Scan))
			}
			fmt.Fprintf(out, "%s: valid\n", *configFile)
			return nil
		},
	}
	cmd.Flags().BoolVar(&inWords, "explain", false, "say in plain words what is guarded, from whom, and what opens it")
	return cmd
}

// A strength is what it takes at least to open a door without knowing anything of it.
type strength struct {
	scans float64 // how many port scans it takes to knock the sequence; 1: any does, or there is none
	codes float64 // how many codes have to be tried then; 1: there are none
}

// strengthOf estimates what guessing a door takes who goes about it well. Knocks on ports of no
// meaning change nothing, so that a scan tries very many at once; and it may knock the ports that it
// has come to in every order before it goes on to the next. It has come to all n ports of the
// sequence before any of d decoys once in (d+1)·(d+2)·…·(d+n) / n! scans. One that
// tries each port once has to meet them in their order, too, and opens n! times less often.
func strengthOf(d *knock.Door, decoys int) strength {
	s := strength{scans: 1, codes: 1}
	seen := make(map[knock.Port]bool)
	for _, p := range d.Sequence {
		if !seen[p] {
			seen[p] = true
			s.scans *= float64(decoys+len(seen)) / float64(len(seen))
		}
	}
	if d.CodeBase != 0 {
		s.codes = (knock.MaxCode + 1) / float64(totp.Valid)
	}
	return s
}

// protocols returns how many protocols a sequence knocks with. Each has decoys of its own, and a
// scan that may knock it tries all their ports.
func protocols(sequence []knock.Port) int {
	used := make(map[knock.Proto]bool)
	for _, p := range sequence {
		used[p.Proto] = true
	}
	return len(used)
}

// describeStrength says how many tries it takes to guess a door, and how often one may
// be made. It reveals nothing that a scan would not.
func describeStrength(d *knock.Door, scan config.Scan) string {
	if len(d.Sequence) == 0 && d.CodeBase == 0 {
		return "only a packet made with one of its spa_keys opens it"
	}
	s := strengthOf(d, scan.Decoys*protocols(d.Sequence))
	try := "port scans that try every order"
	switch {
	case d.CodeBase != 0 && len(d.Sequence) > 0:
		try += ", each with a code after it"
	case d.CodeBase != 0:
		try = "codes"
	case scan.Decoys == 0:
		return "a port scan that tries every order opens it, and nothing stops that: set scan.decoys"
	}
	verdict := ""
	if s.scans*s.codes < enough {
		verdict = ": too few: knock more ports, or ask for a code too"
	}
	return fmt.Sprintf("a guess takes at least %s tries (%s), and each mutes its source for %s%s",
		about(s.scans*s.codes), try, config.FormatDuration(scan.Mute), verdict)
}

// enough is how many tries keep a stranger out: from one address, which is muted for a minute
// each time if nothing else is said, they take a week.
const enough = 10_000

// about returns a number rounded to two significant digits, in words where it is large.
func about(n float64) string {
	if n >= 1e15 {
		return "a thousand trillion"
	}
	for _, unit := range []struct {
		name string
		size float64
	}{{"trillion", 1e12}, {"billion", 1e9}, {"million", 1e6}} {
		if n >= 0.9995*unit.size {
			return strconv.FormatFloat(twoDigits(n/unit.size), 'f', -1, 64) + " " + unit.name
		}
	}
	text := strconv.FormatFloat(twoDigits(n), 'f', 0, 64)
	if len(text) > 3 {
		text = text[:len(text)-3] + "," + text[len(text)-3:]
	}
	return text
}

// twoDigits rounds to two significant digits.
func twoDigits(n float64) float64 {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(n))-1))
	if n < 10 {
		return math.Round(10*n) / 10
	}
	return math.Round(n/unit) * unit
}
