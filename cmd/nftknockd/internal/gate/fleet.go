package gate

import (
	"context"
	"errors"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
)

// ErrNoFleet says that the configuration in force has no [fleet].
var ErrNoFleet = errors.New("the configuration has no [fleet]: nothing is shared")

// Fleet returns [fleet] of the configuration in force; nil: there is none.
func (g *Gate) Fleet() *config.Fleet { return g.Config().Fleet }

// Spend has packets and codes refused that were used at other gates.
func (g *Gate) Spend(ctx context.Context, spent []event.Spent) error {
	if g.Fleet() == nil {
		return ErrNoFleet
	}
	var packets []event.Spent
	for _, one := range spent {
		if one.Code == "" {
			packets = append(packets, one)
			continue
		}
		g.state.Lock()
		cl, ours := g.state.codes.Spend(one.Code, one.Step)
		g.unlock()
		if !ours {
			continue
		}
		select {
		case g.claims <- claim{Claim: cl, spent: true}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.packets.Spend(ctx, packets)
}

// used says that a packet or a code was used, if other gates are to know. The lock is held.
func (s *state) used(spent event.Spent) {
	if s.cfg.Fleet != nil {
		s.happened(event.Event{Kind: event.Used, Spent: &spent})
	}
}

// fleetReportFor is for how long a report of the companion holds. It reports every second.
const fleetReportFor = 10 * time.Second

// ReportFleet takes in how the fleet is.
func (g *Gate) ReportFleet(report status.Fleet) {
	report = report.Printable()
	report.Reported = time.Now()
	g.state.Lock()
	defer g.unlock()
	g.state.fleet = report
}

// fleetStatus returns the latest report, if it is not too old. The lock is held.
func (s *state) fleetStatus() *status.Fleet {
	if s.cfg.Fleet == nil {
		return nil
	}
	report := status.Fleet{Group: s.cfg.Fleet.Group, Gates: []status.FleetGate{}}
	if time.Since(s.fleet.Reported) < fleetReportFor && s.fleet.Group == report.Group {
		report = s.fleet
	}
	return &report
}
