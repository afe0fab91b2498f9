package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nftknock/config/internal/doc"
)

// snapshot is all that a configuration is made from.
type snapshot struct {
	File    string            `json:"file"`
	Text    []byte            `json:"text"`    // what is in the file
	Secrets map[string][]byte `json:"secrets"` // what is in the files that it names, by their names
}

// Snapshot returns all that [Load] has read, secrets included: [Restore] makes the same
// configuration from it, without any of the files. The same files make the same snapshot.
// Of a configuration that Load has not made it is nil.
func (c *Config) Snapshot() []byte {
	if c.read == nil {
		return nil
	}
	data, err := json.Marshal(c.read)
	if err != nil {
		panic(err) // there is nothing in it that JSON could not hold
	}
	return data
}

// Fingerprint says which configuration [Load] has read, wherever it was, and nothing of what
// is in it.
func (c *Config) Fingerprint() string {
	h := sha256.New()
	write := func(b []byte) { h.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(b))), b...)) }
	if c.read != nil {
		write(c.read.Text)
		for _, file := range slices.Sorted(maps.Keys(c.read.Secrets)) {
			write(c.read.Secrets[file])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Restore returns the configuration that a snapshot was made of.
func Restore(data []byte) (*Config, error) {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("the snapshot of a configuration is damaged: %w", err)
	}
	c, err := parse(s.File, s.Text, func(file, _ string) (Secret, error) {
		text, ok := s.Secrets[file]
		if !ok {
			return "", errors.New(doc.Plain(file) + " is not in the snapshot")
		}
		return Secret(text), nil
	})
	if err != nil {
		return nil, err
	}
	c.read = &s
	return c, nil
}

// Files returns the files that Load has read: the configuration's own first, then those
// that hold secrets.
func (c *Config) Files() (file string, secrets []string) {
	for _, o := range c.OTP {
		secrets = append(secrets, o.File)
	}
	for _, d := range c.SPA.Doors {
		for _, k := range d.Keys {
			secrets = append(secrets, k.File)
		}
	}
	return c.file, secrets
}
