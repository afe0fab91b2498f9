package functional

import (
	"context"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestImports keeps the packages apart: knock and knock/spa need nothing but the standard
// library, config and nft don't know of each other, the client needs nothing of netfilter,
// and neither program anything of the tests.
func TestImports(t *testing.T) {
	t.Parallel()
	for _, rule := range []struct {
		of, never string // what all dependencies that begin with never are forbidden to
	}{
		{"nftknock/knock", "github.com/"},
		{"nftknock/knock", "nftknock/"},
		{"nftknock/knock/spa", "github.com/"},
		{"nftknock/knock/spa", "nftknock/config"},
		{"nftknock/knock/spa", "nftknock/nft"},
		{"nftknock/knock/spa", "nftknock/cmd/"},
		{"nftknock/config", "nftknock/nft"},
		{"nftknock/config", "nftknock/cmd/"},
		{"nftknock/nft", "nftknock/config"},
		{"nftknock/nft", "nftknock/cmd/"},
		{"nftknock/cmd/nftknock", "nftknock/nft"},
		{"nftknock/cmd/nftknock", "github.com/google/nftables"},
		{"nftknock/cmd/nftknock", "nftknock/cmd/nftknockd"},
		{"nftknock/cmd/nftknock", "nftknock/integration"},
		{"nftknock/cmd/nftknockd", "nftknock/integration"},
	} {
		out, err := lab.Command(context.Background(), t, "go", "list", "-deps", rule.of).Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", rule.of, err)
		}
		for line := range strings.Lines(string(out)) {
			if dep := strings.TrimSuffix(line, "\n"); dep != rule.of && strings.HasPrefix(dep, rule.never) {
				t.Errorf("%s depends on %s", rule.of, dep)
			}
		}
	}
}
