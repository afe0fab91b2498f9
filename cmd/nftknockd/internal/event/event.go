// Package event is what has happened at the gate, and the bus that tells whoever listens.
//
//	gate ──→ Bus.Publish ──┬─→ taps: metrics; they count and never block
//	                       ├─→ Watcher: for people; a slow one misses events and is told
//	                       └─→ Subscription: in order, without gaps, resumable; the log, companions,
//	                           and the Journal, a file from which the next daemon's bus goes on
//
// Publish never waits for a listener. An event never tells what was knocked.
package event

import (
	"fmt"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/words"
	"nftknock/knock"
)

// Kind is what has happened.
type Kind string

const (
	Granted       Kind = "granted"
	Revoked       Kind = "revoked"
	Expired       Kind = "expired" // computed by a Bus: the kernel does not tell
	Refused       Kind = "refused" // an attempt at a door
	Scan          Kind = "scan"    // a source touched a decoy, or knocked a wrong code, and is muted
	Reloaded      Kind = "reloaded"
	ReloadRefused Kind = "reload_refused"
	Degraded      Kind = "degraded"  // the kernel does not hold what was decided
	Recovered     Kind = "recovered" // it does again
	Lost          Kind = "lost"      // messages of the kernel's packet log
	Missed        Kind = "missed"    // events, by a watcher that is too slow

	Attempt Kind = "attempt"  // a step of an attempt; see below
	LeftOut Kind = "left_out" // steps of attempts: too many came at once

	Used Kind = "used" // a packet or a one-time code; see below
)

// Kinds are all kinds there are, but for Attempt and LeftOut, which go to who follows
// attempts, and for Used, which goes to who asks for it: a fleet.
var Kinds = []Kind{Granted, Revoked, Expired, Refused, Scan, Reloaded, ReloadRefused, Degraded, Recovered, Lost, Missed}

// String returns the kind in words.
func (k Kind) String() string { return strings.ReplaceAll(string(k), "_", " ") }

// byStrangers reports whether anybody can cause any number of events of this kind.
func (k Kind) byStrangers() bool { return k == Refused || k == Scan }

// An Event is something that has happened. Fields that its kind has no use for are
// empty. Its JSON is described by CONTROL.md.
type Event struct {
	ID     string    `json:"id,omitempty"` // where a Subscription resumes; empty for a Watcher
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Door   string    `json:"door,omitempty"`   // of an attempt by a muted source: none
	Source string    `json:"source,omitempty"` // an address, or a prefix
	By     string    `json:"by,omitempty"`     // of granted and revoked: ByKnock, BySPA, ByAdmin or ByFleet; of revoked ByReload, too; of refused: BySPA
	Key    string    `json:"key,omitempty"`    // of BySPA: whose key; of ByFleet: which gate
	Until  time.Time `json:"until,omitzero"`   // of granted; zero: until revoked. Of scan: until when the source is muted
	Doors  []string  `json:"doors,omitempty"`  // of reloaded: the doors there are now
	Count  uint64    `json:"count,omitempty"`  // of lost, since the daemon started; of missed and left out, since the last one; 0: not known
	Text   string    `json:"text,omitempty"`   // the reason; may be several lines
	Step   *Step     `json:"step,omitempty"`   // of attempt
	Spent  *Spent    `json:"spent,omitempty"`  // of used

	// Took is how long a grant took, from the arrival of its last packet at the daemon; 0 if
	// no packet asked for it, or if it had to be repeated.
	Took time.Duration `json:"-"`

	seq uint64
}

// A Step is how an attempt goes on. It never tells what was knocked.
type Step struct {
	Closing bool   `json:"closing,omitempty"` // the sequence is the closing one
	Count   int    `json:"count,omitempty"`   // how many knocks have counted, or had counted
	Of      int    `json:"of,omitempty"`      // how many there are in the sequence
	Outcome string `json:"outcome"`           // "advanced", or why it starts over: "wrong knock", "too slow", "muted"
}

// StepOf returns a step of the tracker's.
func StepOf(s knock.Step) *Step {
	return &Step{Closing: s.Action == knock.Revoke, Count: s.Count, Of: s.Of, Outcome: s.Outcome.String()}
}

// AttemptOf returns the event that tells a step.
func AttemptOf(step knock.Step) Event {
	e := Event{Time: WallTime(step.Time), Kind: Attempt, Source: step.Source.String(), Step: StepOf(step)}
	if step.Door != nil {
		e.Door = step.Door.Name
	}
	return e
}

// WallTime returns a time of the tracker's, which is on the monotonic clock, by the wall
// clock as it is now.
func WallTime(t time.Time) time.Time { return time.Now().Add(time.Until(t)).Round(0) }

// String returns the step in words.
func (s Step) String() string {
	if s.Of == 0 {
		return s.Outcome
	}
	text := fmt.Sprintf("%d of %d", s.Count, s.Of)
	if s.Closing {
		text += " to close"
	}
	if s.Outcome != knock.Advanced.String() {
		text += ": " + s.Outcome
	}
	return text
}

// A Spent is what was used, as other gates need it to refuse it. It tells no secret: a
// packet is spent once it is known, and of a code just the secret's mark is there.
type Spent struct {
	Packet string    `json:"packet,omitempty"` // the digest of a packet, in hexadecimal
	Made   time.Time `json:"made,omitzero"`    // when the packet says it was made
	Code   string    `json:"code,omitempty"`   // the mark of a code's secret, in hexadecimal
	Step   int64     `json:"step,omitempty"`   // of the code, as RFC 6238 has it
}

// ID identifies what was used.
func (s Spent) ID() string {
	if s.Code != "" {
		return fmt.Sprintf("code %s %d", s.Code, s.Step)
	}
	return "packet " + s.Packet
}

// The origins of grants and revocations.
const (
	ByKnock = "knock"
	ByAdmin = "admin"
	BySPA   = "spa"
	ByFleet = "fleet" // another gate, which is the key

	ByReload = "reload" // of revoked: the door is gone, here and not at other gates
)

// Line returns the event as a line for people.
func (e Event) Line() string {
	line := []string{e.Time.Local().Format(time.DateTime), fmt.Sprintf("%-8s", e.Kind)}
	if e.Door != "" {
		line = append(line, "door "+e.Door)
	}
	if e.Source != "" {
		line = append(line, e.Source)
	}
	if e.By != "" {
		line = append(line, "by "+e.By)
	}
	if e.Key != "" {
		line = append(line, "key "+e.Key)
	}
	switch e.Kind {
	case Granted:
		end := "revoked"
		if !e.Until.IsZero() {
			end = e.Until.Local().Format(time.DateTime)
		}
		line = append(line, "until "+end)
	case Scan:
		line = append(line, "muted until "+e.Until.Local().Format(time.DateTime))
	case Reloaded:
		line = append(line, fmt.Sprintf("doors: %d", len(e.Doors)))
	case Lost:
		line = append(line, words.Count(e.Count, "message")+" of the kernel's packet log so far")
	case Missed:
		if e.Count > 0 {
			line = append(line, words.Count(e.Count, "event")+": too many came at once")
		}
	case LeftOut:
		line = append(line, words.Count(e.Count, "step")+" of attempts: too many came at once")
	case Attempt:
		line = append(line, e.Step.String())
	}
	if e.Text != "" {
		line = append(line, strings.ReplaceAll(e.Text, "\n", "; "))
	}
	return strings.Join(line, "  ")
}
