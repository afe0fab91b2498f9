package profile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"

	"nftknock/config/internal/doc"
)

// linePrefix begins a line, and says of which version it is.
const linePrefix = "nftknock1:"

// maxLine is far more than a line needs, in bytes. A terminal takes no more than 4095
// (termios(3), canonical mode).
const maxLine = 4000

var (
	lineForm      = regexp.MustCompile(`\bnftknock([0-9]+):[A-Za-z0-9_-]*`)
	errLineMissed = errors.New(`has no line in it that begins with "` + linePrefix + `": "nftknockd client DOOR" on the server prints it`)
	errLineDamage = errors.New("is cut short, or changed on its way: copy the whole line, from " + linePrefix + " to its end")
)

// lineContent is what a line carries, as JSON.
type lineContent struct {
	Profile string `json:"profile"`           // as [Profile.TOML] writes it
	SPAKey  string `json:"spa_key,omitempty"` // what is in the file that spa_key_file names
}

// Line returns a profile as one line that is safe to copy and paste, for "nftknock add": the
// prefix, then base64url (RFC 4648, section 5) of JSON and of its CRC-32 (IEEE, big endian),
// without padding. The line is as secret as what is in the profile. spaKey is what the file
// of SPAKeyFile holds, if the profile has one.
func (p Profile) Line(spaKey Secret) (string, error) {
	if p.SPAKeyFile != "" {
		p.SPAKeyFile = spaKeyFile(p.Name)
	}
	data, err := json.Marshal(lineContent{p.TOML(), string(spaKey)})
	if err != nil {
		return "", err
	}
	data = binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
	line := linePrefix + base64.RawURLEncoding.EncodeToString(data)
	if len(line) > maxLine {
		return "", fmt.Errorf("profile %s has %d bytes as a line: at most %d can be pasted into a terminal", doc.Plain(p.Name), len(line), maxLine)
	}
	_, _, err = ParseLine(line) // what nobody can add is not worth printing
	return line, err
}

// spaKeyFile is where a client keeps the keys of a profile, beside its hosts.toml.
func spaKeyFile(name string) string { return name + ".spa" }

// ParseLine reads the line that is in a text, and returns the profile with what belongs into the file
// of its SPAKeyFile. Its errors continue a sentence that names the text, and tell nothing of what
// is in it.
func ParseLine(text string) (p Profile, spaKey Secret, err error) {
	lines := lineForm.FindAllStringSubmatch(text, -1)
	switch {
	case len(lines) == 0:
		return p, "", errLineMissed
	case len(lines) > 1:
		return p, "", fmt.Errorf("has %d lines that begin like this one: give one at a time", len(lines))
	case lines[0][1] != "1":
		return p, "", fmt.Errorf("is of version %s of the format, and this nftknock knows version 1: install a newer one", lines[0][1])
	}
	content, err := lineData(strings.TrimPrefix(lines[0][0], linePrefix))
	if err != nil {
		return p, "", err
	}
	profiles, err := Parse("the line", []byte(content.Profile))
	if err != nil {
		return p, "", fmt.Errorf("has a profile that this nftknock does not understand; a newer one may:\n%w", err)
	}
	if len(profiles) != 1 {
		return p, "", fmt.Errorf("has %d profiles: there has to be one", len(profiles))
	}
	p = profiles[0]
	if (p.SPAKeyFile != "") != (content.SPAKey != "") {
		return p, "", errors.New("has a spa_key_file without its keys, or keys without a file")
	}
	if p.SPAKeyFile != "" {
		p.SPAKeyFile = spaKeyFile(p.Name) // never a place that the line chooses
	}
	return p, Secret(content.SPAKey), nil
}

// lineData takes off what a line is wrapped in.
func lineData(text string) (*lineContent, error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	const sum = 4
	if err != nil || len(data) < sum {
		return nil, errLineDamage
	}
	data, check := data[:len(data)-sum], binary.BigEndian.Uint32(data[len(data)-sum:])
	if crc32.ChecksumIEEE(data) != check {
		return nil, errLineDamage
	}
	var content lineContent
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&content); err != nil {
		return nil, errors.New("carries something that this nftknock does not know: install a newer one")
	}
	return &content, nil
}
