package config

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

// The reference is valid, gives no warnings, and says of every key what its default
// is: that is, apart from the door's secrets it changes nothing.
func TestReference(t *testing.T) {
	c := mustParse(t, Reference)
	if w := c.Warnings(Host{EphemeralFirst: 32768, EphemeralLast: 60999}); len(w) > 0 {
		t.Error(w)
	}
	ssh := defaultDoor("ssh")
	ssh.Sequence = c.Doors[0].Sequence
	ssh.CloseSequence = c.Doors[0].CloseSequence
	want := mustParse(t, "")
	want.AlwaysAllow = c.AlwaysAllow // empty, as is that of an empty file
	want.Doors = []knock.Door{ssh}
	if diff := cmp.Diff(want, c, exported); diff != "" {
		t.Error(diff)
	}
	// What it shows without having it is valid too.
	shown := regexp.MustCompile(`(?m)^# ((?:[a-z0-9_]+ = )|\[(?:fleet|hook\.wake)\])`).ReplaceAllString(Reference, "$1")
	shown = regexp.MustCompile(`(?m)^(interfaces|decoy_seed|listen) = .*|^(door|doors) = .*`).ReplaceAllString(shown, "")
	if c := mustParse(t, shown); c.Fleet == nil || len(c.Hooks) != 1 || len(c.SPA.Doors) != 1 || len(c.OTP) != 1 {
		t.Errorf("%+v", c)
	}
	if len(c.AlwaysAllow) > 0 {
		t.Errorf("always_allow %v", c.AlwaysAllow)
	}
	for _, key := range slices.Concat(topKeys, limitsKeys, scanKeys, metricsKeys, spaKeys, fleetKeys, hookKeys, doorKeys) {
		written := regexp.MustCompile(`(?m)^(# )?(` + key + ` = |\[` + key + `[].])`)
		if !written.MatchString(Reference) {
			t.Errorf("key %s is not in the reference", key)
		}
	}
}

// The times and ranges that the reference states are those that hold.
func TestReferenceRanges(t *testing.T) {
	for _, toml := range []string{
		`seq_timeout = "1s"`, `seq_timeout = "1h"`, `open_timeout = "365d"`, `open_timeout = "forever"`, `open_timeout = 1`,
	} {
		mustParse(t, "[door.ssh]\nports = [22]\nsequence = [2201]\n"+toml)
	}
	for _, toml := range []string{
		`decoys = 0`, `decoys = 1024`, `mute = "1s"`, `mute = 86400`, `decoy_seed = "sixteen letters!"`,
	} {
		mustParse(t, "[scan]\n"+toml)
	}
	for _, base := range []string{"1", "63536"} {
		mustParse(t, "[door.ssh]\nports = [22000]\notp_secret_file = \"ssh.otp\"\notp_base = "+base)
	}
	if maxSources != 16777216 || maxOpenTimeout != 8760*time.Hour || knock.MaxSequence != 32 {
		t.Error("the reference states other limits")
	}
}
