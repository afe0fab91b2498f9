package event

import (
	"time"

	"nftknock/knock"
)

// Strangers can cause any number of steps. Of those of a second so many are shown, apart
// for attempts that have counted one knock at most, and for those further on: a flood of
// strangers hides nobody who knows a sequence.
const (
	StepsShown = 32
	StepsOver  = time.Second
)

// A Pace bounds how many steps one follower is shown. It is not safe for concurrent use.
type Pace struct {
	shown   [2]int // in this second
	leftOut uint64
	second  *time.Timer
	running bool
}

// NewPace returns a Pace that calls over when a second is over in which there were steps: then
// EndSecond is due.
func NewPace(over func()) *Pace {
	p := &Pace{second: time.AfterFunc(StepsOver, over)}
	p.second.Stop()
	return p
}

// Takes reports whether a step is to be shown. Steps that are left out are counted.
func (p *Pace) Takes(step knock.Step) bool {
	if !p.running {
		p.running = true
		p.second.Reset(StepsOver)
	}
	further := 0
	if step.Count > 1 {
		further = 1
	}
	if p.shown[further] >= StepsShown {
		p.leftOut++
		return false
	}
	p.shown[further]++
	return true
}

// EndSecond begins anew, and returns how many steps were left out.
func (p *Pace) EndSecond() (leftOut uint64) {
	leftOut = p.leftOut
	p.shown, p.leftOut, p.running = [2]int{}, 0, false
	return leftOut
}

// Stop ends the second.
func (p *Pace) Stop() { p.second.Stop() }
