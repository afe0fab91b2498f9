package bench

import (
	"fmt"
	"slices"
	"time"
)

// drawOpening draws how long people waited on an idle machine.
func drawOpening(idle []opening) string {
	const left, right, top, row = 150.0, 700.0, 80.0, 42.0
	p := &picture{width: 760, height: int(top+row*float64(len(idle))) + 40}
	scale := logScale{float64(10 * time.Microsecond), float64(100 * time.Millisecond), left, right}
	bottom := top + row*float64(len(idle)) - 10

	p.text(20, 28, "start", "title", "From the last knock to the open door")
	p.text(20, 48, "start", "small", "median, and on to the slowest of a hundred; less is better, each line is ten times the one before")
	for t := 10 * time.Microsecond; t <= 100*time.Millisecond; t *= 10 {
		x := scale.at(float64(t))
		p.line("grid", point{x, top - 15}, point{x, bottom})
		p.text(x, bottom+20, "middle", "small", span(t).String())
	}
	for i, o := range fastestFirst(idle) {
		class := classOf[o.system]
		median, slowest := o.people.quantile(0.5), o.people.quantile(0.99)
		y := top + row*float64(i) + 8
		at := point{scale.at(float64(median)), y}
		p.text(left-15, y+4, "end", "", o.system)
		p.line("line "+class, at, point{scale.at(float64(slowest)), y})
		p.mark(class, at)
		p.text(at.x, y-10, "middle", "small", median.String())
	}
	return p.String()
}

func fastestFirst(openings []opening) []opening {
	return slices.SortedFunc(slices.Values(openings), func(a, b opening) int {
		return int(a.people.quantile(0.5) - b.people.quantile(0.5))
	})
}

// drawFloods draws how many of those who knocked got in, against the rate of
// the flood that was reached.
func drawFloods(floods []opening) string {
	const left, right, top, bottom = 70.0, 715.0, 100.0, 300.0
	p := &picture{width: 760, height: 350}
	scale := logScale{5_000, 500_000, left, right}
	height := func(percent float64) float64 { return bottom - percent/100*(bottom-top) }

	p.text(20, 28, "start", "title", "Knocks that opened the door during a flood")
	p.text(20, 48, "start", "small", "at the first try, within a second, while SYNs from random sources arrive at a knock port")
	for percent := 0.0; percent <= 100; percent += 25 {
		p.line("grid", point{left, height(percent)}, point{right, height(percent)})
		p.text(left-10, height(percent)+4, "end", "small", fmt.Sprintf("%.0f %%", percent))
	}
	for _, r := range []rate{5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000} {
		p.text(scale.at(float64(r)), bottom+22, "middle", "small", r.String())
	}

	lines := make(map[string][]point)
	for _, o := range floods {
		percent := 100 * float64(len(o.people.took)) / float64(o.people.tried)
		lines[o.system] = append(lines[o.system], point{scale.at(float64(o.flood)), height(percent)})
	}
	for i, s := range systems {
		class := classOf[s.name]
		p.line("line "+class, lines[s.name]...)
		for _, at := range lines[s.name] {
			p.mark(class, at)
		}
		legend := point{left + 190*float64(i), 74}
		p.mark(class, legend)
		p.text(legend.x+14, legend.y+4, "start", "", s.name)
	}
	return p.String()
}
