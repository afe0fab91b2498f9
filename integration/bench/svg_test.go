package bench

import (
	"fmt"
	"math"
	"strings"
)

// A picture is an SVG, drawn by hand. It has no background, and is made to be
// read on a light page and on a dark one.
type picture struct {
	width, height int
	body          strings.Builder
}

// The colours of the systems can be told apart without seeing colours: they
// differ in lightness, and each has its own shape beside it.
const pictureStyle = `
	text { font: 13px system-ui, sans-serif; fill: #1f2328; }
	.title { font-size: 16px; font-weight: 600; }
	.small { font-size: 12px; fill: #59636e; }
	.grid { stroke: #8b949e; stroke-opacity: 0.35; }
	.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
	.ours { stroke: #0969da; fill: #0969da; }
	.kernel { stroke: #bc4c00; fill: #bc4c00; }
	.knockd { stroke: #6e7781; fill: #6e7781; }
	.line.kernel { stroke-dasharray: 7 4; }
	.line.knockd { stroke-dasharray: 2 4; }
	@media (prefers-color-scheme: dark) {
		text { fill: #e6edf3; }
		.small { fill: #9198a1; }
		.ours { stroke: #58a6ff; fill: #58a6ff; }
		.kernel { stroke: #f0883e; fill: #f0883e; }
		.knockd { stroke: #9ea7b3; fill: #9ea7b3; }
	}
	text.ours, text.kernel, text.knockd { stroke: none; }
	.line { fill: none !important; }
`

// classOf is the style of each system.
var classOf = map[string]string{nameOfOurs: "ours", nameOfKernels: "kernel", nameOfKnockd: "knockd"}

func (p *picture) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&p.body, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", x, y, anchor, class, text)
}

func (p *picture) line(class string, points ...point) {
	fmt.Fprintf(&p.body, "<polyline class=\"%s\" points=\"", class)
	for _, at := range points {
		fmt.Fprintf(&p.body, "%.1f,%.1f ", at.x, at.y)
	}
	p.body.WriteString("\"/>\n")
}

// mark draws the shape of a system.
func (p *picture) mark(class string, at point) {
	switch class {
	case "ours":
		fmt.Fprintf(&p.body, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n", class, at.x, at.y)
	case "kernel":
		fmt.Fprintf(&p.body, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"/>\n", class, at.x-4, at.y-4)
	default:
		fmt.Fprintf(&p.body, "<path class=\"%s\" d=\"M%.1f,%.1f l5,9 h-10 z\"/>\n", class, at.x, at.y-5)
	}
}

// String returns the file.
func (p *picture) String() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">
<style>%s</style>
%s</svg>
`, p.width, p.height, pictureStyle, p.body.String())
}

type point struct{ x, y float64 }

// A logScale is a logarithmic axis: from and to are its ends, start and end
// where they are drawn.
type logScale struct{ from, to, start, end float64 }

func (s logScale) at(v float64) float64 {
	part := math.Log(v/s.from) / math.Log(s.to/s.from)
	return s.start + part*(s.end-s.start)
}
