package config

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Every name that is accepted is one that nft can read: tried with names that
// people may choose, and with words of nft's own that only mean something elsewhere.
func TestTableNameNft(t *testing.T) {
	var script strings.Builder
	words := strings.Fields(`nftknock knock gate a a_b a1 filter nat raw mangle security firewall main ssh hash flags_
		rules trace new chains sets tables counters quotas limits meters maps flowtables secmarks synproxys
		ruleset vmap hours second minute week bytes packets burst rate over until used level group snaplen
		prefix mss wscale sack id state zone helper label labels direction status protocol saddr daddr sport
		dport version length ttl hoplimit to from with true false string performance memory`)
	for _, word := range append(words, reserved...) {
		if name, err := tableName(word); err == nil {
			script.WriteString("table inet " + name + " {\n}\n")
		}
	}
	nft := exec.Command("nft", "--check", "--file", "-")
	nft.Stdin = strings.NewReader(script.String())
	// A network namespace of its own, as any user where that is allowed.
	nft.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := nft.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
