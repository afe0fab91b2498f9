package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/config"
)

// Start guards by a configuration that was chosen, as [New] does, and keeps it as the last
// good one. If that is impossible it guards by the last good one there is; if knocks cannot
// be heard, with the doors shut and nobody let in but those who were. Run tries to do
// better about once a second. Start waits for a kernel that is out of memory for a moment,
// until the context ends.
func Start(ctx context.Context, choice lastgood.Choice, deps Deps) (*Gate, error) {
	g, err := newGate(deps)
	if err != nil {
		return nil, err
	}
	if err := g.start(ctx, choice); err != nil {
		g.logged.Close()
		return nil, err
	}
	g.logGuarding()
	return g, nil
}

func (g *Gate) start(ctx context.Context, choice lastgood.Choice) error {
	if choice.Why == nil {
		err := g.open(choice.Config)
		if err == nil {
			g.InForce(choice.Config)
			return nil
		}
		good, noGood := lastgood.Load(g.deps.State)
		if good == nil {
			return errors.Join(err, noGood)
		}
		choice = lastgood.Choice{Config: good, Why: err}
	}
	if err := g.openAnyway(ctx, choice.Config); err != nil {
		return fmt.Errorf("%w\nnor can the last good configuration be put in force: %w", choice.Why, err)
	}
	g.state.repair.config = lastGoodError(choice.Why)
	return nil
}

// lastGoodError is how a gate is degraded that does not guard as the file says.
func lastGoodError(why error) error {
	text, _, _ := strings.Cut(why.Error(), "\nhint: ")
	return fmt.Errorf("guarding by the last good configuration: %s", text)
}

// openAnyway is open for a host whose doors have to be shut, heard knocks or not.
func (g *Gate) openAnyway(ctx context.Context, cfg *config.Config) error {
	listener, noListener := g.listen(cfg)
	if noListener != nil {
		listener = kernel.NoListener{}
	}
	decoys := ruleset.LastingDecoys(cfg, g.deps.State, g.deps.Log)
	for {
		err := g.installWith(cfg, decoys, listener)
		if err == nil {
			break
		}
		if !kernel.Passing(err) || ctx.Err() != nil {
			listener.Close()
			return err
		}
		g.deps.Log.Error("the doors are not shut yet", "error", err)
		g.deps.Notify("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=the doors are not shut yet: " + err.Error())
		time.Sleep(retryAfter)
	}
	if noListener != nil {
		g.state.repair.listener = fmt.Errorf("nobody new gets in, as the packet log cannot be read: %w", noListener)
	}
	return nil
}

// InForce follows up on a configuration of the file's that has been put in force.
func (g *Gate) InForce(cfg *config.Config) {
	if g.deps.InForce != nil {
		g.deps.InForce(cfg)
	}
	g.keepLastGood(cfg)
}

// keepLastGood has a configuration outlast the file that it is from. What cannot be kept
// makes the gate degraded, until a retry succeeds.
func (g *Gate) keepLastGood(cfg *config.Config) {
	err := lastgood.Keep(g.deps.State, cfg)
	g.state.Lock()
	g.state.repair.config, g.state.repair.state = nil, err
	g.unlock()
}

// retryFileAfter is how often the file is tried that a gate does not guard by, and the state
// directory that cannot be written to.
const retryFileAfter = time.Second

// retryLater has Run call retryFile, once however often it is called until then. The lock
// is held.
func (g *Gate) retryLater() {
	if g.state.retrying {
		return
	}
	g.state.retrying = true
	time.AfterFunc(retryFileAfter, func() { signal(g.retries) })
}

// retryFile takes the file as soon as it is good.
func (g *Gate) retryFile() {
	g.state.Lock()
	g.state.retrying = false
	g.unlock()
	if !g.state.trialUntil.IsZero() {
		return
	}
	r := &g.state.repair // Run's goroutine, which this is, alone changes these errors
	if r.config == nil {
		if r.state != nil {
			g.keepLastGood(g.state.cfg)
		}
		return
	}
	cfg, err := lastgood.ToStart(g.deps.Load, g.deps.State)
	if err == nil {
		err = g.Replace(cfg)
	}
	if err == nil {
		g.InForce(cfg)
		return
	}
	g.state.Lock()
	defer g.unlock()
	if now := lastGoodError(err); now.Error() != r.config.Error() {
		r.config = now
		g.state.degraded = false // to be reported anew
	}
}
