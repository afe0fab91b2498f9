// Package lastgood chooses the configuration that a host begins with: the file's, or the one
// that was in force last.
package lastgood

import (
	"errors"
	"fmt"
	"io"

	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
)

// A Choice is the configuration to begin with.
type Choice struct {
	Config *config.Config
	Why    error // why it is the last good one; nil: it is the file's
}

// Choose returns the configuration that [gate.Start] begins with: the file's, or if that cannot
// be had the one that was in force last. A host that has ever been guarded is guarded
// whatever becomes of the file. With an error there is neither.
func Choose(load func() (*config.Config, error), state statedir.Dir) (Choice, error) {
	cfg, err := ToStart(load, state)
	if err == nil {
		return Choice{Config: cfg}, nil
	}
	good, noGood := Load(state)
	if good == nil {
		if noGood != nil {
			err = fmt.Errorf("%w\nnor can the last good configuration be used: %w", err, noGood)
		}
		return Choice{}, err
	}
	return Choice{good, err}, nil
}

// errOnTrial says that a file has been tried, and nobody has got in by it.
var errOnTrial = errors.New("the file was on trial, and nobody has proved that it lets anybody in: " +
	"try it again with `nftknockd trial`, or put it in force all the same with `nftknockd reload`")

// ToStart reads the file for a start, which takes none that has failed its trial.
func ToStart(load func() (*config.Config, error), state statedir.Dir) (*config.Config, error) {
	cfg, err := load()
	if err == nil && state.OnTrial(cfg.Fingerprint()) {
		return nil, errOnTrial
	}
	return cfg, err
}

// Load returns the configuration that was in force last; nil if there was none, or
// with the error that it cannot be used.
func Load(state statedir.Dir) (*config.Config, error) {
	snapshot, err := state.LastGood()
	if err != nil || snapshot == nil {
		return nil, err
	}
	return config.Restore(snapshot)
}

// Table returns the name of the table, whether or not the configuration can be read: it
// may be that of the last good one, and else is the default.
func Table(configFile string, state statedir.Dir, stderr io.Writer) string {
	cfg, err := config.LoadWithoutSecrets(configFile)
	if err == nil {
		return cfg.Table
	}
	if cfg, _ = Load(state); cfg == nil {
		cfg, _ = config.Parse("", nil)
	}
	fmt.Fprintf(stderr, "nftknockd: %v\nnftknockd: taking the table to be inet %s\n", err, cfg.Table)
	return cfg.Table
}

// Keep has a configuration outlast the file that it is from, which is not on trial any more.
func Keep(state statedir.Dir, cfg *config.Config) error {
	snapshot := cfg.Snapshot()
	if snapshot == nil {
		return nil
	}
	if err := state.KeepLastGood(snapshot); err != nil {
		return err
	}
	return state.EndTrial()
}
