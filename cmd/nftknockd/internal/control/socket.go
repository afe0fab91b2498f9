package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a listening Unix socket with a name in the file system.
type socket struct {
	net.Listener
	path  string
	file  fs.FileInfo
	close func() error
}

// Listen makes the socket, for nobody but this process's user (and root, who may do
// anything). It replaces one that nobody answers at, such as a killed daemon's.
func Listen(path string) (net.Listener, error) { return listen(path, 0o600) }

func listen(path string, mode fs.FileMode) (net.Listener, error) {
	if err := checkFree(path); err != nil {
		return nil, err
	}
	// Nobody else may get at it before its mode is set: it comes to be in a directory
	// of its own.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".control-")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.Remove(dir)
	fresh := filepath.Join(dir, "s")
	if max(len(fresh), len(path)) > maxPath {
		return nil, fmt.Errorf("control socket %s: the path is too long: the kernel takes %d bytes", path, maxPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	s := &socket{Listener: l, path: path}
	s.close = sync.OnceValue(s.remove)
	if err = os.Chmod(fresh, mode); err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		l.Close()
		os.Remove(fresh)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return s, nil
}

// maxPath is the greatest length of a socket's name, in bytes: sun_path in unix(7), without the
// zero at its end.
const maxPath = 107

// checkFree says what stands in the way of a new socket.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket %s: something else is there already: choose another path with --socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		c.Close()
	}
	return fmt.Errorf("another nftknockd answers at %s: stop it, or choose another path with --socket", path)
}

// Close takes the socket away, unless another one has taken its place.
func (s *socket) Close() error { return s.close() }

func (s *socket) remove() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
		os.Remove(s.path)
	}
	return s.Listener.Close()
}
