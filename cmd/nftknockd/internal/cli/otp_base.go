package cli

import (
	"slices"

	"nftknock/config"
	"nftknock/knock"
)

// freeCodeBase returns the first of knock.CodePorts ports that neither the
// configuration nor the host uses, or 0 if there is none. It is a whole thousand, so
// that the digits of a code can be seen in the ports.
func freeCodeBase(cfg *config.Config, host config.Host) uint16 {
	used := make(map[uint16]bool)
	for p := range host.Listening {
		used[p.Number] = true
	}
	for _, d := range cfg.Doors {
		for _, p := range slices.Concat(d.Ports, d.Sequence, d.CloseSequence) {
			used[p.Number] = true
		}
	}
	free := func(base int) bool {
		if base <= int(host.EphemeralLast) && base+knock.CodePorts > int(host.EphemeralFirst) {
			return false
		}
		if slices.ContainsFunc(cfg.Doors, func(d knock.Door) bool {
			return d.CodeBase != 0 && base < int(d.CodeBase)+knock.CodePorts && int(d.CodeBase) < base+knock.CodePorts
		}) {
			return false
		}
		for p := range used {
			if int(p) >= base && int(p) < base+knock.CodePorts {
				return false
			}
		}
		return true
	}
	// Low ports are the likelier ones to be somebody's some day.
	for base := 20000; base+knock.CodePorts <= 65536; base += 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	for base := 19000; base > 1024; base -= 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	return 0
}
