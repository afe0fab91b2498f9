// Package demo rehearses a configuration: the real gate in one network namespace, knocked
// at from another.
//
//	Run ─→ sandbox ─→ perform ─→ plan (scenarios of steps) ─→ play
//	                     └─→ network (two hosts and a cable), daemon, doorCheck ─→ probe
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
)

// Options are how to run the demo.
type Options struct {
	File    string // the configuration to rehearse; empty: the demo's own
	Verbose bool   // shows the daemon's log as it is written
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
}

// ownConfig is what the demo shows when it is given no file.
const ownConfig = `
[door.ssh]
ports          = [22]
sequence       = [7011, "9035:udp", 8127]
close_sequence = [8127, "9035:udp", 7011]
`

// Run shows the gate at work, in a sandbox.
func Run(ctx context.Context, o Options) error {
	s := &sandbox{in: o.In, out: o.Out, errOut: o.Err, verbose: o.Verbose}
	inside, err := inside()
	if err != nil {
		return err
	}
	if inside {
		return s.perform(ctx)
	}
	return s.open(ctx, o.File)
}

// open reads the configuration, and runs the demo in the sandbox.
func (s *sandbox) open(ctx context.Context, file string) error {
	title := "nftknockd demo"
	var cfg *config.Config
	var err error
	if file == "" {
		cfg, err = config.Parse("the demo's own configuration", []byte(ownConfig))
	} else {
		title += " of " + file
		cfg, err = config.Load(file)
	}
	if err != nil {
		return err
	}
	if len(cfg.Doors) == 0 {
		return fmt.Errorf("%s has no door: there is nothing to show", file)
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: two hosts in network namespaces of their own; nothing on this machine is touched\n", title)
	if len(cfg.Interfaces) > 0 {
		fmt.Fprintf(s.out, "it cannot know whether packets reach this machine on %s: `nftknockd trial` finds that out\n",
			strings.Join(cfg.Interfaces, ", "))
	}
	return s.enter(ctx, data)
}

// perform is the demo itself, in the sandbox.
func (s *sandbox) perform(ctx context.Context) error {
	cfg := new(config.Config)
	if err := json.NewDecoder(s.in).Decode(cfg); err != nil {
		return fmt.Errorf("reading the configuration handed over: %w", err)
	}
	rehearseSecrets(cfg)
	network, err := buildNetwork(ctx, cfg)
	if errors.Is(err, unix.EPERM) { // namespaces were granted, but no power over them
		return explainRefusal(err)
	}
	if err != nil {
		return err
	}
	for _, port := range guardedPorts(cfg.Doors) {
		if err := greet(ctx, port); err != nil {
			return err
		}
	}

	var kept logBuffer
	var log io.Writer = &kept
	if s.verbose {
		log = s.errOut
	}
	err = s.show(ctx, cfg, network, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil && ctx.Err() == nil {
		s.errOut.Write(kept.text())
	}
	return err
}

// show runs the daemon and goes through all its doors.
func (s *sandbox) show(ctx context.Context, cfg *config.Config, network *network, log *slog.Logger) (err error) {
	started := time.Now()
	state, err := os.MkdirTemp("", "nftknockd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	d, err := startDaemon(ctx, cfg, statedir.Dir(state), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()

	scenarios, err := plan(ctx, cfg, network, d.bus)
	if err != nil {
		return err
	}
	done, skipped, err := play(ctx, s.out, scenarios)
	if err != nil {
		return err
	}
	if done == 0 {
		return errors.New("not a single step could be tried")
	}
	s.showRuleset(ctx, cfg)
	summary := fmt.Sprintf("All %d steps did what they should, in %s", done, brief(time.Since(started)))
	if skipped > 0 {
		summary += fmt.Sprintf("; %d skipped", skipped)
	}
	if len(cfg.Interfaces) > 0 {
		summary += fmt.Sprintf(".\nWhether this host has %s, and packets arrive there, it cannot know: `nftknockd trial` does",
			strings.Join(cfg.Interfaces, ", "))
	}
	_, err = fmt.Fprintf(s.out, "\n%s.\n", summary)
	return err
}

// showRuleset prints the kernel's ruleset, if there is a program to print it
// with, and otherwise the one that was asked for.
func (s *sandbox) showRuleset(ctx context.Context, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, nft := range []string{"nft", "/usr/sbin/nft", "/sbin/nft"} { // the last two are not in everybody's PATH
		listing, err := exec.CommandContext(ctx, nft, "list", "ruleset").Output()
		if err == nil {
			fmt.Fprintf(s.out, "\n  The ruleset, as \"nft list ruleset\" shows it\n\n%s", listing)
			return
		}
	}
	decoys := ruleset.Decoys(cfg, []byte(cfg.Scan.Seed))
	fmt.Fprintf(s.out, "\n  The ruleset, as \"nftknockd ruleset\" prints it: there is no nft to ask the kernel with\n\n%s", ruleset.Of(cfg, decoys))
}

// buildNetwork builds the network that a configuration guards.
func buildNetwork(ctx context.Context, cfg *config.Config) (*network, error) {
	guarded := "eth0"
	if len(cfg.Interfaces) > 0 {
		i := slices.IndexFunc(cfg.Interfaces, func(name string) bool { return name != "lo" })
		if i < 0 {
			return nil, errors.New("the configuration guards loopback only: nothing can be shown from another host")
		}
		guarded = cfg.Interfaces[i]
	}
	network, err := newNetwork(ctx, guarded)
	if err != nil {
		return nil, err
	}
	for _, f := range families {
		if !f.supported() {
			continue
		}
		if err := network.addServerAddress(ctx, f.server); err != nil {
			return nil, err
		}
	}
	return network, nil
}

func guardedPorts(doors []knock.Door) []knock.Port {
	var ports []knock.Port
	for _, door := range doors {
		for _, port := range door.Ports {
			if !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}
	return ports
}

// portList returns ports as people write them, one after the other.
