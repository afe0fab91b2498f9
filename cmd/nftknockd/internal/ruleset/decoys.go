package ruleset

import (
	"crypto/rand"
	"log/slog"

	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
)

// Secret returns the secret that a configuration's decoys are derived from: its seed, or
// else that of the state directory, which create makes if need be.
func Secret(cfg *config.Config, state statedir.Dir, create bool) ([]byte, error) {
	if cfg.Scan.Seed != "" || cfg.Scan.Decoys == 0 {
		return []byte(cfg.Scan.Seed), nil
	}
	return state.Secret(create)
}

// Decoys returns the decoys that a configuration asks for, on this host.
func Decoys(cfg *config.Config, secret []byte) []knock.Port {
	host, _ := config.ReadHost() // what it does not show cannot be kept clear of
	fit := fitnessOn(host)
	return knock.ChooseDecoys(cfg.Doors, cfg.Scan.Decoys, secret, func(p knock.Port) knock.Fitness {
		if p == cfg.SPA.Port {
			return knock.Unfit // whether there is a door that takes packets or not: clients may try
		}
		return fit(p)
	})
}

// fitnessOn returns how fit a port is for a decoy: those who use what the host offers, or
// try what many hosts offer, must not touch one.
func fitnessOn(host config.Host) func(knock.Port) knock.Fitness {
	return func(p knock.Port) knock.Fitness {
		// Linux's own choice (ip-sysctl, ip_local_port_range) and not the host's, which the
		// daemon's sandbox hides: everybody is to come to the same decoys.
		ephemeral := 32768 <= p.Number && p.Number <= 60999
		const wellKnown = 1024 // below it (RFC 6335, section 6)
		switch {
		case host.Listening[p], p.Proto == knock.UDP && (ephemeral || unasked[p.Number]):
			return knock.Unfit // answers to the host's own questions arrive at an ephemeral port
		case ephemeral, p.Number < wellKnown, familiar[p.Number]:
			return knock.Doubtful
		}
		return knock.Fit
	}
}

// unasked are UDP ports that hosts of the same network send to, whether anybody there
// wants it or not: DHCP, NetBIOS, SSDP, WS-Discovery, mDNS and LLMNR.
var unasked = set(67, 68, 137, 138, 1900, 3702, 5353, 5355)

// familiar are ports above the well-known ones that people and programs try on any host.
var familiar = set(1080, 1194, 1433, 1521, 1723, 1883, 2049, 2222, 2375, 3000, 3128, 3306, 3389, 3478, 4443, 4500,
	5000, 5060, 5222, 5432, 5900, 6379, 6443, 8000, 8008, 8080, 8081, 8443, 8888, 9000, 9090, 9100, 9200, 10000,
	25565, 27017, 51820)

func set(ports ...uint16) map[uint16]bool {
	s := make(map[uint16]bool, len(ports))
	for _, p := range ports {
		s[p] = true
	}
	return s
}

// LastingDecoys are those of a daemon, which goes on if its secret cannot be kept: with decoys that
// will be others the next time.
func LastingDecoys(cfg *config.Config, state statedir.Dir, log *slog.Logger) []knock.Port {
	secret, err := Secret(cfg, state, true)
	if err != nil {
		log.Warn("the decoys will not stay the same: set [scan] decoy_seed, or make the state directory writable", "error", err)
		secret = []byte(rand.Text())
	}
	return Decoys(cfg, secret)
}
