package fleet

import (
	"bytes"
	"testing"
	"time"

	"nftknock/config"
)

var testSigner = signer{config.Secret("0123456789abcdef0123456789abcdef"), "bastions"}

func testEntry() Entry {
	at := time.UnixMilli(1_800_000_000_123)
	return Entry{Door: "ssh", Source: "2001:db8::/64", Gate: "gate1", At: at, Until: at.Add(time.Minute)}
}

func TestSignedEntry(t *testing.T) {
	for _, want := range []Entry{
		testEntry(),
		{Door: "ssh", Source: "192.0.2.1", Gate: "gate2", At: time.UnixMilli(5)}, // without an end
		{Door: "ssh", Source: "192.0.2.1", Gate: "gate2", At: time.UnixMilli(5), Until: time.UnixMilli(9), Kept: time.UnixMilli(12)},
		{Door: "ssh", Source: "192.0.2.1", Gate: "gate2", At: time.UnixMilli(5), Until: time.UnixMilli(9), Kept: time.UnixMilli(9), Revoked: true},
	} {
		got, err := testSigner.openEntry(want.key(), testSigner.sealEntry(&want))
		if err != nil || *got != want {
			t.Errorf("%+v came out as %+v, %v", want, got, err)
		}
	}
}

// What is not whole, not signed with the key, of another group or in another place is refused.
func TestForgedEntry(t *testing.T) {
	e := testEntry()
	value, key := testSigner.sealEntry(&e), e.key()
	refused := func(what string, s signer, key string, value []byte) {
		t.Helper()
		if got, err := s.openEntry(key, value); err == nil {
			t.Errorf("%s: is taken: %+v", what, got)
		}
	}
	for i := range value {
		changed := bytes.Clone(value)
		changed[i] ^= 1
		refused("a bit", testSigner, key, changed)
		refused("cut short", testSigner, key, value[:i])
	}
	other := testEntry()
	other.Source = "192.0.2.7"
	refused("another key of the bucket", testSigner, other.key(), value)
	refused("another group", signer{testSigner.secret, "others"}, key, value)
	refused("another secret", signer{"another secret of thirty-two byt", "bastions"}, key, value)
	refused("what has no entry in it", testSigner, key, testSigner.seal(key, payload{Gate: "gate1"}))
}

// FuzzOpenEntry: no value of the bucket is anything but refused or taken.
func FuzzOpenEntry(f *testing.F) {
	e := testEntry()
	f.Add(e.key(), testSigner.sealEntry(&e))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		testSigner.openEntry(key, value)
		testSigner.openEntry(key, testSigner.seal(key, payload{Door: key, Source: string(value), Gate: "g"}))
	})
}
