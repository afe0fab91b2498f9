package cli

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"nftknock/config"
	"nftknock/knock"
)

func sequenceOf(numbers ...uint16) []knock.Port {
	var sequence []knock.Port
	for _, n := range numbers {
		sequence = append(sequence, knock.Port{Number: n, Proto: knock.TCP})
	}
	return sequence
}

func TestDescribeStrength(t *testing.T) {
	mixed := sequenceOf(7011, 9035, 8127)
	for _, tt := range []struct {
		door knock.Door
		scan config.Scan
		want string
	}{
		{
			knock.Door{Sequence: mixed}, config.Scan{Decoys: 32, Mute: time.Minute},
			"a guess takes about 39,000 tries (port scans in random order), and each mutes its source for 1m",
		},
		{
			knock.Door{Sequence: append(mixed, mixed...)}, config.Scan{Decoys: 32, Mute: 90 * time.Second},
			"a guess takes about 2 billion tries (port scans in random order), and each mutes its source for 1m30s",
		},
		{
			knock.Door{Sequence: mixed}, config.Scan{Mute: time.Minute},
			"a guess takes about 6 tries (port scans in random order), which nothing stops: set scan.decoys: too few: knock more ports, or ask for a code too",
		},
		{
			knock.Door{Sequence: sequenceOf(7011, 8127, 9035)}, config.Scan{Mute: time.Minute},
			"every port scan in order opens it: set scan.decoys",
		},
		{
			knock.Door{CodeBase: 20000}, config.Scan{Decoys: 32, Mute: time.Hour},
			"a guess takes about 330,000 tries (codes), and each mutes its source for 1h0m",
		},
		{
			knock.Door{Sequence: sequenceOf(7011), CodeBase: 20000}, config.Scan{Decoys: 32, Mute: time.Minute},
			"a guess takes about 11 million tries (port scans in random order, each with a code after it), and each mutes its source for 1m",
		},
	} {
		if got := describeStrength(&tt.door, tt.scan); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// The estimate is what scans of few ports give. They send two SYNs to each port, for
// the knock that is repeated.
func TestStrengthSimulated(t *testing.T) {
	const first, second, decoy, ports, scans = 1, 2, 3, 10, 50_000 // the decoys are 3 to 6; 7 to 10 mean nothing
	const decoys = 4
	doors := []knock.Door{{Sequence: sequenceOf(first, second, second), SeqTimeout: time.Hour}}
	tracker := knock.NewTracker(doors, knock.Scan{}, 1)
	random := rand.New(rand.NewPCG(1, 2))
	opened, now := 0, time.Now()
	for scan := range uint32(scans) {
		source := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, scan)))
	ports:
		for _, i := range random.Perm(ports) {
			port := uint16(i + 1)
			if port >= decoy && port < decoy+decoys {
				break
			}
			for isn := range uint32(2) {
				p := knock.Packet{Source: source, SourcePort: 1024, Port: sequenceOf(port)[0], ISN: isn}
				if len(tracker.Observe(now, p)) > 0 {
					opened++
					break ports
				}
			}
		}
	}
	want := scans / strengthOf(&doors[0], decoys).scans
	if float64(opened) < 0.9*want || float64(opened) > 1.1*want {
		t.Errorf("%d of %d scans opened, estimated %.0f", opened, scans, want)
	}
}
