package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"nftknock/config/internal/doc"
)

// Load reads the configuration in a file, and the secrets in the files that it
// names. An error is of type [Errors] if it is
// about what the file says; otherwise it wraps the operating system's, and its last
// line is a hint at what to do.
func Load(path string) (*Config, error) {
	read := &snapshot{File: path, Secrets: make(map[string][]byte)}
	c, data, err := load(path, func(file, makes string) (Secret, error) {
		text, err := doc.ReadSecretFile(file, makes)
		read.Secrets[file] = []byte(text)
		return text, err
	})
	if err != nil {
		return nil, err
	}
	read.Text = data
	c.read = read
	return c, nil
}

// LoadWithoutSecrets is as Load, for who has no use for the files that the
// configuration names: they are not read, and need not be there.
func LoadWithoutSecrets(path string) (*Config, error) {
	c, _, err := load(path, nil)
	return c, err
}

func load(path string, secrets secretReader) (*Config, []byte, error) {
	data, mode, err := doc.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w\nhint: %s", err, hint(err))
	}
	c, err := parse(path, data, secrets)
	if err != nil {
		return nil, nil, err
	}
	c.mode = mode
	return c, data, nil
}

func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return `"nftknockd init" writes a configuration; --config names another file`
	case errors.Is(err, fs.ErrPermission):
		return "the configuration holds secrets: read it as root, or as the user that nftknockd runs as"
	}
	return "--config names the file to read"
}

// SecretFiles returns the files that the daemon reads beside the configuration: those of
// one-time codes and of single packet authorization, each once, in order.
func (c *Config) SecretFiles() []string {
	var files []string
	for _, otp := range c.OTP {
		files = append(files, otp.File)
	}
	for _, door := range c.SPA.Doors {
		for _, key := range door.Keys {
			files = append(files, key.File)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}
