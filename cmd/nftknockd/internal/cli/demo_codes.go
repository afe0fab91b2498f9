package cli

import (
	"crypto/rand"
	"encoding/base32"
	"time"

	"nftknock/config"
	"nftknock/knock"
)

// rehearseSecrets replaces the secrets of a configuration, which the demo is not given, by
// others.
func rehearseSecrets(cfg *config.Config) {
	cfg.Scan.Seed = config.Secret(rand.Text())
	cfg.OTP = make(map[string]config.OTP)
	for _, d := range cfg.Doors {
		if d.CodeBase != 0 {
			key := make([]byte, 20)
			rand.Read(key)                                   // never fails
			secret := base32.StdEncoding.EncodeToString(key) // has no padding, by its length
			cfg.OTP[d.Name] = config.OTP{Secret: config.Secret(secret)}
		}
	}
}

// spellCode returns the knocks of the code that the visit is to open the door with. No code
// opens twice, so a later visit takes that which comes next.
func (v *visit) spellCode() ([]knock.Port, error) {
	if v.door.CodeBase == 0 {
		return nil, nil
	}
	_, knocks, err := spelledCode(v.secret, stepAt(time.Now())+v.later, v.door.CodeBase)
	return knocks[:], err
}
