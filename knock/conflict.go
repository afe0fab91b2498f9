package knock

import "net/netip"

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
	tracker := NewTracker(doors, len(doors)*2)
	for i := range doors {
		for _, action := range []Action{LetIn, PutOut} {
			tracker.attempts = newAttempts(tracker.attempts.limit, tracker.attempts.longest)
			conflicts = append(conflicts, tracker.conflictsOf(&doors[i], action)...)
		}
	}
	return conflicts
}

// conflictsOf knocks one sequence at the tracker.
func (t *Tracker) conflictsOf(d *Door, action Action) []Conflict {
	var conflicts []Conflict
	seen := map[Conflict]bool{{d.Name, action, d.Name, action}: true}
	for i, port := range d.sequenceFor(action) {
		p := Packet{Source: netip.IPv6Loopback(), SourcePort: 1024, Port: port, ISN: uint32(i)}
		for _, e := range t.Observe(t.epoch, p) {
			c := Conflict{d.Name, action, e.Door.Name, e.Action}
			if !seen[c] {
				seen[c] = true
				conflicts = append(conflicts, c)
			}
		}
	}
	return conflicts
}
