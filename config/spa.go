package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// SPA is how packets of single packet authorization are taken.
type SPA struct {
	Port   knock.Port         // where they arrive, always UDP; default 62201, fwknop's
	MaxAge time.Duration      // how far from the wall clock a packet may be: 1s to 1h, default 2m
	Doors  map[string]SPADoor // the doors that take packets, by name; nil: none does
}

// SPADoor is who may open a door with a packet.
type SPADoor struct {
	Keys      []SPAKey // at least one
	AnySource bool     // whether a packet may leave the address to let in to its IP header
}

// SPAKey is the key file of a person.
type SPAKey struct {
	Name string  // the file's, without its ending: the person's in log, status and events
	File string  // from the folder of the configuration
	Key  spa.Key // what is in the file; the zero Key if it was not read
}

var (
	spaKeys = []string{"port", "max_age"}

	// A person's name stands in logs.
	keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
)

func readSPA(root *doc.Section) SPA {
	packets := SPA{Port: knock.Port{Number: 62201, Proto: knock.UDP}, MaxAge: 2 * time.Minute}
	s := root.Subsection("spa")
	if s == nil {
		return packets
	}
	s.RefuseUnknown(spaKeys)
	doc.Read(s, "port", &packets.Port, spaPort)
	doc.Read(s, "max_age", &packets.MaxAge, doc.Duration(time.Hour, "from 1s to 1h", false))
	return packets
}

func spaPort(v any) (knock.Port, error) {
	p, err := doc.Port(v)
	if err == nil && p.Proto != knock.UDP {
		return p, fmt.Errorf(`is a TCP port, and packets are UDP: write "%d:udp"`, p.Number)
	}
	return p, err
}

// packets reads what a door says of single packet authorization.
func (r *reader) packets(d *door) {
	doc.Read(d.Section, "spa_any_source", &d.spa.AnySource, doc.Bool)
	if d.spa.AnySource {
		d.Require("spa_keys", `write the key files of those whose packets open the door, such as ["alice.spa"]`)
	}
	doc.Read(d.Section, "spa_keys", &d.spa.Keys, func(v any) ([]SPAKey, error) {
		keys, err := doc.List(v, `such as ["alice.spa"]`, func(_ int, v any) (SPAKey, error) { return r.spaKey(v) })
		if err == nil && len(keys) == 0 {
			err = errors.New(`is empty: write the key files of those whose packets open the door, such as ["alice.spa"]`)
		}
		return keys, err
	})
}

func (r *reader) spaKey(v any) (SPAKey, error) {
	file, err := doc.FileName(r.Folder(), v, "alice.spa")
	if err != nil {
		return SPAKey{}, err
	}
	base := filepath.Base(file)
	k := SPAKey{Name: strings.TrimSuffix(base, filepath.Ext(base)), File: file}
	other, ok := r.keyFiles[k.Name]
	switch {
	case !keyName.MatchString(k.Name):
		return k, fmt.Errorf("%q: the file's name is the person's: write letters, digits, dots, _, @ or -, 64 at most", base)
	case ok && other != file:
		return k, fmt.Errorf("%s and %s are two people of one name: call one of the files something else", doc.Plain(other), doc.Plain(file))
	}
	r.keyFiles[k.Name] = file
	if r.secrets != nil {
		var text doc.Secret
		if text, err = r.secrets(file, fmt.Sprintf("\"nftknockd spa new DOOR %s\" makes it", k.Name)); err != nil {
			return k, err
		}
		if k.Key, err = spa.ParseKey(k.Name, string(text)); err != nil {
			err = fmt.Errorf("%s: %s", doc.Plain(file), strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	return k, err
}

// checkPacketPort reports other uses of the port that packets arrive at.
func checkPacketPort(port knock.Port, doors []*door) {
	for _, d := range doors {
		for _, p := range d.Ports {
			if p == port {
				d.Fail("ports", "%v is the port at which packets arrive: guard another, or change spa.port", port)
			}
		}
		for key, sequence := range sequences(&d.Door) {
			for i, p := range sequence {
				if p == port {
					d.Fail(key, "knock %d is on the port at which packets arrive (spa.port): knock on another", i+1)
				}
			}
		}
	}
}
