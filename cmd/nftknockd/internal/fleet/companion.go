// Package fleet shares whom a gate lets in with the other gates of its group. It is a process
// beside the daemon, which has no network:
//
//	daemon ──→ granted, revoked ──→ Companion ──→ bucket of NATS ──→ the other gates' companions
//	daemon ←── grants of others ←── Companion ←── bucket
//
// What gates tell each other is signed with the group's key. For each source at each door the
// newest decision counts, by the clock of the NATS servers: a [ledger] holds them, and the bucket
// what all gates have in common. Without NATS each gate works alone; when it is back, what is
// newer wins on either side.
package fleet

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
)

// A Daemon is what a companion needs of one.
type Daemon interface {
	// Fleet returns [fleet] of the configuration in force, the group's key, and what NATS wants to
	// see. Its error is fs.ErrNotExist if there is none.
	Fleet() (f *config.Fleet, key, credentials config.Secret, err error)
	// Follow calls see with each event of the kinds after an event; see [api.Client.Follow].
	Follow(ctx context.Context, after string, kinds []event.Kind, begun func(after string), see func(event.Event) error) error
	// Grants returns the grants of the doors that are shared.
	Grants() ([]status.Grant, error)
	// Share has the daemon carry out what other gates have decided.
	Share([]grant.Shared) error
	// Spend has the daemon refuse what was used at other gates.
	Spend([]event.Spent) error
	// Report says how the fleet is, for the daemon's status.
	Report(status.Fleet) error
}

// A Companion shares the grants of a daemon.
type Companion struct {
	Daemon Daemon
	Gate   string // this gate's name, which the others see
	Load   func() (string, error)
	Save   func(after string) error // up to where events were shared
	Now    func() time.Time         // this machine's clock, which may be wrong
	Log    *slog.Logger
	Ready  func() // is called when there is something to share, with NATS or without
}

const (
	retryAfter  = 200 * time.Millisecond // when the daemon does not answer
	idleFor     = 3 * time.Second        // without a daemon to ask, before a companion ends
	gateTTL     = time.Minute            // after which a gate that says nothing is gone
	aliveEvery  = 20 * time.Second
	tickEvery   = time.Second
	rereadEvery = 5 * time.Minute         // all of the bucket: single values can be deleted without a word
	maxApply    = 256                     // decisions that go to the daemon at once
	settleAfter = 250 * time.Millisecond  // without an event: the daemon has told what there was
	slack       = 1500 * time.Millisecond // by which ends may differ: the bucket counts in seconds
)

// errReloaded says that [fleet] may be another one.
var errReloaded = errors.New("reloaded")

// Run shares until the context ends. Where there is no [fleet], or no daemon, it ends after a while.
func (c *Companion) Run(ctx context.Context) error {
	var alone time.Time // since when there is nobody to ask
	for ctx.Err() == nil {
		f, key, credentials, err := c.Daemon.Fleet()
		if err == nil {
			alone = time.Time{}
			if c.Ready != nil {
				c.Ready()
				c.Ready = nil
			}
			err = c.share(ctx, f, key, credentials)
		}
		switch {
		case errors.Is(err, fs.ErrPermission):
			return err
		case err == nil, errors.Is(err, errReloaded):
			continue
		case !errors.Is(err, fs.ErrNotExist):
			c.Log.Error("nothing is shared", "error", err)
			alone = time.Time{}
			wait(ctx, 5*time.Second)
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) >= idleFor:
			c.Log.Info("nothing to do: there is no [fleet], or nftknockd does not run")
			return nil
		}
		wait(ctx, retryAfter)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// share shares as [fleet] says, until that may be another one.
func (c *Companion) share(ctx context.Context, f *config.Fleet, key, credentials config.Secret) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{
		Companion: c, fleet: f, credentials: credentials, signer: signer{key, f.Group}, ledger: newLedger(),
		gates: make(map[string]time.Time), spent: make(map[string]spent), unspent: make(map[string]*unspent),
		local: make(chan event.Event, maxApply), sent: make(chan sent, maxPending),
		changed: make(chan struct{}, 1), reload: make(chan struct{}, 1), link: make(chan bool),
	}
	if s.bucket, err = dial(f.URLs, "nftknock-"+f.Group, c.Gate, credentials, c.Log, func() { signal(s.changed) }); err != nil {
		return err
	}
	defer s.bucket.conn.Close()
	return s.run(ctx)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
