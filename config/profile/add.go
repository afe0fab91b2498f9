package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nftknock/config/internal/doc"
)

// ErrExists is that there is a profile of that name, or a file with its keys.
var ErrExists = errors.New("is there already")

// Add is [Write] for a profile that is not to take the place of another one, unless replace
// says so. If there are keys for single packet authorization, they are written first, into
// the file that SPAKeyFile names in the same folder, for its owner alone.
func Add(path string, p Profile, spaKey Secret, replace bool) error {
	if !replace {
		profiles, err := Load(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := profiles.Find(p.Name); err == nil {
			return fmt.Errorf("profile %s %w", doc.Plain(p.Name), ErrExists)
		}
	}
	if spaKey != "" {
		file := filepath.Join(filepath.Dir(path), p.SPAKeyFile)
		if _, err := os.Lstat(file); err == nil && !replace {
			return fmt.Errorf("%s %w", file, ErrExists)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := doc.WriteFile(file, []byte(spaKey), 0o600); err != nil {
			return err
		}
	}
	_, err := Write(path, p)
	return err
}
