package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"
)

func TestDraw(t *testing.T) {
	lines := []line{
		{0, "$ nftknockd demo"},
		{300 * time.Millisecond, `  ✓ 192.0.2.2 → port 22      open: "welcome" & <more>`},
		{time.Second, "table inet nftknock {"},
		{time.Second, "\tset a {"},
		{time.Second, "\t}"},
		{time.Second, "}"},
		{time.Second, "All 12 steps did what they should"},
	}
	picture := draw(shortened(lines))
	for decoder := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, picture)
		}
	}
	for _, want := range []string{"table inet nftknock {", "2 lines more", "&amp; &lt;more&gt;", "All 12 steps", "animation: l1 10.0s"} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %q in\n%s", want, picture)
		}
	}
	if strings.Contains(picture, "set a") {
		t.Error("the listing is not left out")
	}
}
