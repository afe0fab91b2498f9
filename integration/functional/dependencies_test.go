package functional

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// uses are the packages of the module, and which others of it each imports: ~ stands for
// cmd/nftknockd/internal/. Who imports another one says so here, and in CONTRIBUTING.md. What
// tests need does not count.
var uses = map[string]string{
	"knock":                   "",
	"knock/totp":              "knock",
	"knock/spa":               "knock",
	"nft":                     "knock knock/spa",
	"config/internal/doc":     "knock",
	"config/internal/doctest": "config/internal/doc",
	"config":                  "config/internal/doc knock knock/spa",
	"config/profile":          "config/internal/doc knock knock/spa",
	"config/knockd":           "knock",
	"config/fwknop":           "",
	"config/migrate":          "config config/fwknop config/knockd config/profile knock",

	"cmd/internal/build":            "",
	"cmd/internal/usage":            "",
	"cmd/docs":                      "",
	"cmd/nftknock":                  "cmd/nftknock/internal/cli",
	"cmd/nftknock/docs":             "cmd/docs cmd/nftknock/internal/cli config/profile",
	"cmd/nftknock/internal/knocker": "config/profile knock knock/spa knock/totp",
	"cmd/nftknock/internal/relay":   "",
	"cmd/nftknock/internal/cli": "cmd/internal/build cmd/internal/usage cmd/nftknock/internal/knocker cmd/nftknock/internal/relay " +
		"config/knockd config/migrate config/profile knock",

	// Leaves: of the rest of the daemon they need the state directory at most.
	"~service":  "",
	"~statedir": "",
	"~term":     "",
	"~throttle": "",
	"~words":    "",
	"~replay":   "",
	"~journal":  "config",
	"~codes":    "~statedir config knock/totp",
	"~lastgood": "~statedir config",
	"~ruleset":  "~statedir config knock nft",
	"~setup":    "~statedir config config/profile knock knock/spa",

	// What happens, who is let in, and what is said of it.
	"~event":   "~words knock",
	"~grant":   "~event config knock nft",
	"~kernel":  "~grant knock nft",
	"~packets": "~event ~grant ~replay ~statedir config knock knock/spa",
	"~status":  "~event ~grant config knock nft",
	"~api":     "~event ~grant ~status config knock",

	// The daemon, and who uses it.
	"~gate": "~codes ~event ~grant ~kernel ~lastgood ~packets ~ruleset ~service ~statedir ~status ~throttle " +
		"config knock nft",
	"~trial":   "~event ~gate ~grant ~kernel ~statedir ~status ~words config knock nft",
	"~share":   "~gate ~grant ~status ~trial config knock",
	"~control": "~api ~event ~gate ~grant ~share ~status ~trial cmd/internal/build config knock",
	"~demo":    "~event ~gate ~ruleset ~statedir ~term config knock knock/totp",
	"~hooks":   "~event config",
	"~fleet":   "~event ~grant ~status config knock",

	// Commands.
	"~cli/command": "~api ~statedir config",
	"~cli/configure": "~cli/command ~ruleset ~setup ~statedir ~term ~words cmd/internal/usage config config/knockd " +
		"config/migrate knock knock/spa knock/totp",
	"~cli/observe": "~api ~cli/command ~event ~hooks ~lastgood ~statedir ~status ~term ~words cmd/internal/usage",
	"~cli/operate": "~api ~cli/command ~control ~event ~gate ~lastgood ~setup ~share ~statedir ~status ~term ~trial " +
		"cmd/internal/usage config knock nft",
	"~cli": "~api ~cli/command ~cli/configure ~cli/observe ~cli/operate ~control ~demo ~event ~fleet ~gate " +
		"~grant ~hooks ~journal ~lastgood ~service ~share ~statedir ~trial cmd/internal/build " +
		"cmd/internal/usage config",
	"cmd/nftknockd":      "~cli",
	"cmd/nftknockd/docs": "~cli cmd/docs config",
}

// never are packages from elsewhere that must not be linked, however indirectly: all that begin
// with one of these.
var never = map[string]string{
	"knock":         "github.com/ golang.org/",
	"knock/spa":     "github.com/ golang.org/",
	"cmd/nftknock":  "github.com/google/nftables github.com/spf13/cobra/doc",
	"cmd/nftknockd": "github.com/spf13/cobra/doc",
	"~event":        "net/http github.com/",
	"~gate":         "net/http github.com/nats-io/ github.com/prometheus/ github.com/spf13/",
	"~trial":        "net/http github.com/prometheus/ github.com/spf13/",
	"~demo":         "net/http",
	"~control":      "github.com/spf13/",
	"~setup":        "github.com/spf13/",
	"~share":        "net/http github.com/spf13/",
	"~hooks":        "net/http",
}

const (
	module = "nftknock/"
	daemon = module + "cmd/nftknockd/internal/"
)

// nameInUses returns a package of the module as uses has it.
func nameInUses(path string) string {
	if room, ok := strings.CutPrefix(path, daemon); ok {
		return "~" + room
	}
	return strings.TrimPrefix(path, module)
}

// A goPackage is what `go list -json` says of one.
type goPackage struct {
	ImportPath, Dir string
	Imports, Deps   []string
}

func listPackages(t *testing.T) (packages []goPackage) {
	t.Helper()
	out, err := lab.Command(context.Background(), t, "go", "list", "-json=ImportPath,Dir,Imports,Deps", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	list := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		err := list.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.ImportPath, module+"integration/") {
			packages = append(packages, p)
		}
	}
}

// TestImports keeps the packages apart, and imports pointing one way. knock decides and touches
// nothing, config and nft do not know of each other, the client needs nothing of netfilter, and
// nothing any of the tests.
func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := nameInUses(p.ImportPath)
		allowed, known := uses[name]
		if !known {
			t.Errorf("%s is new: say in uses what it imports", name)
			continue
		}
		for _, i := range p.Imports {
			if other := nameInUses(i); strings.HasPrefix(i, module) && !slices.Contains(strings.Fields(allowed), other) {
				t.Errorf("%s imports %s", name, other)
			}
		}
		for _, other := range strings.Fields(allowed) {
			if !slices.ContainsFunc(p.Imports, func(i string) bool { return nameInUses(i) == other }) {
				t.Errorf("%s does not import %s any more: take it out of uses", name, other)
			}
		}
		for _, outside := range strings.Fields(never[name]) {
			if i := slices.IndexFunc(p.Deps, func(d string) bool { return strings.HasPrefix(d, outside) }); i >= 0 {
				t.Errorf("%s depends on %s", name, p.Deps[i])
			}
		}
	}
}

// A room is to be read in an hour: no package below cmd has more lines than that, and the programs
// themselves are next to nothing.
func TestRoomsAreSmall(t *testing.T) {
	t.Parallel()
	const most, mostOfMain = 1500, 200
	for _, p := range listPackages(t) {
		name := nameInUses(p.ImportPath)
		limit := most
		switch {
		case name == "cmd/nftknock", name == "cmd/nftknockd":
			limit = mostOfMain
		case !strings.HasPrefix(name, "~") && !strings.HasPrefix(name, "cmd/"):
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
		if lines > limit {
			t.Errorf("%s has %d lines without tests: %d are the most", name, lines, limit)
		}
	}
}
