package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// A PositionFile keeps up to where a companion of the daemon has dealt with events.
type PositionFile struct {
	Path    string
	Replace func(path string, data []byte) error // writes a whole file or nothing
}

// A position is what is in the file.
type position struct {
	Format int    `json:"nftknock_hooks"` // positionFormat
	After  string `json:"after"`          // the ID of an event
}

const positionFormat = 1

// IsID reports whether a text may be the ID of an event.
func IsID(s string) bool { return idForm.MatchString(s) }

var idForm = regexp.MustCompile(`^[a-z0-9]{1,32}-[0-9]{1,20}$`)

// Load returns the position; empty if there is none yet.
func (f PositionFile) Load() (string, error) {
	data, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	var p position
	if err := json.Unmarshal(data, &p); err != nil || p.Format != positionFormat || !IsID(p.After) {
		return "", fmt.Errorf("%s is damaged, or of another version: it begins anew", f.Path)
	}
	return p.After, nil
}

// Save keeps a position.
func (f PositionFile) Save(after string) error {
	data, err := json.Marshal(position{positionFormat, after})
	if err != nil {
		return err
	}
	return f.Replace(f.Path, append(data, '\n'))
}
