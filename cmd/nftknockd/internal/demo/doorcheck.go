package demo

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/totp"
)

// What the demo waits for, at most.
const (
	silenceLimit = 300 * time.Millisecond // no answer in this time is none
	settleLimit  = 2 * time.Second        // for a knock to take effect
	expiryLimit  = 5 * time.Second        // the longest open_timeout that is waited for
)

// A doorCheck tries one door of the server.
type doorCheck struct {
	network   *network
	server    netip.Addr
	door      *knock.Door
	secret    config.Secret // of the door's codes
	later     int64         // how many checks there were before, each with a code
	source    netip.Addr    // who knocks
	lastKnock time.Time
}

func (v *doorCheck) triesPorts(who any) string {
	noun := "port"
	if len(v.door.Ports) > 1 {
		noun = "ports"
	}
	return fmt.Sprintf("%v → %s %s", who, noun, knock.PortList(v.door.Ports))
}

func (v *doorCheck) triesKnocks(sequence []knock.Port) string {
	return fmt.Sprintf("%v knocks %s", v.source, knock.PortList(sequence))
}

func (v *doorCheck) triesKnocksToOpen() string {
	switch {
	case v.door.CodeBase == 0:
		return v.triesKnocks(v.door.Sequence)
	case len(v.door.Sequence) == 0:
		return fmt.Sprintf("%v knocks a one-time code", v.source)
	}
	return v.triesKnocks(v.door.Sequence) + " and a one-time code"
}

func (v *doorCheck) isShut(ctx context.Context) (string, error) {
	_, seen, err := v.awaitShut(ctx, v.source, settleLimit, false)
	return "shut: " + seen, err
}

func (v *doorCheck) isStillShutTo(stranger netip.Addr) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, seen, err := v.awaitShut(ctx, stranger, settleLimit, false)
		return "still shut: " + seen, err
	}
}

func (v *doorCheck) knocksToOpen(context.Context) (string, error) {
	code, err := v.spellCode()
	if err != nil {
		return "", err
	}
	return v.knock(slices.Concat(v.door.Sequence, code), "to open")
}

func (v *doorCheck) knocksToClose(context.Context) (string, error) {
	return v.knock(v.door.CloseSequence, "to close")
}

func (v *doorCheck) knock(sequence []knock.Port, purpose string) (string, error) {
	start := time.Now()
	last, err := v.network.knock(v.source, v.server, sequence)
	v.lastKnock = last
	return fmt.Sprintf("%s, in %s", purpose, brief(time.Since(start))), err
}

func (v *doorCheck) isOpened(ctx context.Context) (string, error) {
	seen, err := v.awaitOpen(ctx, v.source)
	return fmt.Sprintf("open: %s, %s after the last knock", seen, brief(time.Since(v.lastKnock))), err
}

func (v *doorCheck) isOpenTo(neighbour netip.Addr, letIn netip.Prefix) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		seen, err := v.awaitOpen(ctx, neighbour)
		return fmt.Sprintf("open to all of %s: %s", letIn, seen), err
	}
}

func (v *doorCheck) isClosed(ctx context.Context) (string, error) {
	_, seen, err := v.awaitShut(ctx, v.source, settleLimit, true)
	return "shut again: " + seen, err
}

// expires waits until the time is over for which the source was let in.
func (v *doorCheck) expires(ctx context.Context) (string, error) {
	asked, seen, err := v.awaitShut(ctx, v.source, v.door.OpenTimeout+settleLimit, true)
	if err != nil {
		return "", err
	}
	// The kernel counts in jiffies.
	const tick = 20 * time.Millisecond
	after := asked.Sub(v.lastKnock)
	if after < v.door.OpenTimeout-tick {
		return "", fmt.Errorf("shut after %s, but open_timeout is %s", brief(after), v.door.OpenTimeout)
	}
	return fmt.Sprintf("shut again: %s, %s after the last knock", seen, brief(after)), nil
}

// awaitOpen waits until every port of the door greets the source.
func (v *doorCheck) awaitOpen(ctx context.Context, source netip.Addr) (seen string, err error) {
	q := v.network.probe(source, v.server, v.door.Ports)
	defer q.close()
	deadline := time.Now().Add(settleLimit)
	// A call that comes too soon is never answered: call again, at first after
	// less time than the daemon needs, then ever more rarely.
	for timeout := 200 * time.Microsecond; ; timeout += timeout / 4 {
		called := time.Now()
		if err := q.call(); err != nil {
			return "", err
		}
		if err := q.listen(timeout); err != nil {
			return "", err
		}
		if q.answers.all(greeted) {
			return q.answers.String(), nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("%s, but should have opened within %s", q.answers, brief(settleLimit))
		}
		if err := pause(ctx, time.Until(called.Add(timeout))); err != nil {
			return "", err
		}
	}
}

// awaitShut asks until every port of the door answers the source as a shut one
// does, and returns when it asked. It tells as a mistake a port that is open,
// unless it may be open at first.
func (v *doorCheck) awaitShut(ctx context.Context, source netip.Addr, limit time.Duration, openAtFirst bool) (asked time.Time, seen string, err error) {
	want := silence
	if v.door.Shut == knock.Reject {
		want = refused
	}
	for deadline := time.Now().Add(limit); ; {
		answers, asked, err := v.network.ask(source, v.server, v.door.Ports, silenceLimit)
		if err != nil {
			return asked, "", err
		}
		if answers.all(want) {
			return asked, answers.String(), nil
		}
		if !openAtFirst && answers.any(greeted) {
			return asked, "", fmt.Errorf("%s, but should be shut", answers)
		}
		if time.Now().After(deadline) {
			return asked, "", fmt.Errorf("%s, but should have shut within %s", answers, brief(limit))
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return asked, "", err
		}
	}
}

// rehearseSecrets replaces the secrets of a configuration, which the demo is not given, by
// others.
func rehearseSecrets(cfg *config.Config) {
	cfg.Scan.Seed = config.Secret(rand.Text())
	cfg.OTP = make(map[string]config.OTP)
	for _, d := range cfg.Doors {
		if d.CodeBase != 0 {
			key := make([]byte, 20)
			rand.Read(key)                                   // never fails
			secret := base32.StdEncoding.EncodeToString(key) // has no padding, by its length
			cfg.OTP[d.Name] = config.OTP{Secret: config.Secret(secret)}
		}
	}
}

// spellCode returns the knocks of the code that is to open the door. No code opens twice, so a later
// check takes the next one.
func (v *doorCheck) spellCode() ([]knock.Port, error) {
	if v.door.CodeBase == 0 {
		return nil, nil
	}
	_, knocks, err := totp.Spell(string(v.secret), totp.Step(time.Now())+v.later, v.door.CodeBase)
	return knocks[:], err
}
