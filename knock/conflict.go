package knock

import (
	"net/netip"
	"slices"
	"time"
)

// A Conflict says that knocking one sequence completes another one too.
type Conflict struct {
	Door   string
	Action Action // which of the door's sequences was knocked

	Completes       string // the other sequence's door
	CompletesAction Action
}

// Conflicts knocks every sequence of the doors at one tracker, each from a source
// of its own, and returns which others it completes.
func Conflicts(doors []Door) []Conflict {
	var conflicts []Conflict
	tracker := NewTracker(doors, 1<<20)
	now := time.Now()
	source := netip.IPv6Unspecified()
	for i := range doors {
		for _, action := range []Action{LetIn, PutOut} {
			knocked := &doors[i]
			source = source.Next()
			for n, port := range knocked.sequenceFor(action) {
				p := Packet{Source: source, SourcePort: 1024, Port: port, ISN: uint32(n)}
				for _, e := range tracker.Observe(now, p) {
					c := Conflict{knocked.Name, action, e.Door.Name, e.Action}
					if (e.Door != knocked || e.Action != action) && !slices.Contains(conflicts, c) {
						conflicts = append(conflicts, c)
					}
				}
			}
		}
	}
	return conflicts
}
