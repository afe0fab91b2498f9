package doc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// maxSecretFile is far more than a secret needs, in bytes.
const maxSecretFile = 4096

// ReadSecretFile reads a file that holds a secret, to which nobody but its owner may have
// access. Of one that is not there the error says how to come by it. Errors are one line,
// and say nothing of what is in the file.
func ReadSecretFile(path, makes string) (Secret, error) {
	// A FIFO must not keep us waiting.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", secretFileError(path, makes, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", secretFileError(path, makes, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", Plain(path))
	}
	if perm := info.Mode().Perm(); perm&^0o600 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s has mode %04o: nobody but its owner may have access: chmod 600", Plain(path), perm)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", secretFileError(path, makes, err)
	case len(data) > maxSecretFile:
		return "", fmt.Errorf("%s is larger than %d bytes: is it the right file?", Plain(path), maxSecretFile)
	}
	return Secret(data), nil
}

func secretFileError(path, makes string, err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there: %s", Plain(path), makes)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: that takes its owner, who has to be who reads it here, or root", Plain(path))
	case errors.As(err, &pe):
		err = pe.Err // the path is there already
	}
	return fmt.Errorf("%s cannot be read: %w", Plain(path), err)
}
