package main

import (
	"testing"
	"time"

	"nftknock/config/profile"
)

func TestPatience(t *testing.T) {
	home := &target{retry: 2, Profile: profile.Profile{Mute: time.Minute}}
	for try, want := range []time.Duration{65 * time.Second, 70 * time.Second, 20 * time.Second} {
		if got := patience(home, try); got != want {
			t.Errorf("try %d: %v, want %v", try, got, want)
		}
	}
	if got := patience(home, 255); got <= 0 || got > 2*time.Hour {
		t.Errorf("the last of many: %v", got)
	}
}
