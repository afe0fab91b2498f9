// Package build says what a program was built from.
package build

import (
	"fmt"
	"runtime/debug"
)

// Info is what a program was built from, as far as the Go tool has recorded it.
type Info struct {
	Version  string // of the module; "(devel)" where there is none
	Revision string // the commit; "unknown" if the program was not built in its repository
	Modified bool   // there were changes that are not in the commit
	Go       string // the version of Go
}

// Read returns the running program's.
func Read() Info {
	b := Info{Version: "unknown", Revision: "unknown", Go: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version, b.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is what --version shows.
func (b Info) String() string {
	commit := b.Revision
	if b.Modified {
		commit += ", modified"
	}
	return fmt.Sprintf("%s (commit %s, %s)", b.Version, commit, b.Go)
}
