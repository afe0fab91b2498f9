package knock

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
)

// keys makes keys of sources. An address with a zone, which is local to a link, is
// another source on each link: its address and the zone's name are hashed together, so
// that a key is as long as any other and nobody's name takes memory. The hash is keyed, and nobody
// outside can find an address whose key is that of another.
type keys struct{ secret [sha256.Size]byte }

func newKeys() *keys {
	k := new(keys)
	rand.Read(k.secret[:]) // never fails
	return k
}

// of returns the key of a source's attempts at a sequence.
func (k *keys) of(source netip.Addr, sequence int32) key {
	if source.Zone() == "" {
		return key{source.As16(), sequence}
	}
	address := source.As16()
	mac := hmac.New(sha256.New, k.secret[:])
	mac.Write(address[:])
	mac.Write([]byte(source.Zone()))
	return key{[16]byte(mac.Sum(nil)), sequence}
}
