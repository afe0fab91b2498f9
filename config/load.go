package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSize is the greatest size of a file, in bytes: some thousand doors.
const maxSize = 1 << 20

// Load reads the configuration in a file, and the secrets in the files that it
// names. An error is of type [Errors] if it is
// about what the file says; otherwise it wraps the operating system's, and its last
// line is a hint at what to do.
func Load(path string) (*Config, error) {
	return load(path, readSecret)
}

// LoadWithoutSecrets is as Load, for who has no use for the files that the
// configuration names: they are not read, and need not be there.
func LoadWithoutSecrets(path string) (*Config, error) {
	return load(path, nil)
}

func load(path string, readSecret secretReader) (*Config, error) {
	data, mode, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: %s", err, hint(err))
	}
	c, err := parse(path, data, readSecret)
	if err != nil {
		return nil, err
	}
	c.mode = mode
	return c, nil
}

// readFile returns what is in a file, and its mode. It reads little more than
// maxSize, so that a wrong path, to a disk say, does not fill the memory.
func readFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, 0, err // for a directory: "read PATH: is a directory"
	}
	return data, info.Mode(), nil
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
