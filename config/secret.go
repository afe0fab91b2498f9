package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"nftknock/config/internal/doc"
)

// maxSecretFile is far more than a secret needs, in bytes.
const maxSecretFile = 4096

// readSecret reads the file that holds the secret of one-time codes. Its errors are
// one line, and say nothing of what is in the file.
func readSecret(path, door string) (doc.Secret, error) {
	// A FIFO must not keep us waiting.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", doc.Plain(path))
	}
	if perm := info.Mode().Perm(); perm&^0o600 != 0 {
		return "", fmt.Errorf("%s has mode %04o: nobody but its owner may have access: chmod 600", doc.Plain(path), perm)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	secret, err := doc.ParseBase32(string(data))
	if err != nil {
		return "", fmt.Errorf("%s %w", doc.Plain(path), err)
	}
	return secret, nil
}

func secretFileError(path, door string, err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there: \"nftknockd otp new %s\" makes it", doc.Plain(path), doc.Plain(door))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: that takes root, or the user that nftknockd runs as, whose it has to be", doc.Plain(path))
	case errors.As(err, &pe):
		err = pe.Err // the path is there already
	}
	return fmt.Errorf("%s cannot be read: %w", doc.Plain(path), err)
}
