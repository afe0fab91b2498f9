package gate

import (
	"github.com/coreos/go-systemd/v22/daemon"

	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/service"
)

// notifyReady tells the service manager that the configuration is in force.
func (g *Gate) notifyReady() {
	g.state.Lock()
	status := g.state.serviceStatus()
	g.state.told = status
	g.unlock()
	g.deps.Notify(daemon.SdNotifyReady + "\n" + status)
}

// serviceStatus is what `systemctl status` shows.
func (s *state) serviceStatus() string {
	return service.Status(s.wrong(), s.trialUntil, len(s.cfg.Doors))
}

// Works reports whether a restart would not help: it does against what is wrong with the
// kernel, and not against a file, or another program that has taken the packet log.
func (g *Gate) Works() bool {
	s := &g.state
	s.Lock()
	defer g.unlock()
	if _, unheard := s.listener.(kernel.NoListener); unheard {
		return s.repair.table == nil && s.grants.Refused() == nil
	}
	return s.wrongInKernel() == nil
}

// Healthy reports whether the kernel holds what was decided, knocks are heard, and all is
// as the file says.
func (g *Gate) Healthy() bool {
	g.state.Lock()
	defer g.unlock()
	return g.state.wrong() == nil
}
