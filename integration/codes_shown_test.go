package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCodeListing reads the table of a door with codes, and gives it back.
func TestCodeListing(t *testing.T) {
	t.Parallel()
	h := newHost(t, "server")
	config := fmt.Sprintf("own_table = \"no\"\n"+codeDoor, newApp(t).file)
	startDaemon(t, h, strings.Replace(config, "20000", "40000", 1))
	listed := h.run(t, "nft", "list", "ruleset")
	want := regexp.MustCompile(`set code_ports \{\s+type inet_service\s+flags interval\s+comment ".*"\s+elements = \{ 40000-41999 \}`)
	if !want.MatchString(listed) {
		t.Errorf("the ports that carry codes are not one interval:\n%s", listed)
	}
	h.runWith(t, listed, "nft", "-c", "-f", "-")
}

// TestCodesAsShown does as the README says, and as the commands then say.
func TestCodesAsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	s.server.listenTCP(t, 22)
	file := writeConfig(t, sshDoor)
	made := s.server.run(t, program, "otp", "new", "ssh", "-c", file)
	keys := regexp.MustCompile(`(?m)^otp_.*\n`).FindAllString(made, -1)
	if len(keys) != 2 || !strings.Contains(made, "otpauth://totp/") {
		t.Fatalf("two keys and a URI should be shown:\n%s", made)
	}
	if err := os.WriteFile(file, []byte(sshDoor+strings.Join(keys, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	startDaemonFile(t, s.server, file)

	shown := s.server.run(t, program, "otp", "show", "ssh", "-c", file)
	now := regexp.MustCompile(`(?m)^now .* knock (\d+), then (\d+)$`).FindStringSubmatch(shown)
	if now == nil {
		t.Fatalf("two ports should be shown:\n%s", shown)
	}
	s.nc(t, s.person, append(sshSequence[:3:3], now[1:]...)...)
	s.expectOpen(t, s.person, "22")
}
