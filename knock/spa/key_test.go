package spa

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	someCipher = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	someHMAC   = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
)

func TestParseKey(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		hash       Hash
	}{
		{"key-gen", "KEY_BASE64: " + someCipher + "\nHMAC_KEY_BASE64: " + someHMAC + "\n", AnyHash},
		{"other order", "HMAC_KEY_BASE64: " + someHMAC + "\nKEY_BASE64: " + someCipher, AnyHash},
		{"Windows", "\ufeffKEY_BASE64: " + someCipher + "\r\nHMAC_KEY_BASE64: " + someHMAC + "\r\n", AnyHash},
		{"fwknoprc", "KEY_BASE64\t\t" + someCipher + "\nHMAC_KEY_BASE64\t\t" + someHMAC + "\nHMAC_DIGEST_TYPE\tSHA512\n", SHA512},
		{"access.conf", "# Alice\n\nKEY_BASE64   " + someCipher + ";\nHMAC_KEY_BASE64  " + someHMAC + " ;\nHMAC_DIGEST_TYPE sha256;", SHA256},
	} {
		key, err := ParseKey("alice", tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		cipher, hmac := key.Base64()
		if cipher != someCipher || hmac != someHMAC || key.Hash != tt.hash || key.Name != "alice" {
			t.Errorf("%s: %s %s %v", tt.name, cipher, hmac, key.Hash)
		}
	}
}

func TestParseKeyErrors(t *testing.T) {
	const good = "KEY_BASE64: " + someCipher + "\nHMAC_KEY_BASE64: " + someHMAC + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "no line KEY_BASE64: want what \"fwknop --key-gen\" prints\nno line HMAC_KEY_BASE64: want what \"fwknop --key-gen\" prints"},
		{"no HMAC key", "KEY_BASE64: " + someCipher, "no line HMAC_KEY_BASE64: want what \"fwknop --key-gen\" prints"},
		{"same", "KEY_BASE64: " + someCipher + "\nHMAC_KEY_BASE64: " + someCipher, "KEY_BASE64 and HMAC_KEY_BASE64 are the same key: want two"},
		{"twice", good + "KEY_BASE64: " + someCipher, "line 3: KEY_BASE64 is there twice"},
		{"not base64", "KEY_BASE64: s3cret!\nHMAC_KEY_BASE64: " + someHMAC, "line 1: KEY_BASE64 is not base64"},
		{"short and long", "KEY_BASE64: c2VjcmV0\n#\nHMAC_KEY_BASE64: " + strings.Repeat("AAAA", 43) + "\n",
			"line 1: KEY_BASE64 has 6 bytes: want 16 to 32\nline 3: HMAC_KEY_BASE64 has 129 bytes: want 16 to 128"},
		{"no value", "KEY_BASE64\nHMAC_KEY_BASE64: " + someHMAC, "line 1: KEY_BASE64 has 0 bytes: want 16 to 32"},
		{"hash", good + "HMAC_DIGEST_TYPE md5", "line 3: HMAC_DIGEST_TYPE: want sha256 or sha512"},
		{"key alone", good + someCipher, "line 3: unknown: want KEY_BASE64, HMAC_KEY_BASE64 or HMAC_DIGEST_TYPE, and a value"},
	} {
		_, err := ParseKey("alice", tt.text)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n%v\nwant\n%s", tt.name, err, tt.want)
		}
	}
}

func TestNewKey(t *testing.T) {
	one, other := NewKey("alice"), NewKey("alice")
	if bytes.Equal(one.cipher, other.cipher) || bytes.Equal(one.hmac, other.hmac) || bytes.Equal(one.cipher, one.hmac[:32]) {
		t.Error("keys repeat")
	}
	for _, hash := range []Hash{AnyHash, SHA256, SHA512} {
		one.Hash = hash
		again, err := ParseKey("alice", one.File())
		if diff := cmp.Diff(one, again, cmp.AllowUnexported(Key{})); err != nil || diff != "" {
			t.Errorf("file of its own: %v\n%s", err, diff)
		}
	}
}

// TestKeyIsHidden: no way to print a key shows it.
func TestKeyIsHidden(t *testing.T) {
	key := readKey(t, "alice.spa")
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %x %q %d %v %+v\n", key, key, key, key, key, key, key, &key, []Key{key})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", key)
	_ = json.NewEncoder(&out).Encode(key)
	cipher, hmac := key.Base64()
	for _, secret := range []string{cipher[:8], hmac[:8], fmt.Sprintf("%x", key.cipher[:4]), fmt.Sprint(key.hmac[:4])[1:]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("shown: %s", out.String())
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, name := range []string{"alice.spa", "bob512.spa"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey("alice", text)
		if err != nil {
			return
		}
		again, err := ParseKey("alice", key.File())
		if err != nil || !cmp.Equal(key, again, cmp.AllowUnexported(Key{})) {
			t.Fatalf("%v: %q", err, text)
		}
	})
}
