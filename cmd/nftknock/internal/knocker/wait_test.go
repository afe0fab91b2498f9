package knocker

import (
	"testing"
	"time"

	"nftknock/config/profile"
)

func TestPatience(t *testing.T) {
	home := &Target{Retry: 2, Profile: profile.Profile{Mute: time.Minute}}
	for try, want := range []time.Duration{65 * time.Second, 70 * time.Second, 20 * time.Second} {
		random := firstPatience << try / 2
		if try == home.Retry {
			random = 1
		}
		if got := patience(home, try, true); got < want || got >= want+random {
			t.Errorf("try %d: %v, want %v, and less than %v more", try, got, want, random)
		}
	}
	if got := patience(home, 0, false); got != firstPatience {
		t.Errorf("there is another address: %v, want %v", got, firstPatience)
	}
	if got := patience(home, 255, true); got != maxPatience {
		t.Errorf("the last of many: %v, want %v", got, maxPatience)
	}
}
