package nft

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExplainLacking(t *testing.T) {
	inNetNS(t)
	table := open(t, spec(door("ssh", tcp(22))))
	refused := errors.Join(unix.ENOENT)
	if err := table.explainLacking(refused, features); err != refused {
		t.Errorf("of a kernel that has everything: %v", err)
	}
	if err := table.explainLacking(unix.EPERM, nil); err != unix.EPERM {
		t.Errorf("of another error: %v", err)
	}
	more := append([]feature{{"nft_none", "CONFIG_NFT_NONE", count("none")}, {"nft_nothing", "CONFIG_NFT_NOTHING", count("nothing")}}, features...)
	err := table.explainLacking(refused, more)
	const want = "this kernel lacks nft_none, nft_nothing: load it (modprobe, or a line in /etc/modules-load.d), " +
		"or build it with CONFIG_NFT_NONE, CONFIG_NFT_NOTHING; nothing has been changed"
	if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("of a kernel that lacks two: %v", err)
	}
	if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
		t.Errorf("left are %s", tables)
	}
}
