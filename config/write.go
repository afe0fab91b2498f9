package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// A WrittenDoor is a door as it stands in a file, which names other files rather than
// holding the secrets in them. Zero values, and defaults, are left out: of them the file
// says nothing.
type WrittenDoor struct {
	knock.Door
	OTPSecretFile string   // otp_secret_file
	SPAKeys       []string // spa_keys
	SPAAnySource  bool     // spa_any_source
}

// TOML returns the door as it stands in a configuration.
func (d WrittenDoor) TOML() string {
	t := doc.NewTable("door", d.Name)
	ports := func(key string, ports []knock.Port) {
		if len(ports) > 0 {
			t.Set(key, doc.PortList(ports))
		}
	}
	ports("ports", d.Ports)
	ports("sequence", d.Sequence)
	ports("close_sequence", d.CloseSequence)
	if d.CodeBase != 0 {
		t.Set("otp_secret_file", doc.Quote(d.OTPSecretFile))
		t.Set("otp_base", strconv.Itoa(int(d.CodeBase)))
	}
	if len(d.SPAKeys) > 0 {
		t.Set("spa_keys", doc.QuoteList(d.SPAKeys))
	}
	if d.SPAAnySource {
		t.Set("spa_any_source", "true")
	}
	if d.SeqTimeout != 0 && d.SeqTimeout != defaultSeqTimeout {
		t.Set("seq_timeout", doc.Quote(FormatDuration(d.SeqTimeout)))
	}
	if d.OpenTimeout != 0 { // which nobody should have to look up
		t.Set("open_timeout", doc.Quote(FormatDuration(d.OpenTimeout)))
	}
	if d.Shut != "" && d.Shut != knock.Drop {
		t.Set("shut", doc.Quote(string(d.Shut)))
	}
	if d.IPv4Prefix != 0 && d.IPv4Prefix != 32 {
		t.Set("ipv4_prefix", strconv.Itoa(d.IPv4Prefix))
	}
	if d.IPv6Prefix != 0 && d.IPv6Prefix != 128 {
		t.Set("ipv6_prefix", strconv.Itoa(d.IPv6Prefix))
	}
	return t.String()
}

// FormatDuration writes a duration as the configuration has it, in the greatest units that
// are whole: "90s", "2h", "1d", "forever".
func FormatDuration(d time.Duration) string {
	if d == knock.Forever {
		return "forever"
	}
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d >= unit.d && d%unit.d == 0 {
			return strconv.FormatInt(int64(d/unit.d), 10) + unit.name
		}
	}
	return d.String()
}

// AddDoor returns a configuration with one more door, behind all that is there, which
// stays as it is, comments included. The name is the file's in messages. An error is of
// type [Errors] if the file is not valid, or would not be with the door.
func AddDoor(name string, data []byte, d WrittenDoor) ([]byte, error) {
	before, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(before.Doors, func(old knock.Door) bool { return old.Name == d.Name }) {
		return nil, fmt.Errorf("%s has a door %s already: choose another name, or change that one", name, doc.Plain(d.Name))
	}
	result := doc.Append(data, d.TOML())
	if _, err := Parse(name, result); err != nil {
		return nil, err
	}
	return result, nil
}

// WriteFile puts a configuration in the place of that in a file, at once: whoever reads it
// sees all of the one or all of the other. Mode and owner stay as they are.
func WriteFile(path string, data []byte) error { return doc.WriteFile(path, data, 0o600) }
