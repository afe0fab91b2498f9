package functional

import (
	"context"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// room is where the packages of the daemon are.
const room = "nftknock/cmd/nftknockd/internal/"

// TestImports keeps the packages apart: knock and knock/spa need nothing but the standard library,
// config and nft don't know of each other, the client needs nothing of netfilter, and
// neither program anything of the tests. Within the daemon imports point one way, from
// cli to control and demo, from there to gate, and from gate to event; the leaves need
// nothing of it.
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
		{"nftknock/cmd/nftknockd", "nftknock/cmd/docs"},
		{"nftknock/cmd/nftknockd", "github.com/spf13/cobra/doc"},
		{"nftknock/knock/totp", "nftknock/config"},
		{room + "control", room + "cli"},
		{room + "control", room + "demo"},
		{room + "control", "github.com/spf13/"},
		{room + "demo", room + "cli"},
		{room + "demo", room + "control"},
		{room + "demo", "net/http"},
		{room + "gate", room + "cli"},
		{room + "gate", room + "control"},
		{room + "gate", room + "demo"},
		{room + "gate", room + "hooks"},
		{room + "gate", room + "journal"},
		{room + "gate", room + "term"},
		{room + "gate", "net/http"},
		{room + "gate", "github.com/prometheus/"},
		{room + "gate", "github.com/spf13/"},
		{room + "hooks", room + "gate"},
		{room + "hooks", room + "control"},
		{room + "hooks", "nftknock/nft"},
		{room + "setup", room + "cli"},
		{room + "setup", room + "gate"},
		{room + "setup", "github.com/spf13/"},
		{room + "codes", room + "gate"},
		{room + "codes", room + "event"},
		{room + "event", "nftknock/cmd/"},
		{room + "event", "nftknock/config"},
		{room + "event", "nftknock/nft"},
		{room + "statedir", "nftknock/"},
		{room + "term", "nftknock/"},
		{room + "journal", "nftknock/cmd/"},
		{room + "journal", "nftknock/nft"},
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
