package doc

import (
	"io"
	"io/fs"
	"os"
)

// MaxSize is the greatest size of a file, in bytes: some thousand doors.
const MaxSize = 1 << 20

// ReadFile returns what is in a file, and its mode. It reads little more than
// MaxSize, so that a wrong path, to a disk say, does not fill the memory.
func ReadFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, 0, err // for a directory: "read PATH: is a directory"
	}
	return data, info.Mode(), nil
}
