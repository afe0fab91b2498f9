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
	"time"

	"golang.org/x/sys/unix"

	"nftknock/config"
	"nftknock/knock"
)

// perform is the demo itself, on the stage.
func (s *stage) perform(ctx context.Context) error {
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
func (s *stage) show(ctx context.Context, cfg *config.Config, network *demoNetwork, log *slog.Logger) (err error) {
	started := time.Now()
	state, err := os.MkdirTemp("", "nftknockd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	d, err := startDaemon(ctx, cfg, stateDir(state), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()

	scenes, err := plan(ctx, cfg, network)
	if err != nil {
		return err
	}
	done, skipped, err := play(ctx, s.out, scenes)
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
	_, err = fmt.Fprintf(s.out, "\n%s.\n", summary)
	return err
}

// showRuleset prints the kernel's ruleset, if there is a program to print it
// with, and otherwise the one that was asked for.
func (s *stage) showRuleset(ctx context.Context, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, nft := range []string{"nft", "/usr/sbin/nft", "/sbin/nft"} { // the last two are not in everybody's PATH
		listing, err := exec.CommandContext(ctx, nft, "list", "ruleset").Output()
		if err == nil {
			fmt.Fprintf(s.out, "\n  The ruleset, as \"nft list ruleset\" shows it\n\n%s", listing)
			return
		}
	}
	decoys := decoysOf(cfg, []byte(cfg.Scan.Seed))
	fmt.Fprintf(s.out, "\n  The ruleset, as \"nftknockd ruleset\" prints it: there is no nft to ask the kernel with\n\n%s", rulesetOf(cfg, decoys))
}

// buildNetwork builds the network that a configuration guards.
func buildNetwork(ctx context.Context, cfg *config.Config) (*demoNetwork, error) {
	guarded := "eth0"
	if len(cfg.Interfaces) > 0 {
		i := slices.IndexFunc(cfg.Interfaces, func(name string) bool { return name != "lo" })
		if i < 0 {
			return nil, errors.New("the configuration guards loopback only: nothing can be shown from another host")
		}
		guarded = cfg.Interfaces[i]
	}
	network, err := newDemoNetwork(ctx, guarded)
	if err != nil {
		return nil, err
	}
	for _, f := range demoFamilies {
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
