package migrate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nftknock/config"
	"nftknock/config/fwknop"
)

// The least that a key has to have, in bytes: less can be found out by trying, by who has
// seen a packet.
const minKey = 16

// keyFile returns the keys of a stanza as a file has them, or what is wrong with which of
// its directives. No error shows anything of a key.
func keyFile(s *fwknop.Stanza) (config.Secret, fwknop.Directive, error) {
	var b strings.Builder
	for _, key := range []string{"KEY", "HMAC_KEY"} {
		d, ok := s.Get(key + "_BASE64")
		value := d.Value
		if !ok {
			if d, ok = s.Get(key); ok {
				value = base64.StdEncoding.EncodeToString([]byte(d.Value))
			}
		}
		secret, err := base64.StdEncoding.DecodeString(value)
		switch {
		case !ok && key == "KEY":
			return "", d, errors.New("it has no KEY_BASE64: packets that are encrypted in another way, such as by GPG, are not taken")
		case !ok:
			return "", d, errors.New("it has no HMAC_KEY_BASE64, and no packet is taken without an HMAC: make keys with fwknop --key-gen")
		case err != nil:
			return "", d, errors.New("it is not base64: write what fwknop --key-gen prints")
		case len(secret) < minKey:
			return "", d, fmt.Errorf("it has %d bytes: %d at least are needed; make keys with fwknop --key-gen", len(secret), minKey)
		}
		fmt.Fprintf(&b, "%s_BASE64: %s\n", key, value)
	}
	if d, ok := s.Get("HMAC_DIGEST_TYPE"); ok {
		digest := strings.ToLower(d.Value)
		if digest != "sha256" && digest != "sha512" {
			return "", d, errors.New("an HMAC is made with sha256 or sha512: change it for the client too")
		}
		fmt.Fprintf(&b, "HMAC_DIGEST_TYPE: %s\n", digest)
	}
	return config.Secret(b.String()), fwknop.Directive{}, nil
}

// WriteKeys writes key files into a folder, for nobody but their owner to read. One that is
// there already is an error, and none is written.
func WriteKeys(folder string, files []KeyFile) error {
	for i, k := range files {
		f, err := os.OpenFile(filepath.Join(folder, k.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_, err = f.WriteString(string(k.Text))
			err = errors.Join(err, f.Sync(), f.Close())
			if err != nil {
				os.Remove(f.Name())
			}
		}
		if err != nil {
			for _, written := range files[:i] {
				os.Remove(filepath.Join(folder, written.Name))
			}
			return err
		}
	}
	return nil
}
