package knock

import (
	"net/netip"
	"slices"
)

// A Conflict says that knocking one sequence completes another one too, or that it does
// not complete itself: a closing sequence whose knocks advance the opening of its own door.
type Conflict struct {
	Door   string
	Action Action // which of the door's sequences was knocked

	Completes       string // the other sequence's door; empty if the sequence does not complete itself
	CompletesAction Action
}

// Conflicts knocks every sequence of the doors at a tracker, and returns what is wrong
// with what each of them completes.
func Conflicts(doors []Door) []Conflict {
	var conflicts []Conflict
	tracker := NewTracker(doors, Scan{}, len(doors)*2*MaxParallel)
	for i := range doors {
		for _, s := range sequencesOf(&doors[i]) {
			tracker.attempts.clear()
			conflicts = append(conflicts, tracker.conflictsOf(&s)...)
		}
	}
	return conflicts
}

// conflictsOf knocks one sequence at the tracker.
func (t *Tracker) conflictsOf(s *sequence) []Conflict {
	knocks := s.knocks
	if s.base != 0 {
		code := SpellCode(s.base, MaxCode/2)
		knocks = slices.Concat(knocks, code[:])
	}
	var conflicts []Conflict
	self := Conflict{s.door.Name, s.action.wanted(), s.door.Name, s.action.wanted()}
	seen := make(map[Conflict]bool)
	for i, port := range knocks {
		p := Packet{Source: netip.IPv6Loopback(), SourcePort: 1024, Port: port, ISN: uint32(i)}
		for _, e := range t.Observe(t.epoch, p) {
			c := Conflict{s.door.Name, s.action.wanted(), e.Door.Name, e.Action.wanted()}
			if !seen[c] && c != self {
				conflicts = append(conflicts, c)
			}
			seen[c] = true
		}
	}
	if !seen[self] && len(conflicts) == 0 {
		conflicts = append(conflicts, Conflict{Door: s.door.Name, Action: s.action.wanted()})
	}
	return conflicts
}

// wanted is what somebody wants who knocks for an action.
func (a Action) wanted() Action {
	if a == CheckCode {
		return Grant
	}
	return a
}
