package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func (d Dir) lastGoodFile() string { return filepath.Join(string(d), "last_good.json") }

// LastGood returns the snapshot of the configuration that was in force last; nil if there
// never was one.
func (d Dir) LastGood() ([]byte, error) {
	data, err := os.ReadFile(d.lastGoodFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// KeepLastGood keeps the snapshot of a configuration that is in force.
func (d Dir) KeepLastGood(snapshot []byte) error {
	if before, err := os.ReadFile(d.lastGoodFile()); err == nil && bytes.Equal(before, snapshot) {
		return nil // a start of the same costs no disk a write
	}
	if err := d.Replace(d.lastGoodFile(), snapshot); err != nil {
		return fmt.Errorf("the last good configuration cannot be kept: %w", err)
	}
	return nil
}

func (d Dir) onTrialFile() string { return filepath.Join(string(d), "on_trial") }

// BeginTrial notes that the configuration of a fingerprint is being tried. Until
// [Dir.EndTrial] it is [Dir.OnTrial], and so it stays if the machine goes down.
func (d Dir) BeginTrial(fingerprint string) error {
	if err := d.Replace(d.onTrialFile(), []byte(fingerprint+"\n")); err != nil {
		return fmt.Errorf("cannot note that the configuration is on trial: %w", err)
	}
	return nil
}

// EndTrial forgets what was tried: it was good, or somebody wants it all the same.
func (d Dir) EndTrial() error {
	if err := os.Remove(d.onTrialFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// OnTrial reports whether the configuration of a fingerprint has been tried, and not proved
// to be good.
func (d Dir) OnTrial(fingerprint string) bool {
	tried, err := os.ReadFile(d.onTrialFile())
	return err == nil && string(tried) == fingerprint+"\n"
}
