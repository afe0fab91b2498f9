package demo

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
	"nftknock/knock"
)

// A scenario is what is tried at one door, over one version of IP.
type scenario struct {
	title string
	steps []step
}

// A step is a line of the demo: something is tried, and something has to be seen.
type step struct {
	tries   string
	do      func(context.Context) (seen string, err error)
	skipped string // why, if it is
}

// plan makes the scenarios of a demo, and gives the network the addresses that they need.
func plan(ctx context.Context, cfg *config.Config, network *network, bus *event.Bus) ([]scenario, error) {
	var scenarios []scenario
	for i := range families {
		family := &families[i]
		if !family.supported() {
			scenarios = append(scenarios, scenario{family.name, []step{{tries: "everything", skipped: "this machine does without"}}})
			continue
		}
		p := &planner{network: network, bus: bus, family: family, cfg: cfg, checks: int64(i), known: slices.Clone(cfg.AlwaysAllow)}
		for j := range cfg.Doors {
			door := &cfg.Doors[j]
			steps, err := p.check(ctx, door)
			if err != nil {
				return nil, err
			}
			scenarios = append(scenarios, scenario{fmt.Sprintf("door %s, %s", door.Name, family.name), steps})
		}
	}
	return scenarios, nil
}

type planner struct {
	network *network
	bus     *event.Bus
	family  *family
	cfg     *config.Config
	checks  int64          // how many each door has had
	known   []netip.Prefix // who need not knock, has knocked in an earlier scenario, or is still let in
}

// check plans the scenario of a door. Its source is known to no door, so that a door that
// stays open does not spoil the next scenario.
func (p *planner) check(ctx context.Context, door *knock.Door) ([]step, error) {
	if len(door.Sequence) == 0 && door.CodeBase == 0 {
		return []step{{tries: "everything", skipped: "it opens to packets, and not to knocks"}}, nil
	}
	source, err := p.client(ctx, func(netip.Addr) bool { return true })
	if err != nil {
		return nil, err
	}
	if !source.IsValid() {
		return []step{{tries: "everything", skipped: "no address is left that would have to knock"}}, nil
	}
	v := &doorCheck{
		network: p.network, server: p.family.server, door: door, source: source,
		secret: p.cfg.OTP[door.Name].Secret, later: p.checks,
	}
	letIn := p.family.letIn(door, source)
	if len(door.Ports) == 0 {
		p.known = append(p.known, letIn)
		return (&triggerCheck{v, p.bus, letIn}).steps(), nil
	}
	neighbour, err := p.neighbour(ctx, source, letIn)
	if err != nil {
		return nil, err
	}
	stranger, err := p.client(ctx, func(a netip.Addr) bool { return !letIn.Contains(a) })
	if err != nil {
		return nil, err
	}
	p.known = append(p.known, netip.PrefixFrom(source, source.BitLen()))

	steps := []step{
		{tries: v.triesPorts(source), do: v.isShut},
		{tries: v.triesKnocksToOpen(), do: v.knocksToOpen},
		{tries: v.triesPorts(source), do: v.isOpened},
	}
	if neighbour.IsValid() {
		steps = append(steps, step{tries: v.triesPorts(neighbour), do: v.isOpenTo(neighbour, letIn)})
	}
	if stranger.IsValid() {
		steps = append(steps, step{tries: v.triesPorts(stranger), do: v.isStillShutTo(stranger)})
	} else {
		steps = append(steps, step{tries: v.triesPorts("somebody else"), skipped: "nobody is outside of " + letIn.String()})
	}
	switch {
	case len(door.CloseSequence) > 0:
		steps = append(steps,
			step{tries: v.triesKnocks(door.CloseSequence), do: v.knocksToClose},
			step{tries: v.triesPorts(source), do: v.isClosed})
	case door.OpenTimeout <= expiryLimit:
		steps = append(steps, step{tries: v.triesPorts(source), do: v.expires})
	default:
		p.known = append(p.known, letIn)
		when := "after " + door.OpenTimeout.String()
		if door.OpenTimeout == knock.Forever {
			when = "only by an administrator"
		}
		steps = append(steps, step{tries: v.triesPorts(source), skipped: "no close_sequence: shuts " + when})
	}
	return steps, nil
}

// client gives the client an address that fits and that no door knows. The zero
// address says that there is none.
func (p *planner) client(ctx context.Context, fits func(netip.Addr) bool) (netip.Addr, error) {
	for addr := range p.family.clients() {
		if fits(addr) && !p.isKnown(addr) {
			return addr, p.network.addClientAddress(ctx, addr)
		}
	}
	return netip.Addr{}, nil
}

// neighbour gives the client an address beside the source's that a door lets in
// with it, if the door does so. The zero address says that there is none.
func (p *planner) neighbour(ctx context.Context, source netip.Addr, letIn netip.Prefix) (netip.Addr, error) {
	for _, addr := range []netip.Addr{source.Next(), source.Prev()} {
		if letIn.Contains(addr) && !p.isKnown(addr) {
			return addr, p.network.addClientAddress(ctx, addr)
		}
	}
	return netip.Addr{}, nil
}

func (p *planner) isKnown(addr netip.Addr) bool {
	return slices.ContainsFunc(p.known, func(k netip.Prefix) bool { return k.Contains(addr) })
}
