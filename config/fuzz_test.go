package config

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/config/internal/doctest"
	"nftknock/knock"
)

// FuzzParse looks for files that make Parse panic, return what is not valid, or
// report what is not one line each.
func FuzzParse(f *testing.F) {
	f.Add(Reference)
	f.Add("")
	for _, tt := range errorTests {
		f.Add(tt.toml)
	}
	for _, tt := range doorForms {
		f.Add(tt.toml)
	}
	f.Fuzz(func(t *testing.T, toml string) {
		c, err := Parse("f.toml", []byte(toml))
		if err != nil {
			doctest.CheckErrors(t, err)
			return
		}
		checkConfig(t, c)
		host := Host{EphemeralFirst: 32768, EphemeralLast: 60999, Listening: map[knock.Port]bool{{Number: 22, Proto: knock.TCP}: true}}
		for _, w := range c.Warnings(host) {
			doctest.CheckLine(t, w)
		}
	})
}

// FuzzAddDoor looks for files that a door cannot be added to although they are valid and it
// is not there, or that are not as they were in front of it.
func FuzzAddDoor(f *testing.F) {
	f.Add(Reference, "added")
	f.Add("# x\r\n[door]\n", "a")
	f.Add("door.a = {ports=[1],sequence=[2]}", "b")
	f.Fuzz(func(t *testing.T, toml, name string) {
		before, err := Parse("", []byte(toml))
		if err != nil {
			return
		}
		door := WrittenDoor{Door: knock.Door{Name: name, Ports: []knock.Port{{Number: 60022, Proto: knock.TCP}}, Sequence: []knock.Port{{Number: 60001, Proto: knock.TCP}}}}
		result, err := AddDoor("", []byte(toml), door)
		if err != nil {
			return
		}
		after, err := Parse("", result)
		if err != nil || !bytes.HasPrefix(result, []byte(toml)) || len(after.Doors) != len(before.Doors)+1 {
			t.Errorf("%v\n%s", err, result)
		}
	})
}

func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	for i, p := range c.AlwaysAllow {
		if p != p.Masked() || p.Bits() == 0 || slices.ContainsFunc(c.AlwaysAllow[i+1:], p.Overlaps) {
			t.Errorf("always_allow %v: %v", c.AlwaysAllow, p)
		}
	}
	if !identifier.MatchString(c.Table) || c.NFLogGroup == 0 || c.OnStop != Keep && c.OnStop != Remove ||
		c.Limits.Sources < 1 || c.Limits.Sources > maxSources {
		t.Errorf("%+v", c)
	}
	for _, h := range c.Hooks {
		if !hookName.MatchString(h.Name) || len(h.On) == 0 || len(h.Run) == 0 || h.Timeout < time.Second || h.Timeout > maxHookTimeout {
			t.Errorf("%+v", h)
		}
		if _, err := Parse("", []byte(h.TOML())); err != nil && h.Door == "" {
			t.Errorf("%v\n%s", err, h.TOML())
		}
	}
	if f := c.Fleet; f != nil && (len(f.URLs) == 0 || f.KeyFile == "" || !groupName.MatchString(f.Group) || f.MaxGrant < time.Second) {
		t.Errorf("%+v", f)
	}
	if c.SPA.Port.Proto != knock.UDP || c.SPA.MaxAge < time.Second {
		t.Errorf("%+v", c.SPA)
	}
	guarded := make(map[knock.Port]knock.Shut)
	for _, d := range c.Doors {
		if !doorName.MatchString(d.Name) || len(d.Sequence) == 0 && d.CodeBase == 0 && len(c.SPA.Doors[d.Name].Keys) == 0 ||
			len(d.Sequence) > knock.MaxSequence || len(d.CloseSequence) > knock.MaxSequence ||
			d.SeqTimeout < time.Second || d.SeqTimeout > maxSeqTimeout ||
			d.OpenTimeout < time.Second || d.OpenTimeout > maxOpenTimeout && d.OpenTimeout != knock.Forever ||
			d.Shut != knock.Drop && d.Shut != knock.Reject ||
			d.IPv4Prefix < 1 || d.IPv4Prefix > 32 || d.IPv6Prefix < 1 || d.IPv6Prefix > 128 {
			t.Errorf("%+v", d)
		}
		if (d.CodeBase != 0) != (c.OTP[d.Name].File != "") || d.CodeBase > doc.MaxCodeBase {
			t.Errorf("%+v", d)
		}
		for _, p := range d.Ports {
			if shut, ok := guarded[p]; ok && shut != d.Shut {
				t.Errorf("port %v: %v and %v", p, shut, d.Shut)
			}
			guarded[p] = d.Shut
		}
	}
	for _, d := range c.Doors {
		for _, p := range slices.Concat(d.Ports, d.Sequence, d.CloseSequence) {
			if p.Number == 0 || p.Proto != knock.TCP && p.Proto != knock.UDP {
				t.Errorf("door %s: port %v", d.Name, p)
			}
		}
		for _, p := range slices.Concat(d.Sequence, d.CloseSequence) {
			if _, ok := guarded[p]; ok {
				t.Errorf("door %s: knock on guarded port %v", d.Name, p)
			}
		}
	}
	if conflicts := knock.Conflicts(c.Doors); len(conflicts) > 0 {
		t.Error(conflicts)
	}
}
