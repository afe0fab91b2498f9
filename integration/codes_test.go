package integration

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// codeDoor is a door with a code, of the app whose file is to be filled in. The other one
// is for those who have none, see settle.
const codeDoor = `
[door.other]
ports    = [22]
sequence = [5303, 4871, 7519]

[door.ssh]
ports           = [22]
sequence        = [7214]
close_sequence  = [6127, 8391]
otp_secret_file = %q
otp_base        = 20000
`

var otherSequence = []string{"5303", "4871", "7519"}

// codeKnocks returns all that opens the codeDoor.
func codeKnocks(t testing.TB, code string) []string {
	return append([]string{"7214"}, spell(t, 20000, code)...)
}

// TestCodeOpensOnce knocks a code with nc, and then again: from elsewhere, from the same
// address, and after the daemon was killed.
func TestCodeOpensOnce(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		app := newApp(t)
		file := writeConfig(t, fmt.Sprintf(codeDoor, app.file))
		d := startDaemonFile(t, s.server, file)
		knocks := codeKnocks(t, app.code(t, 0))
		s.nc(t, s.person, knocks...)
		s.expectOpen(t, s.person, "22")
		s.nc(t, s.person, "6127", "8391") // to close takes no code
		s.waitOut(t, "ssh", s.person)

		again := func(from netip.Addr) {
			s.nc(t, from, knocks...)
			expectLine(t, d, "msg=refused", from.String(), "has opened already")
			s.expectOut(t, "ssh", from)
			s.expectShut(t, from, "22", silent)
		}
		again(s.stranger)
		again(s.person)
		d.stop(os.Kill)
		d = startDaemonFile(t, s.server, file)
		again(s.stranger)
		again(s.person)
		expectSecret(t, d, knocks)
	})
}

// TestCodeSteps knocks codes of a clock that is a step early or late, and of ones that are
// further off.
func TestCodeSteps(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	early, late := newApp(t), newApp(t)
	d := startDaemon(t, s.server, fmt.Sprintf(codeDoor, early.file)+fmt.Sprintf(`
[door.late]
ports           = [22]
sequence        = [7215]
otp_secret_file = %q
otp_base        = 20000
`, late.file))

	waitForStep(t, 10*time.Second)
	s.nc(t, s.neighbour, codeKnocks(t, early.code(t, -3))...)
	s.nc(t, s.stranger, codeKnocks(t, early.code(t, +3))...)
	for _, from := range []netip.Addr{s.neighbour, s.stranger} {
		expectLine(t, d, "msg=refused", from.String(), "wrong code")
	}
	s.nc(t, s.person, append([]string{"7215"}, spell(t, 20000, late.code(t, -1))...)...)
	s.waitIn(t, "late", s.person)
	s.nc(t, s.person, codeKnocks(t, early.code(t, +1))...)
	s.waitIn(t, "ssh", s.person)
	if n := len(s.entries(t, "ssh")); n != 1 {
		t.Errorf("%d are in, and it should be one", n)
	}
}

// TestWrongCode has somebody knock a wrong code and then the right one, which does not count
// while they are muted.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	t.Run("muted", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, ipv4)
		app := newApp(t)
		d := startDaemon(t, s.server, fmt.Sprintf(codeDoor, app.file))
		s.knock(t, s.person, codeKnocks(t, app.code(t, 3))...)
		expectLine(t, d, "msg=refused", s.person.String(), "wrong code")
		right := codeKnocks(t, app.code(t, 0))
		s.knock(t, s.person, right...)
		s.settle(t, "other", otherSequence...)
		s.expectOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)

		// Nobody has used it.
		s.knock(t, s.neighbour, right...)
		s.waitIn(t, "ssh", s.neighbour)
	})
	t.Run("over", func(t *testing.T) {
		t.Parallel()
		const config = `
[limits]
per_source = 1000

[scan]
mute = "1s"
`
		s := newSite(t, ipv4)
		app := newApp(t)
		d := startDaemon(t, s.server, config+fmt.Sprintf(codeDoor, app.file))
		before := time.Now()
		s.knock(t, s.person, codeKnocks(t, app.code(t, 3))...)
		expectLine(t, d, "msg=refused", "wrong code")
		eventually(t, "who was muted gets in", func() bool {
			s.knock(t, s.person, codeKnocks(t, app.code(t, 0))...)
			_, in := s.entry(t, "ssh", s.person)
			return in
		})
		if muted := time.Since(before); muted < time.Second {
			t.Errorf("muted for less than %v, and it should be a second", muted)
		}
	})
}

// TestGuessingCodes knocks ten thousand codes, as fast as it can.
func TestGuessingCodes(t *testing.T) {
	t.Parallel()
	const guesses = 10_000
	s := newSite(t, ipv4)
	app := newApp(t)
	d := startDaemon(t, s.server, "[limits]\nper_source = 10000\n"+fmt.Sprintf(codeDoor, app.file))

	var packets []packet
	guess := func(code string) {
		for _, knock := range codeKnocks(t, code) {
			p, err := parseKnock(s.person, s.addr, knock)
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, p)
		}
	}
	guess(app.code(t, 3)) // the first one is wrong
	for range guesses {
		guess(fmt.Sprintf("%06d", rand.IntN(1_000_000)))
	}
	guess(app.code(t, 0))
	s.client.send(t, packets...)
	s.settle(t, "other", otherSequence...)
	s.expectOut(t, "ssh", s.person)
	if n := strings.Count(d.log(), "msg=refused"); n != 1 {
		t.Errorf("%d codes were judged, and it should be one", n)
	}
}
