//go:build !unix

package doc

import (
	"io/fs"
	"os"
)

// keepOwner has nothing to do: a new file has the permissions of its folder.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// syncFolder has nothing to do: folders are not files here.
func syncFolder(string) error { return nil }
