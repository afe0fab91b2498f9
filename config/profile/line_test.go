package profile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"

	"nftknock/knock"
)

const someSPAKey = "KEY_BASE64: c2VjcmV0\nHMAC_KEY_BASE64: c2VjcmV0\n"

// fullProfile has something in every field.
func fullProfile() Profile {
	return Profile{
		Name: "db.example.org", Host: "bücher.example",
		Sequence:      []knock.Port{{Number: 7214, Proto: knock.TCP}, {Number: 8391, Proto: knock.UDP}},
		CloseSequence: []knock.Port{{Number: 8391, Proto: knock.UDP}},
		Delay:         time.Millisecond, Family: IPv6, Source: netip.MustParseAddr("2001:db8::7"), Wait: 22, Mute: time.Hour,
		OTPSecret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", OTPBase: 40000,
		SPAKeyFile: "db.example.org.spa", SPAPort: 62202,
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		profile Profile
		spaKey  Secret
	}{
		"plain": {profile: newProfile("home", 7214, 8391, 6127)},
		"full":  {fullProfile(), someSPAKey},
	} {
		line, err := test.profile.Line(test.spaKey)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(line, " \t\r\n\"'`$\\&|;<>(){}*?!#~=%") {
			t.Errorf("%s: a shell or a mail could change %s", name, line)
		}
		for _, text := range []string{line, line + "\n", "\ufeff  " + line + "  \r\n", "# For the client:\n\n" + line + "\n\nHost home\n"} {
			got, key, err := ParseLine(text)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if diff := cmp.Diff(test.profile, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || key != test.spaKey {
				t.Errorf("%s: another profile, or other keys:\n%s", name, diff)
			}
		}
		// Whatever is lost of it, or changed, is noticed.
		for i := len(linePrefix); i < len(line); i++ {
			changed := []byte(line)
			changed[i] ^= 1
			for _, text := range []string{line[:i], line[:i] + line[i+1:], line[:i] + "\n" + line[i:], string(changed)} {
				if p, _, err := ParseLine(text); err == nil {
					t.Errorf("%s: damaged at %d it is the profile %s", name, i, p.Name)
				}
			}
		}
	}
}

func TestLineRefused(t *testing.T) {
	t.Parallel()
	line, err := newProfile("home", 7214).Line("")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                       "has no line in it",
		"nftknock home":          "has no line in it",
		line + "\n" + line:       "has 2 lines",
		"nftknock2:" + line[10:]: "is of version 2 of the format",
		line[:len(line)-1]:       "is cut short, or changed on its way",
		linePrefix:               "is cut short, or changed on its way",
	} {
		if _, _, err := ParseLine(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	long := newProfile("home", 1)
	long.Host = strings.Repeat("a", 4000)
	if _, err := long.Line(""); err == nil {
		t.Error("a line that no terminal takes")
	}
	noHost := newProfile("home", 1)
	noHost.Host = ""
	if _, err := noHost.Line(""); err == nil {
		t.Error("a profile without a host")
	}
	spa := fullProfile()
	if _, err := spa.Line(""); err == nil {
		t.Error("a profile whose keys are missing")
	}
}

func FuzzParseLine(f *testing.F) {
	line, err := fullProfile().Line(someSPAKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(linePrefix)
	f.Fuzz(func(t *testing.T, text string) {
		p, key, err := ParseLine(text)
		if err != nil || len(text) > maxLine/2 {
			return
		}
		if _, err := p.Line(key); err != nil {
			t.Error(err)
		}
	})
}
