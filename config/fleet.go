package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"nftknock/config/internal/doc"
)

// Fleet is how gates share whom they let in. The files that it names are read when somebody is to
// share, by [Fleet.ReadKey] and [Fleet.ReadCredentials].
type Fleet struct {
	URLs        []string      // of NATS servers: nats or tls, a host, and a port if it is not 4222
	Credentials string        // file, from the folder of the configuration; empty: none
	KeyFile     string        // likewise; see ReadKey
	Group       string        // gates of one group share grants
	Doors       []string      // which doors'; empty: all
	MaxGrant    time.Duration // the longest that another gate's grant is taken for: 1s to 365d, default 24h
}

// Shares reports whether the grants of a door are shared.
func (f *Fleet) Shares(door string) bool { return len(f.Doors) == 0 || slices.Contains(f.Doors, door) }

var (
	fleetKeys = []string{"url", "credentials", "key_file", "group", "doors", "max_grant"}

	groupName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`) // which a NATS bucket can be called
)

// fleet reads [fleet]; nil if there is none.
func (r *reader) fleet(root *doc.Section, doors []*door) *Fleet {
	s := root.Subsection("fleet")
	if s == nil {
		return nil
	}
	f := &Fleet{MaxGrant: 24 * time.Hour}
	s.RefuseUnknown(fleetKeys)
	s.Require("url", "write where NATS is, "+exampleURL)
	s.Require("key_file", `write the file with the key that all gates of the group have, such as "fleet.key"`)
	s.Require("group", `write a name that all gates have which share grants, such as "bastions"`)
	doc.Read(s, "url", &f.URLs, urls)
	doc.Read(s, "credentials", &f.Credentials, func(v any) (string, error) { return doc.FileName(r.Folder(), v, "fleet.creds") })
	doc.Read(s, "key_file", &f.KeyFile, func(v any) (string, error) { return doc.FileName(r.Folder(), v, "fleet.key") })
	doc.Read(s, "group", &f.Group, group)
	doc.Read(s, "doors", &f.Doors, func(v any) ([]string, error) {
		names, err := doc.List(v, `such as ["ssh"]`, func(_ int, v any) (string, error) { return doorOf(v, doors) })
		if err == nil && len(names) == 0 {
			err = errors.New("is empty: leave it out to share all doors")
		}
		return names, err
	})
	doc.Read(s, "max_grant", &f.MaxGrant, doc.Duration(maxOpenTimeout, "from 1s to 365d", false))
	return f
}

const exampleURL = `such as "nats://10.0.0.5:4222"`

// urls reads addresses of NATS servers, as its own programs take them: with commas.
// Errors don't show them: there may be a password in one.
func urls(v any) ([]string, error) {
	s, ok := v.(string)
	if !ok {
		return nil, doc.WrongKind(v, "a string, "+exampleURL)
	}
	var urls []string
	for i, one := range strings.Split(s, ",") {
		one = strings.TrimSpace(one)
		u, err := url.Parse(one)
		switch {
		case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("invalid address %d: want nats:// or tls://, a host and its port, %s", i+1, exampleURL)
		case u.User != nil:
			return nil, fmt.Errorf("address %d holds a user or password: write these into a file, and its name into credentials", i+1)
		}
		urls = append(urls, one)
	}
	return urls, nil
}

func group(v any) (string, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return "", doc.WrongKind(v, `a string, such as "bastions"`)
	case !groupName.MatchString(s):
		return "", fmt.Errorf("invalid value %q: want up to 32 lower-case letters, digits, _ or -", s)
	}
	return s, nil
}

// doorOf reads the name of a door that there is.
func doorOf(v any, doors []*door) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", doc.WrongKind(v, `the name of a door, such as "ssh"`)
	}
	names := make([]string, len(doors))
	for i, d := range doors {
		names[i] = d.Name
	}
	if slices.Contains(names, s) {
		return s, nil
	}
	if nearest, ok := doc.Nearest(s, names); ok {
		return "", fmt.Errorf("there is no door %s: did you mean %q?", doc.Plain(s), nearest)
	}
	return "", fmt.Errorf("there is no door %s: write the name of one, the NAME of a [door.NAME]", doc.Plain(s))
}

// ReadCredentials returns what is in the file of credentials; nothing if there is none to be read.
func (f *Fleet) ReadCredentials() (Secret, error) {
	if f.Credentials == "" {
		return "", nil
	}
	text, err := doc.ReadSecretFile(f.Credentials, "it comes from whoever runs the NATS servers")
	return Secret(text), err
}

// minFleetKey is how long the key of a fleet has to be, in bytes: what HMAC-SHA256 makes
// (RFC 2104, section 3).
const minFleetKey = 32

// ReadKey returns the key that signs what gates tell each other, decoded: 32 bytes or more.
// Nobody but the file's owner may have access to it.
func (f *Fleet) ReadKey() (Secret, error) {
	text, err := doc.ReadSecretFile(f.KeyFile, `make it once, "openssl rand -base64 32", and copy it to all gates`)
	if err != nil {
		return "", err
	}
	key, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	switch {
	case err != nil: // which would tell a place in the key
		return "", fmt.Errorf("%s does not hold base64", doc.Plain(f.KeyFile))
	case len(key) < minFleetKey:
		return "", fmt.Errorf("%s holds %d bytes: at least %d are needed", doc.Plain(f.KeyFile), len(key), minFleetKey)
	}
	return Secret(key), nil
}
