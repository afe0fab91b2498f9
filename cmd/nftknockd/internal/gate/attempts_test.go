package gate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/knock"
)

// stranger is the nth source that nobody knows.
func stranger(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

func (r *rehearsal) knockFrom(source netip.Addr, ports ...uint16) {
	for _, port := range ports {
		r.knocks++
		r.observe(time.Now(), knock.Packet{Source: source, Port: knock.Port{Number: port, Proto: knock.TCP}, ISN: r.knocks}, nil)
	}
}

func read(w *event.Watcher) (lines []string) {
	synctest.Wait()
	for {
		select {
		case e := <-w.Events():
			line := fmt.Sprintf("%s %s %s", e.Kind, e.Door, e.Source)
			if e.Step != nil {
				line += " " + e.Step.String()
			}
			if e.Count > 0 {
				line += fmt.Sprint(" ", e.Count)
			}
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

func TestFollow(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		ann := someone
		w, end, err := r.Follow(netip.Prefix{})
		if err != nil {
			t.Fatal(err)
		}
		one, endOne, err := r.Follow(netip.MustParsePrefix("203.0.113.7/32"))
		if err != nil {
			t.Fatal(err)
		}
		r.knockFrom(ann, 7214, 8391, 6127)
		const opened = "attempt ssh 203.0.113.7 1 of 3; attempt ssh 203.0.113.7 2 of 3; " +
			"attempt ssh 203.0.113.7 3 of 3; granted ssh 203.0.113.7"
		if got := strings.Join(read(w), "; "); got != opened {
			t.Errorf("got  %s\nwant %s", got, opened)
		}
		read(one)

		// A flood of strangers, and what ann does beside it.
		for n := range 1000 {
			r.knockFrom(stranger(n), 7214)
		}
		r.knockFrom(ann, 7214, 8391, 8391)
		all := read(w)
		if n := len(all); n > event.StepsShown+3 {
			t.Errorf("%d steps are shown", n)
		}
		if last := all[len(all)-1]; last != "attempt ssh 203.0.113.7 2 of 3: wrong knock" {
			t.Errorf("the last one is %s", last)
		}
		if got := strings.Join(read(one), "; "); got != "attempt ssh 203.0.113.7 1 of 3; attempt ssh 203.0.113.7 2 of 3; attempt ssh 203.0.113.7 2 of 3: wrong knock" {
			t.Errorf("of ann: %s", got)
		}
		time.Sleep(event.StepsOver)
		if got := strings.Join(read(w), "; "); got != fmt.Sprintf("left out   %d", 1000+3-len(all)) {
			t.Errorf("after a second: %s", got)
		}
		if got := read(one); got != nil {
			t.Errorf("of ann was left out: %s", got)
		}
		r.knockFrom(stranger(1), 8391)
		if got := read(w); len(got) != 1 {
			t.Errorf("the next second shows %s", got)
		}

		// Nobody follows any more.
		end()
		endOne()
		r.knockFrom(ann, 7214)
		if got := read(w); got != nil {
			t.Errorf("after the end: %s", got)
		}
	})
}

func TestTrace(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		ann := someone
		r.knockFrom(ann, 7214, 8391, 6127, 7214, 8391, 8391)
		trace, err := r.Trace(netip.MustParseAddr("::ffff:203.0.113.7"))
		if err != nil {
			t.Fatal(err)
		}
		if trace.Source != "203.0.113.7" || trace.Heard != 6 || len(trace.Failed) != 1 || trace.Failed[0].Step.String() != "2 of 3: wrong knock" {
			t.Errorf("%+v", trace)
		}
		if len(trace.Events) != 1 || trace.Events[0].Kind != event.Granted {
			t.Errorf("events: %+v", trace.Events)
		}
		if trace, err = r.Trace(stranger(1)); err != nil || len(trace.Failed)+len(trace.Events)+len(trace.UnderWay) > 0 {
			t.Errorf("of a stranger: %+v, %v", trace, err)
		}
	})
}
