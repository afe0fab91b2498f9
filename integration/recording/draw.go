package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columnWidth = 7.8 // of a monospaced font of 13 pixels
	rowHeight   = 19
	margin      = 18
	titleBar    = 34

	slower = 4               // times: what takes two seconds could not be read
	rest   = 6 * time.Second // how long the whole stands before it begins again
)

// The colours are those of the other pictures, on a light page and on a dark one. A viewer
// that does not animate, or is asked not to, shows all lines.
const style = `
	.window { fill: #f6f8fa; stroke: #d1d9e0; }
	.button { fill: #d1d9e0; }
	text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; fill: #1f2328; white-space: pre; }
	.command { font-weight: 600; fill: #0969da; }
	.heading { font-weight: 600; }
	.good { fill: #1a7f37; font-weight: 600; }
	.bad { fill: #d1242f; font-weight: 600; }
	.small { fill: #59636e; }
	@media (prefers-color-scheme: dark) {
		.window { fill: #0d1117; stroke: #3d444d; }
		.button { fill: #3d444d; }
		text { fill: #e6edf3; }
		.command { fill: #58a6ff; }
		.good { fill: #3fb950; }
		.bad { fill: #f85149; }
		.small { fill: #9198a1; }
	}
	@media (prefers-reduced-motion: reduce) { g { animation: none !important; } }
`

// draw returns the picture of what was printed.
func draw(lines []line) string {
	columns := 0
	for i := range lines {
		lines[i].text = strings.ReplaceAll(lines[i].text, "\t", "    ")
		columns = max(columns, utf8.RuneCountInString(lines[i].text))
	}
	end := slower*lines[len(lines)-1].at + rest
	width, height := int(float64(columns)*columnWidth)+2*margin, len(lines)*rowHeight+titleBar+margin

	var keyframes, body strings.Builder
	for i, l := range lines {
		if l.text == "" {
			continue
		}
		y := titleBar + (i+1)*rowHeight - 5
		if l.at == 0 {
			fmt.Fprintf(&body, "<text y=\"%d\">%s</text>\n", y, spans(l.text))
			continue
		}
		begin := 100 * float64(slower*l.at) / float64(end)
		fmt.Fprintf(&keyframes, "\t@keyframes l%d { 0%%, %.2f%% { opacity: 0 } %.2f%%, 100%% { opacity: 1 } }\n", i, begin, begin+0.01)
		fmt.Fprintf(&body, "<g style=\"animation: l%d %.1fs infinite\"><text y=\"%d\">%s</text></g>\n", i, end.Seconds(), y, spans(l.text))
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">
<title>%s</title>
<style>%s%s</style>
<rect class="window" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>
<circle class="button" cx="20" cy="18" r="5.5"/><circle class="button" cx="38" cy="18" r="5.5"/><circle class="button" cx="56" cy="18" r="5.5"/>
%s</svg>
`, width, height, html.EscapeString(lines[0].text), style, keyframes.String(), width-1, height-1, body.String())
}

// pieces are what is drawn at a place of its own, so that columns stand below each other in any font.
var pieces = regexp.MustCompile(`[✓✗→⋮]|[^ ✓✗→⋮]+(?: [^ ✓✗→⋮]+)*`)

// spans returns a line in pieces, each with its place and its colour.
func spans(text string) string {
	class := ""
	switch {
	case strings.HasPrefix(text, "$ "):
		class = "command"
	case strings.HasPrefix(text, "  door "), strings.HasPrefix(text, "  trigger "), strings.HasPrefix(text, "All "):
		class = "heading"
	case !strings.HasPrefix(text, "  ✓"):
		class = "small"
	}
	var out strings.Builder
	for _, at := range pieces.FindAllStringIndex(text, -1) {
		piece, of := text[at[0]:at[1]], class
		switch {
		case piece == "✓", strings.HasPrefix(piece, "open: "):
			of = "good"
		case piece == "✗":
			of = "bad"
		}
		x := margin + columnWidth*float64(utf8.RuneCountInString(text[:at[0]]))
		fmt.Fprintf(&out, `<tspan x="%.1f" class="%s">%s</tspan>`, x, of, html.EscapeString(piece))
	}
	return strings.ReplaceAll(out.String(), ` class=""`, "")
}
