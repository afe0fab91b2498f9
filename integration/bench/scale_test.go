package bench

import (
	"fmt"
	"os"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// peopleAtScale is how many knock while others are in.
const peopleAtScale = 50

// A load is how the daemon does with many people let in.
type load struct {
	size         int
	restart      time.Duration
	kept, kernel int // people in the kernel, after the restart and after the knocks
	people       probe
}

func reportScale(t *testing.T, r *benchReport) {
	var loads []load
	for _, size := range []int{0, 100_000, 1_000_000} {
		loads = append(loads, measureLoad(t, size))
	}
	r.heading("Many people")
	r.say(fmt.Sprintf(`
So many sources are let in when the daemon is killed; it starts again, and %d more knock. Start is the time until it
reports to be ready. Those who are in are counted in the kernel, after the start and after the knocks.`, peopleAtScale))
	rows := [][]string{{"let in", "start", "kept", "opened", "in the end", "median", "99 %"}}
	var targets []target
	for _, c := range loads {
		rows = append(rows, []string{
			count(c.size).String(), span(c.restart).String(), count(c.kept).String(), c.people.opened(),
			count(c.kernel).String(), c.people.quantile(0.5).String(), c.people.quantile(0.99).String(),
		})
		if c.size == 0 {
			continue
		}
		slower := ratio(c.people.quantile(0.5)) / ratio(loads[0].people.quantile(0.5))
		targets = append(targets,
			atMost("scale/open", fmt.Sprintf("median, %v in, to that with nobody in", count(c.size)), slower, 2),
			exactly("scale/kept", fmt.Sprintf("in after all, %v at first", count(c.size)), count(c.kernel), count(c.size+peopleAtScale)),
		)
		if c.size == 100_000 {
			targets = append(targets, atMost("scale/start", "start with 100,000 in", span(c.restart), span(2*time.Second)))
		}
	}
	r.table(rows)
	r.targets(targets...)
}

func measureLoad(t testing.TB, size int) load {
	t.Helper()
	s := newBenchSite(t)
	p := newKnockTimer(t, s)
	lab.StartDaemon(t, s.Server, lab.SSHDoor).Stop(os.Kill)
	grantElements(t, s.Server, size)

	c := load{size: size}
	start := time.Now()
	lab.StartDaemon(t, s.Server, lab.SSHDoor)
	c.restart = time.Since(start)
	c.kept = countGrants(t, s.Server)
	c.people = p.knock(t, peopleAtScale)
	c.kernel = countGrants(t, s.Server)
	return c
}

// countGrants returns how many the door ssh lets in.
func countGrants(t testing.TB, h *lab.Host) int { return countElements(t, h, "ssh_open4") }
