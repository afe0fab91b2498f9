package knock

import (
	"net/netip"
	"slices"
)

// A Conflict says that knocking one sequence completes another one too.
type Conflict struct {
	Door   string
	Action Action // which of the door's sequences was knocked

	Completes       string // the other sequence's door
	CompletesAction Action
}

// Conflicts knocks every sequence of the doors at a tracker, and returns which
// others each of them completes.
func Conflicts(doors []Door) []Conflict {
	var conflicts []Conflict
	tracker := NewTracker(doors, Scan{}, len(doors)*2)
	for i := range doors {
		for _, s := range sequencesOf(&doors[i]) {
			tracker.attempts = newAttempts(tracker.attempts.limit, tracker.attempts.longest)
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
	seen := map[Conflict]bool{{s.door.Name, s.action.wanted(), s.door.Name, s.action.wanted()}: true}
	for i, port := range knocks {
		p := Packet{Source: netip.IPv6Loopback(), SourcePort: 1024, Port: port, ISN: uint32(i)}
		for _, e := range t.Observe(t.epoch, p) {
			c := Conflict{s.door.Name, s.action.wanted(), e.Door.Name, e.Action.wanted()}
			if !seen[c] {
				seen[c] = true
				conflicts = append(conflicts, c)
			}
		}
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
