package config

import (
	"fmt"
	"time"
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
	Seed Secret
}

const (
	maxDecoys = 1024
	maxMute   = 24 * time.Hour
	minSeed   = 16
)

// scan reads [scan].
func (d *document) scan(root *section) Scan {
	scan := Scan{Decoys: 32, Mute: time.Minute}
	s := root.subsection("scan")
	if s == nil {
		return scan
	}
	s.refuseUnknown(scanKeys)
	read(s, "decoys", &scan.Decoys, number(0, maxDecoys))
	read(s, "mute", &scan.Mute, duration(maxMute, "from 1s to 24h", false))
	read(s, "decoy_seed", &scan.Seed, seed)
	return scan
}

// seed reads a secret that is chosen, and not calculated with. Its errors don't show it.
func seed(v any) (Secret, error) {
	right := fmt.Sprintf("a string of %d or more random characters, or leave it out", minSeed)
	s, ok := v.(string)
	switch {
	case !ok:
		return "", wrongKind(v, right)
	case len(s) < minSeed:
		return "", fmt.Errorf("is too short: write %s", right)
	}
	return Secret(s), nil
}
