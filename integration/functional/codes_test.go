package functional

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
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
	return append([]string{"7214"}, lab.Spell(t, 20000, code)...)
}

// TestCodeOpensOnce knocks a code with nc, and then again: from elsewhere, from the same
// address, and after the daemon was killed.
func TestCodeOpensOnce(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		app := lab.NewAuthenticator(t)
		file := lab.WriteConfig(t, fmt.Sprintf(codeDoor, app.File))
		d := lab.StartDaemonFile(t, s.Server, file)
		knocks := codeKnocks(t, app.Code(t, 0))
		s.NC(t, s.Source, knocks...)
		s.ExpectOpen(t, s.Source, "22")
		s.NC(t, s.Source, "6127", "8391") // to close takes no code
		s.WaitOut(t, "ssh", s.Source)

		again := func(from netip.Addr) {
			s.NC(t, from, knocks...)
			lab.ExpectLine(t, d, "msg=refused", from.String(), "has opened already")
			s.ExpectOut(t, "ssh", from)
			s.ExpectShut(t, from, "22", lab.Silent)
		}
		again(s.Stranger)
		again(s.Source)
		d.Stop(os.Kill)
		d = lab.StartDaemonFile(t, s.Server, file)
		again(s.Stranger)
		again(s.Source)
		lab.ExpectSecret(t, d, knocks)
	})
}

// TestCodeSteps knocks codes of a clock that is a step early or late, and of ones that are
// further off.
func TestCodeSteps(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	early, late := lab.NewAuthenticator(t), lab.NewAuthenticator(t)
	d := lab.StartDaemon(t, s.Server, fmt.Sprintf(codeDoor, early.File)+fmt.Sprintf(`
[door.late]
ports           = [22]
sequence        = [7215]
otp_secret_file = %q
otp_base        = 20000
`, late.File))

	lab.WaitForStep(t, 10*time.Second)
	s.NC(t, s.Neighbour, codeKnocks(t, early.Code(t, -3))...)
	s.NC(t, s.Stranger, codeKnocks(t, early.Code(t, +3))...)
	for _, from := range []netip.Addr{s.Neighbour, s.Stranger} {
		lab.ExpectLine(t, d, "msg=refused", from.String(), "wrong code")
	}
	s.NC(t, s.Source, append([]string{"7215"}, lab.Spell(t, 20000, late.Code(t, -1))...)...)
	s.WaitIn(t, "late", s.Source)
	s.NC(t, s.Source, codeKnocks(t, early.Code(t, +1))...)
	s.WaitIn(t, "ssh", s.Source)
	if n := len(s.Entries(t, "ssh")); n != 1 {
		t.Errorf("%d are in, and it should be one", n)
	}
}

// TestWrongCode has somebody knock a wrong code and then the right one, which does not count
// while they are muted.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	t.Run("muted", func(t *testing.T) {
		t.Parallel()
		s := lab.NewTopology(t, lab.IPv4)
		app := lab.NewAuthenticator(t)
		d := lab.StartDaemon(t, s.Server, fmt.Sprintf(codeDoor, app.File))
		s.Knock(t, s.Source, codeKnocks(t, app.Code(t, 3))...)
		lab.ExpectLine(t, d, "msg=refused", s.Source.String(), "wrong code")
		right := codeKnocks(t, app.Code(t, 0))
		s.Knock(t, s.Source, right...)
		s.Settle(t, "other", otherSequence...)
		s.ExpectOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)

		// Nobody has used it.
		s.Knock(t, s.Neighbour, right...)
		s.WaitIn(t, "ssh", s.Neighbour)
	})
	t.Run("over", func(t *testing.T) {
		t.Parallel()
		const config = `
[limits]
per_source = 1000

[scan]
mute = "1s"
`
		s := lab.NewTopology(t, lab.IPv4)
		app := lab.NewAuthenticator(t)
		d := lab.StartDaemon(t, s.Server, config+fmt.Sprintf(codeDoor, app.File))
		before := time.Now()
		s.Knock(t, s.Source, codeKnocks(t, app.Code(t, 3))...)
		lab.ExpectLine(t, d, "msg=refused", "wrong code")
		lab.Eventually(t, "who was muted gets in", func() bool {
			s.Knock(t, s.Source, codeKnocks(t, app.Code(t, 0))...)
			_, in := s.Entry(t, "ssh", s.Source)
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
	s := lab.NewTopology(t, lab.IPv4)
	app := lab.NewAuthenticator(t)
	d := lab.StartDaemon(t, s.Server, "[limits]\nper_source = 10000\n"+fmt.Sprintf(codeDoor, app.File))

	var packets []lab.Packet
	guess := func(code string) {
		for _, knock := range codeKnocks(t, code) {
			p, err := lab.ParseKnock(s.Source, s.Addr, knock)
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, p)
		}
	}
	guess(app.Code(t, 3)) // the first one is wrong
	for range guesses {
		guess(fmt.Sprintf("%06d", rand.IntN(1_000_000)))
	}
	guess(app.Code(t, 0))
	s.Client.Send(t, packets...)
	s.Settle(t, "other", otherSequence...)
	s.ExpectOut(t, "ssh", s.Source)
	if n := strings.Count(d.Log(), "msg=refused"); n != 1 {
		t.Errorf("%d codes were judged, and it should be one", n)
	}
}
