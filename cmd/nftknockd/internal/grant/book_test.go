package grant

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/nft"
)

// A fullTable refuses everything.
type fullTable struct{}

func (fullTable) Grant(...nft.Grant) error                   { return unix.ENOBUFS }
func (fullTable) Revoke(...nft.Grant) error                  { return unix.ENOBUFS }
func (fullTable) Overlapping(nft.Grant) ([]nft.Grant, error) { return nil, nil }

func TestPendingIsBounded(t *testing.T) {
	b := NewBook(fullTable{}, func(event.Event) {})
	source := netip.MustParseAddr("203.0.113.7")
	for range 3 * maxPending {
		if err := b.Decide(Decision{Grant: Grant{Prefix: netip.PrefixFrom(source, 32)}}, time.Time{}); err == nil {
			t.Fatal("granted by a table that is full")
		}
		source = source.Next()
	}
	if len(b.pending) != maxPending || b.Refused() == nil {
		t.Errorf("%d decisions are pending, the bound is %d; %v", len(b.pending), maxPending, b.Refused())
	}
}
