package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"

	"nftknock/config/internal/doc"
)

// TOML returns the profile as it stands in a hosts.toml, with its secrets. Keys that have
// their defaults are left out. One without a host has a place for it, and is an error
// until that is filled in.
func (p Profile) TOML() string {
	t := doc.NewTable("host", p.Name)
	if p.Host == "" {
		t.Set("host", `"" # write whom to knock at`)
	} else {
		t.Set("host", doc.Quote(p.Host))
	}
	if len(p.Sequence) > 0 {
		t.Set("sequence", doc.PortList(p.Sequence))
	}
	if len(p.CloseSequence) > 0 {
		t.Set("close_sequence", doc.PortList(p.CloseSequence))
	}
	if p.OTPSecret != "" {
		t.Set("otp_secret", doc.Quote(string(p.OTPSecret)))
		t.Set("otp_base", strconv.Itoa(int(p.OTPBase)))
	}
	if p.SPAKeyFile != "" {
		t.Set("spa_key_file", doc.Quote(p.SPAKeyFile))
	}
	if p.SPAPort != 0 && p.SPAPort != DefaultSPAPort {
		t.Set("spa_port", strconv.Itoa(int(p.SPAPort)))
	}
	if p.SPAAddress.IsValid() {
		t.Set("spa_address", doc.Quote(p.SPAAddress.String()))
	}
	if p.Wait != 0 {
		t.Set("wait", strconv.Itoa(int(p.Wait)))
	}
	if p.Delay != DefaultDelay {
		t.Set("delay", doc.Quote(p.Delay.String()))
	}
	if p.Family != "" && p.Family != AnyFamily {
		t.Set("family", doc.Quote(string(p.Family)))
	}
	if p.Source.IsValid() {
		t.Set("source", doc.Quote(p.Source.String()))
	}
	if p.Mute != 0 {
		t.Set("mute", doc.Quote(p.Mute.String()))
	}
	return t.String()
}

// Set returns a hosts.toml with a profile in it, and whether it replaces one of the same
// name. All else in the file stays as it is, comments included. The name is the file's in
// messages; an error is of type [Errors] if the file, or the profile, is not valid.
func Set(name string, data []byte, p Profile) (result []byte, replaced bool, err error) {
	return set(name, data, p, 0)
}

func set(name string, data []byte, p Profile, mode fs.FileMode) ([]byte, bool, error) {
	d, before := read(name, data, mode)
	if err := d.Err(); err != nil {
		return nil, false, err
	}
	result := doc.Append(data, p.TOML())
	want := slices.Clone(before.profiles)
	i := slices.IndexFunc(want, func(old Profile) bool { return old.Name == p.Name })
	if i >= 0 {
		var err error
		if result, err = before.sections[i].Replace(data, p.TOML()); err != nil {
			return nil, false, fmt.Errorf("%s: profile %s: %w", name, doc.Plain(p.Name), err)
		}
	} else {
		i = len(want)
		want = append(want, p)
	}
	got, err := Parse(name, result)
	if err != nil {
		return nil, false, err
	}
	// What is read has to be what was there, and the new one: whatever the file looks like.
	if len(got) == len(want) {
		want[i] = got[i]
	}
	if !reflect.DeepEqual(got, want) || got[i].Name != p.Name {
		return nil, false, fmt.Errorf("%s: profile %s does not stand apart from the others: change it by hand", name, doc.Plain(p.Name))
	}
	return result, i < len(before.profiles), nil
}

// Write puts a profile into the file at the path, as [Set] does, at once: whoever reads it
// sees all of the old file or all of the new one. A file that is not there is made, for
// its owner alone, and so is its folder. One that others can read is refused, as by [Load].
func Write(path string, p Profile) (replaced bool, err error) {
	data, mode, err := doc.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return false, err
		}
		data, mode = []byte(newFile), 0
	case err != nil:
		return false, fmt.Errorf("%w\nhint: %s", err, hint(err))
	case runtime.GOOS == "windows":
		mode = 0
	}
	data, replaced, err = set(path, data, p, mode)
	if err != nil {
		return false, err
	}
	return replaced, doc.WriteFile(path, data, 0o600)
}

const newFile = `# The hosts that nftknock knocks at: nftknock.hosts.toml(5) explains every key.
#
# This file holds secrets: it is refused while others can read it (chmod 600).
`
