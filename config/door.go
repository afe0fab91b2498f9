package config

import (
	"iter"
	"regexp"
	"strconv"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// A door is a door with the section it is read from, for the problems that show
// only beside other doors.
type door struct {
	knock.Door
	*doc.Section
	otp OTP
	spa SPADoor
}

var doorName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,15}$`)

// door reads one door. What is wrong with it is reported, and left as it is
// without that key.
func (r *reader) door(s *doc.Section) *door {
	d := &door{Section: s, Door: knock.Door{
		Name:        s.Owner,
		SeqTimeout:  defaultSeqTimeout,
		OpenTimeout: time.Minute,
		IPv4Prefix:  32,
		IPv6Prefix:  128,
	}}
	if !doorName.MatchString(d.Name) {
		r.Report(s.Node.Line(), d.Name, "", "%q is not a name for a door, which becomes part of set names: "+
			"write a lower-case letter, then up to 15 lower-case letters, digits or _", d.Name)
	}
	s.RefuseUnknown(doorKeys)
	withoutKnocks := "write the knocks that open the door, " + doc.ExampleKnocks
	if hasCodes(s) || s.Has("spa_keys") {
		withoutKnocks = ""
	} else {
		s.Require("sequence", withoutKnocks)
	}
	doc.Read(s, "ports", &d.Ports, ports)
	doc.Read(s, "sequence", &d.Sequence, doc.Knocks(withoutKnocks))
	doc.Read(s, "close_sequence", &d.CloseSequence, doc.Knocks("leave it out if there is nothing to knock"))
	r.codes(d)
	r.packets(d)
	doc.Read(s, "seq_timeout", &d.SeqTimeout, doc.Duration(maxSeqTimeout, "from 1s to 1h", false))
	doc.Read(s, "open_timeout", &d.OpenTimeout, openTimeout)
	if !s.Has("shut") {
		d.Shut = knock.Drop
	}
	doc.Read(s, "shut", &d.Shut, doc.OneOf(knock.Drop, knock.Reject))
	doc.Read(s, "ipv4_prefix", &d.IPv4Prefix, prefixLength(32))
	doc.Read(s, "ipv6_prefix", &d.IPv6Prefix, prefixLength(128))
	return d
}

var openTimeout = doc.Duration(maxOpenTimeout, `from 1s to 365d, or "forever"`, true)

// ParseOpenTimeout reads a time that somebody is let in for, in the notation of
// open_timeout: at least a second, at most 365 days, or knock.Forever.
func ParseOpenTimeout(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return openTimeout(seconds)
	}
	return openTimeout(s)
}

// sequences returns the sequences that a door has, by their keys.
func sequences(d *knock.Door) iter.Seq2[string, []knock.Port] {
	return func(yield func(string, []knock.Port) bool) {
		if len(d.Sequence) > 0 && !yield("sequence", d.Sequence) {
			return
		}
		if len(d.CloseSequence) > 0 {
			yield("close_sequence", d.CloseSequence)
		}
	}
}

// checkGuards reports doors that cannot guard the same port together, and knocks on
// a port that a door guards: whoever uses that port would be knocking.
func checkGuards(doors []*door) {
	guard := make(map[knock.Port]*door) // the first in the file
	for _, d := range doors {
		for _, port := range d.Ports {
			first, ok := guard[port]
			if !ok {
				guard[port] = d
				continue
			}
			// Empty where what is written is neither, which is reported already.
			if first.Shut != d.Shut && first.Shut != "" && d.Shut != "" {
				d.Fail("shut", "is %q, but door %s guards port %v too, and has %q: write the same in both",
					d.Shut, doc.Plain(first.Name), port, first.Shut)
			}
		}
	}
	for _, d := range doors {
		for key, sequence := range sequences(&d.Door) {
			for i, port := range sequence {
				if g, ok := guard[port]; ok {
					d.Fail(key, "knock %d is on port %v, which door %s guards: knock on a port that no door guards",
						i+1, port, doc.Plain(g.Name))
				}
			}
		}
	}
}

// checkConflicts reports sequences that cannot be knocked without completing
// another one, or not at all. The doors have to be valid.
func checkConflicts(doors []*door) {
	byName := make(map[string]*door, len(doors))
	all := make([]knock.Door, len(doors))
	for i, d := range doors {
		byName[d.Name] = d
		all[i] = d.Door
	}
	key := map[knock.Action]string{knock.Grant: "sequence", knock.Revoke: "close_sequence"}
	for _, c := range knock.Conflicts(all) {
		if c.Completes == "" {
			byName[c.Door].Fail(key[c.Action],
				"it can never be completed, as its knocks begin the door's sequence and go on with it: choose another order, or ports that the sequence does not use")
			continue
		}
		byName[c.Door].Fail(key[c.Action],
			"knocking it completes the %s of door %s as well: change one of them, best to ports that the other does not use",
			key[c.CompletesAction], c.Completes)
	}
}
