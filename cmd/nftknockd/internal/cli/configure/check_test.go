package configure

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
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
	both := append(sequenceOf(7011, 8127), knock.Port{Number: 9035, Proto: knock.UDP})
	for _, tt := range []struct {
		door knock.Door
		scan config.Scan
		want string
	}{
		{
			knock.Door{Sequence: mixed}, config.Scan{Decoys: 32, Mute: time.Minute},
			"a guess takes at least 6,500 tries (port scans that try every order), and each mutes its source for 1m: too few: knock more ports, or ask for a code too",
		},
		{
			knock.Door{Sequence: both}, config.Scan{Decoys: 32, Mute: time.Minute},
			"a guess takes at least 48,000 tries (port scans that try every order), and each mutes its source for 1m",
		},
		{
			knock.Door{Sequence: append(sequenceOf(4312, 5871), mixed...)}, config.Scan{Decoys: 32, Mute: 90 * time.Second},
			"a guess takes at least 440,000 tries (port scans that try every order), and each mutes its source for 90s",
		},
		{
			knock.Door{Sequence: mixed}, config.Scan{Mute: time.Minute},
			"a port scan that tries every order opens it, and nothing stops that: set scan.decoys",
		},
		{
			knock.Door{CodeBase: 20000}, config.Scan{Decoys: 32, Mute: time.Hour},
			"a guess takes at least 330,000 tries (codes), and each mutes its source for 1h",
		},
		{
			knock.Door{Sequence: sequenceOf(7011), CodeBase: 20000}, config.Scan{Decoys: 32, Mute: time.Minute},
			"a guess takes at least 11 million tries (port scans that try every order, each with a code after it), and each mutes its source for 1m",
		},
		{
			knock.Door{Sequence: sequenceOf(7011), CodeBase: 20000}, config.Scan{Mute: time.Minute},
			"a guess takes at least 330,000 tries (port scans that try every order, each with a code after it), and each mutes its source for 1m",
		},
	} {
		if got := describeStrength(&tt.door, tt.scan); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// The estimate is what scans of few ports give. Before they go on to the next port they try all
// they have come to, twice up and twice down, with two SYNs to each for the knock that is repeated:
// that is every order of three ports.
func TestStrengthSimulated(t *testing.T) {
	const first, second, third, decoy, ports, scans = 1, 2, 3, 4, 10, 20_000 // the decoys are 4 to 6; 7 to 10 mean nothing
	const decoys = 3
	doors := []knock.Door{{Sequence: sequenceOf(first, second, second, third), SeqTimeout: time.Hour}}
	tracker := knock.NewTracker(doors, knock.Scan{}, 1000)
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	isn := uint32(0)
	opens := func(source netip.Addr, ports []int) bool {
		for _, i := range ports {
			for range 2 {
				isn++
				p := knock.Packet{Source: source, SourcePort: 1024, Port: sequenceOf(uint16(i + 1))[0], ISN: isn}
				if len(tracker.Observe(now, p)) > 0 {
					return true
				}
			}
		}
		return false
	}
	opened := 0
	for scan := range uint32(scans) {
		source := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, scan)))
		order := random.Perm(ports)
		tried := order[:slices.IndexFunc(order, func(i int) bool { return i+1 >= decoy && i+1 < decoy+decoys })]
		for n := range tried {
			up := tried[:n+1]
			down := slices.Clone(up)
			slices.Reverse(down)
			if opens(source, slices.Concat(up, up, down, down)) {
				opened++
				break
			}
		}
	}
	want := scans / strengthOf(&doors[0], decoys).scans
	if float64(opened) < 0.9*want || float64(opened) > 1.1*want {
		t.Errorf("%d of %d scans opened, estimated %.0f", opened, scans, want)
	}
}
