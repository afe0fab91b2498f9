package gate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/totp"
)

// codes judges the one-time codes (RFC 6238) of doors. A code opens once, also across
// restarts: before its door opens, the state directory says that it was used. Judging
// claims a code in memory, which takes microseconds; recording the claim waits for the
// disk, and is done without the lock that packets wait for.
//
// A record belongs to the secret and not to the door: a code is spent for all doors that
// share its secret, and a door with a new secret begins anew.
type codes struct {
	state statedir.Dir
	doors map[string]config.OTP
	last  map[config.Secret]int64 // the last claimed step, of the secrets whose record was read
}

// Verdicts on a code. Any other error is about a right code that cannot be recorded.
var (
	errWrongCode = errors.New("wrong code")
	errSpentCode = errors.New("the code, or a later one, has opened already")
)

const (
	// behind is how many steps the clock may be behind the last accepted code before the
	// clock is named as the reason.
	behind = 4

	// maxClaims is how many claims may wait for the disk. There are never more than three of
	// a secret at a time: each is of a later step, within the steps that are valid.
	maxClaims = 64
)

// A claim is on a code that is right and was not used before.
type claim struct {
	secret config.Secret
	step   int64
	last   int64 // what was claimed before, if known
	known  bool

	knock   knock.Event // what the code was part of
	arrived time.Time   // its last packet
}

func newCodes(state statedir.Dir, doors map[string]config.OTP) *codes {
	return &codes{state: state, doors: doors, last: make(map[config.Secret]int64)}
}

// setDoors changes the doors. Claims stay, recorded or not.
func (c *codes) setDoors(doors map[string]config.OTP) { c.doors = doors }

// judge claims a code, 0 to [knock.MaxCode], for a door at the time now, by the wall clock.
// Otherwise its error is errWrongCode, errSpentCode, or why the door cannot be opened; it
// never shows the code.
func (c *codes) judge(door string, code int, now time.Time) (claim, error) {
	secret := c.doors[door].Secret
	if secret == "" {
		return claim{}, errors.New("the door takes no codes")
	}
	current := totp.Step(now)
	step, ok, err := totp.Match(string(secret), code, current)
	if err != nil {
		return claim{}, err
	}
	last, known, err := c.lastStep(secret)
	late := known && last > current+behind
	switch {
	case !ok && late:
		return claim{}, fmt.Errorf("%w: %w", errWrongCode, c.lateError(secret, now, last))
	case !ok:
		return claim{}, errWrongCode
	case err != nil:
		return claim{}, fmt.Errorf("cannot tell whether the code was used before: %w", err)
	case late:
		return claim{}, c.lateError(secret, now, last)
	case known && step <= last:
		return claim{}, errSpentCode
	}
	c.last[secret] = step
	return claim{secret: secret, step: step, last: last, known: known}, nil
}

// record writes a claim to disk. It needs no lock.
func (c *codes) record(cl claim) error {
	if err := c.state.Replace(c.file(cl.secret), fmt.Appendln(nil, cl.step)); err != nil {
		return fmt.Errorf("cannot record that the code was used: %w", err)
	}
	return nil
}

// release gives up a claim that could not be recorded.
func (c *codes) release(cl claim) {
	switch {
	case c.last[cl.secret] != cl.step: // a later one was claimed
	case cl.known:
		c.last[cl.secret] = cl.last
	default:
		delete(c.last, cl.secret)
	}
}

// file returns the file that holds the last accepted step. Its name tells nothing about
// the secret.
func (c *codes) file(secret config.Secret) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("nftknockd: the last accepted step"))
	return filepath.Join(string(c.state), "otp", fmt.Sprintf("%x", h.Sum(nil)[:16]))
}

// lastStep returns the last claimed step of a secret, and whether there is one.
func (c *codes) lastStep(secret config.Secret) (step int64, known bool, err error) {
	if step, ok := c.last[secret]; ok {
		return step, true, nil
	}
	path := c.file(secret)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	step, err = strconv.ParseInt(strings.TrimSuffix(string(data), "\n"), 10, 40)
	if err != nil {
		return 0, false, fmt.Errorf("%s is damaged: remove it when the codes shown by now are over, in a minute", path)
	}
	c.last[secret] = step
	return step, true, nil
}

// lateError says that the clock is behind what it was when the last code was accepted.
func (c *codes) lateError(secret config.Secret, now time.Time, last int64) error {
	return fmt.Errorf("the clock says %s, but the last code was used at %s: was it set back? Codes need the right time: run NTP; "+
		"if it was wrong then and is right now, remove %s",
		now.Format(time.RFC3339), totp.Start(last).Format(time.RFC3339), c.file(secret))
}

// checkCode judges the code that a packet completed, mutes the source of a wrong one, and
// leaves a right one to recordCodes. The lock is held.
func (g *Gate) checkCode(e knock.Event, arrived time.Time) {
	s := &g.state
	cl, err := s.codes.judge(e.Door.Name, e.Code, time.Now())
	if err == nil {
		cl.knock, cl.arrived = e, arrived
		select {
		case g.claims <- cl:
			return
		default:
			s.codes.release(cl)
			err = errors.New("too many codes at once: the disk is too slow")
		}
	}
	if errors.Is(err, errWrongCode) {
		s.tracker.Mute(time.Now(), e.Source)
	}
	s.refuse(e, err)
}

func (s *state) refuse(e knock.Event, err error) {
	s.happened(event.Event{Kind: event.Refused, Door: e.Door.Name, Source: e.Source.String(), Text: err.Error()})
}

// recordCodes records codes, one after the other, and then opens their doors.
func (g *Gate) recordCodes(ctx context.Context) {
	for {
		select {
		case cl := <-g.claims:
			g.useCode(cl)
		case <-ctx.Done():
			return
		}
	}
}

// useCode opens a door with a code once that is recorded.
func (g *Gate) useCode(cl claim) {
	err := g.state.codes.record(cl)
	s := &g.state
	s.Lock()
	defer g.unlock()
	if err != nil {
		s.codes.release(cl)
		s.refuse(cl.knock, err)
		return
	}
	if door := FindDoor(s.cfg, cl.knock.Door.Name); door != nil { // a reload may have taken it away
		g.decide(decision{Grant: grantOf(door, cl.knock.Source, Knock)}, cl.arrived)
	}
}
