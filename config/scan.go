package config

import (
	"fmt"
	"time"

	"nftknock/config/internal/doc"
)

// Scan is what is done about who scans.
type Scan struct {
	// Decoys is the least number of secret ports that mute who touches them: 0 to
	// 1024, default 32; 0: none.
	Decoys int

	// Mute is how long a source is not listened to after its last touch of a decoy,
	// or a wrong code: 1s to 24h, default 1m.
	Mute time.Duration

	// Seed is what the decoys are chosen by: at least 16 bytes; empty: by a secret
	// that the daemon keeps.
	Seed doc.Secret
}

const (
	maxDecoys = 1024
	maxMute   = 24 * time.Hour
	minSeed   = 16
)

// readScan reads [scan].
func readScan(root *doc.Section) Scan {
	scan := Scan{Decoys: 32, Mute: time.Minute}
	s := root.Subsection("scan")
	if s == nil {
		return scan
	}
	s.RefuseUnknown(scanKeys)
	doc.Read(s, "decoys", &scan.Decoys, doc.Number(0, maxDecoys))
	doc.Read(s, "mute", &scan.Mute, doc.Duration(maxMute, "from 1s to 24h", false))
	doc.Read(s, "decoy_seed", &scan.Seed, seed)
	return scan
}

// seed reads a secret that is chosen, and not calculated with. Its errors don't show it.
func seed(v any) (doc.Secret, error) {
	right := fmt.Sprintf("a string of %d or more random characters, or leave it out", minSeed)
	s, ok := v.(string)
	switch {
	case !ok:
		return "", doc.WrongKind(v, right)
	case len(s) < minSeed:
		return "", fmt.Errorf("is too short: write %s", right)
	}
	return doc.Secret(s), nil
}
