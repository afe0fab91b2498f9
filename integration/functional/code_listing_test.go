package functional

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestCodeListing reads the table of a door with codes, and gives it back.
func TestCodeListing(t *testing.T) {
	t.Parallel()
	h := lab.NewHost(t, "server")
	config := fmt.Sprintf("own_table = \"no\"\n"+codeDoor, lab.NewAuthenticator(t).File)
	lab.StartDaemon(t, h, strings.Replace(config, "20000", "40000", 1))
	listed := h.Run(t, "nft", "list", "ruleset")
	want := regexp.MustCompile(`set code_ports \{\s+type inet_service\s+flags interval\s+comment ".*"\s+elements = \{ 40000-41999 \}`)
	if !want.MatchString(listed) {
		t.Errorf("the ports that carry codes are not one interval:\n%s", listed)
	}
	h.RunWith(t, listed, "nft", "-c", "-f", "-")
}

// TestCodesAsShown does as the README says, and as the commands then say.
func TestCodesAsShown(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	file := lab.WriteConfig(t, lab.SSHDoor)
	made := s.Server.Run(t, lab.Nftknockd, "otp", "new", "ssh", "-c", file)
	keys := regexp.MustCompile(`(?m)^otp_.*\n`).FindAllString(made, -1)
	if len(keys) != 2 || !strings.Contains(made, "otpauth://totp/") {
		t.Fatalf("two keys and a URI should be shown:\n%s", made)
	}
	if err := os.WriteFile(file, []byte(lab.SSHDoor+strings.Join(keys, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	lab.StartDaemonFile(t, s.Server, file)

	shown := s.Server.Run(t, lab.Nftknockd, "otp", "show", "ssh", "-c", file)
	now := regexp.MustCompile(`(?m)^now .* knock (\d+), then (\d+)$`).FindStringSubmatch(shown)
	if now == nil {
		t.Fatalf("two ports should be shown:\n%s", shown)
	}
	s.NC(t, s.Source, append(lab.SSHSequence[:3:3], now[1:]...)...)
	s.ExpectOpen(t, s.Source, "22")
}
