package life

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// A snapshot says who is let in, and for how long, as nft lists it.
type snapshot struct {
	begun, done time.Time // when nft was started, and when it had listed
	stays       map[stay]time.Duration
	passed      int // connections that the doors have let in
	shutOut     int
}

// A stay is that somebody is let in through a door.
type stay struct {
	door string
	who  netip.Prefix
}

// untilClosed is how long somebody is let in whose time does not run out.
const untilClosed = time.Duration(-1)

func howLong(left time.Duration) string {
	if left == untilClosed {
		return "no end"
	}
	return left.String()
}

var (
	openSetLine = regexp.MustCompile(`^\tset (\w+)_open[46] \{`)
	stayText    = regexp.MustCompile(`([0-9a-f.:]+(?:/\d+)?)( timeout \w+)?(?: expires (\w+))? comment "knock"`)
)

// takeSnapshot reads the snapshot from the gate's table.
func takeSnapshot(t *testing.T, s *lab.Topology) snapshot {
	t.Helper()
	r := snapshot{begun: time.Now(), stays: make(map[stay]time.Duration)}
	out := s.Server.Run(t, "nft", "list", "table", "inet", lab.GateTable)
	r.done = time.Now()
	r.passed, r.shutOut = lab.CountedBy(out, "_granted"), lab.CountedBy(out, "_shut")
	var door string
	for line := range strings.Lines(out) {
		switch match := openSetLine.FindStringSubmatch(line); {
		case match != nil:
			door = match[1]
		case line == "\t}\n":
			door = ""
		}
		if door == "" {
			continue
		}
		for _, match := range stayText.FindAllStringSubmatch(line, -1) {
			who, left, err := parseStay(match[1], match[2] != "", match[3])
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			r.stays[stay{door, who}] = left
		}
	}
	return r
}

func parseStay(who string, limited bool, expires string) (netip.Prefix, time.Duration, error) {
	if !strings.Contains(who, "/") {
		a, err := netip.ParseAddr(who)
		if err != nil {
			return netip.Prefix{}, 0, err
		}
		who = netip.PrefixFrom(a, a.BitLen()).String()
	}
	p, err := netip.ParsePrefix(who)
	if err != nil || !limited {
		return p, untilClosed, err
	}
	if expires == "" { // it is about to
		return p, 0, nil
	}
	left, err := time.ParseDuration(expires)
	return p, left, err
}

// left returns how long a door still lets somebody in, and false if it does not.
func (r snapshot) left(door string, who netip.Addr) (time.Duration, bool) {
	for s, left := range r.stays {
		if s.door == door && s.who.Contains(who) {
			return left, true
		}
	}
	return 0, false
}

// A change is by how much a stay ends earlier or later than it did, at least: a
// snapshot tells no end more exactly than it was read fast.
type change struct{ less, more time.Duration }

// changeSince compares a time left in an earlier snapshot with one in this.
func (r snapshot) changeSince(before snapshot, was, is time.Duration) change {
	return change{
		less: before.begun.Add(was).Sub(r.done.Add(is)),
		more: r.begun.Add(is).Sub(before.done.Add(was)),
	}
}

// sameTime is by how much a time left may differ from what it was, other than
// by the time that has passed.
const sameTime = time.Second

// A reckoning is how the times of two snapshots differ.
type reckoning struct {
	wrong []string
	worst time.Duration // by which a resident's time has changed, at least
}

// since compares the snapshot with an earlier one. Whoever has time left is in,
// and their time is what it was; but regulars may have renewed theirs, and
// waverers may do as they like.
func (r snapshot) since(before snapshot) reckoning {
	var found reckoning
	wrong := func(s stay, format string, args ...any) {
		found.wrong = append(found.wrong, fmt.Sprintf("%v, let in through door %s, ", s.who, s.door)+fmt.Sprintf(format, args...))
	}
	for s, was := range before.stays {
		kind := kindOf(s.who)
		renews := kind == regulars || kind == hasty
		left, in := r.stays[s]
		switch {
		case kind == waverers:
		case !in && (was == untilClosed || before.begun.Add(was).After(r.done)):
			wrong(s, "is out, and had %s left %v ago", howLong(was), r.done.Sub(before.begun))
		case !in:
		case (was == untilClosed) != (left == untilClosed):
			wrong(s, "had %s left, and now %s", howLong(was), howLong(left))
		case was == untilClosed:
		default:
			change := r.changeSince(before, was, left)
			if change.less > sameTime || change.more > sameTime && !renews {
				wrong(s, "had %v left, and %v later %v", was, r.begun.Sub(before.done), left)
			}
			if !renews {
				found.worst = max(found.worst, change.less, change.more)
			}
		}
	}
	for s := range r.stays {
		if kind := kindOf(s.who); kind == bunglers || kind == strangers {
			wrong(s, "has never knocked the right sequence")
		}
	}
	if r.passed > 0 {
		found.wrong = append(found.wrong, fmt.Sprintf("%d packets were let in, and nobody who may come in has sent any", r.passed))
	}
	return found
}

// expectSame makes sure that between two snapshots nobody was lost and nobody
// let in by accident. It returns the change of a resident's time that was worst.
func expectSame(t *testing.T, s *lab.Topology, before, after snapshot) time.Duration {
	t.Helper()
	found := after.since(before)
	for _, text := range found.wrong {
		t.Error(text)
	}
	return found.worst
}
