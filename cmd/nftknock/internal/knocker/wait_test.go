package knocker

import (
	"testing"
	"time"

	"nftknock/config/profile"
)

func TestTimeout(t *testing.T) {
	home := &Target{Retry: 2, Profile: profile.Profile{Mute: time.Minute}}
	for try, want := range []time.Duration{65 * time.Second, 70 * time.Second, 20 * time.Second} {
		random := firstTimeout << try / 2
		if try == home.Retry {
			random = 1
		}
		if got := timeoutOf(home, try, true); got < want || got >= want+random {
			t.Errorf("try %d: %v, want %v, and less than %v more", try, got, want, random)
		}
	}
	if got := timeoutOf(home, 0, false); got != firstTimeout {
		t.Errorf("there is another address: %v, want %v", got, firstTimeout)
	}
	if got := timeoutOf(home, 255, true); got != maxTimeout {
		t.Errorf("the last of many: %v, want %v", got, maxTimeout)
	}
}
