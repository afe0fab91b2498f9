package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/replay"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// packets proves the packets of single packet authorization. The way of one:
//
//	observePacket ─→ arrived ─→ provePackets ─→ spent ─→ recordPackets ─→ decide
//	 size, alphabet              HMAC, contents,          on disk
//	                             door, used before
//
// The first step is the listener's goroutine, and takes no lock: a flood of garbage keeps
// nobody from knocking. The others have a goroutine each. A full queue drops what comes.
type packets struct {
	rules   atomic.Pointer[packetRules] // nil: no door takes packets
	arrived chan datagram
	spent   chan spentPacket
	refused refusals

	store   *replay.Store // provePackets' alone; nil until it is needed
	sampled time.Time     // when a stranger's packet was last logged; provePackets' alone
	sample  atomic.Bool   // one that fails the first step is wanted for the log
}

const (
	// maxArrived is how many packets may wait to be proved, each of some hundred bytes.
	maxArrived = 256

	// maxSpent is how many may wait for the disk, which takes all of them at once.
	maxSpent = 256

	// sampleEvery is how often a packet of a stranger is logged. Finding out what is wrong
	// with it costs several times what proving does.
	sampleEvery = 10 * time.Second
)

// packetRules are what a configuration says of packets.
type packetRules struct {
	table  string // whose state it is
	port   knock.Port
	maxAge time.Duration
	keys   *spa.Keys // provePackets' alone
	doors  []packetDoor
}

type packetDoor struct {
	door      *knock.Door
	people    []string // the names of their keys
	anySource bool
}

// A datagram is what arrived at the port.
type datagram struct {
	source  netip.Addr
	arrived time.Time
	payload []byte
}

// A spentPacket may open a door as soon as it is recorded.
type spentPacket struct {
	digest  replay.Digest
	door    string
	source  netip.Addr
	key     string
	timeout time.Duration // 0: the door's
	arrived time.Time
}

func newPackets() *packets {
	return &packets{arrived: make(chan datagram, maxArrived), spent: make(chan spentPacket, maxSpent)}
}

// setRules takes in a configuration.
func (p *packets) setRules(cfg *config.Config) {
	if len(cfg.SPA.Doors) == 0 {
		p.rules.Store(nil)
		return
	}
	rules := &packetRules{table: cfg.Table, port: cfg.SPA.Port, maxAge: cfg.SPA.MaxAge}
	var keys []spa.Key
	for i := range cfg.Doors {
		d := packetDoor{door: &cfg.Doors[i]}
		of, ok := cfg.SPA.Doors[d.door.Name]
		if !ok {
			continue
		}
		d.anySource = of.AnySource
		for _, k := range of.Keys {
			d.people = append(d.people, k.Name)
			if !slices.ContainsFunc(keys, k.Key.Equal) {
				keys = append(keys, k.Key)
			}
		}
		rules.doors = append(rules.doors, d)
	}
	rules.keys = spa.NewKeys(keys...)
	p.rules.Store(rules)
}

// Why a packet of a key's holder opens nothing, besides the reasons of package spa.
var (
	errPorts     = errors.New("asks for ports that no door of the key guards")
	errLink      = errors.New("asks for a link-local address, and does not come from such a one")
	errNoHost    = errors.New("asks for an address from which no packet can come")
	errAnySource = errors.New("asks for the address it comes from, which takes the door's spa_any_source")
	errOverload  = errors.New("the disk is too slow: too many packets at once")
)

// Their names in counters, beside those of package spa.
const (
	refusedDoor     = "no_door"
	refusedReplay   = "replayed"
	refusedRecord   = "not_recorded"
	refusedOverload = "overload"
)

// refusals counts packets by the reason for which they were refused.
type refusals struct {
	bySPA [256]atomic.Uint64 // by spa.Reason
	other [len(otherRefusals)]atomic.Uint64
}

var otherRefusals = [...]string{refusedDoor, refusedReplay, refusedRecord, refusedOverload}

func (r *refusals) add(name string) {
	r.other[slices.Index(otherRefusals[:], name)].Add(1)
}

// counts returns the refusals of every reason there is.
func (r *refusals) counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for _, reason := range spa.AllReasons() {
		counts[reason.String()] = r.bySPA[reason].Load()
	}
	for i, name := range otherRefusals {
		counts[name] = r.other[i].Load()
	}
	return counts
}

// close gives back what is open, when no goroutine uses it any more.
func (p *packets) close() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

// observe takes in a datagram if it came to the port of packets.
func (p *packets) observe(arrived time.Time, to knock.Packet, payload []byte) bool {
	rules := p.rules.Load()
	if rules == nil || to.Port != rules.port {
		return false
	}
	if reason, refused := spa.Shape(payload).(spa.Reason); refused {
		p.refused.bySPA[reason].Add(1)
		if !p.sample.CompareAndSwap(true, false) {
			return true
		}
	}
	select {
	case p.arrived <- datagram{to.Source, arrived, bytes.Clone(payload)}:
	default:
		p.refused.add(refusedOverload)
	}
	return true
}

// provePackets proves packets, one after the other.
func (g *Gate) provePackets(ctx context.Context) {
	g.packets.sample.Store(true)
	wanted := time.NewTicker(sampleEvery)
	defer wanted.Stop()
	for {
		select {
		case d := <-g.packets.arrived:
			g.provePacket(d)
		case <-wanted.C:
			g.packets.sample.Store(true)
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gate) provePacket(d datagram) {
	p := g.packets
	rules := p.rules.Load()
	if rules == nil {
		return // a reload has taken the doors away
	}
	packet, err := rules.keys.Open(d.payload, time.Now(), rules.maxAge)
	reason, refused := err.(spa.Reason)
	if refused && !reason.Authenticated() {
		if spa.Shape(d.payload) == nil { // otherwise it was counted as it came
			p.refused.bySPA[reason].Add(1)
		}
		g.logStranger(rules, d, reason)
		return
	}
	if refused {
		p.refused.bySPA[reason].Add(1)
		g.refusePacket("", packet.Key, d.source, reason)
		return
	}
	door, err := rules.doorFor(packet)
	if err != nil {
		p.refused.add(refusedDoor)
		g.refusePacket("", packet.Key, d.source, err)
		return
	}
	if err := g.claimPacket(rules.table, door, packet, d); err != nil {
		g.refusePacket(door.door.Name, packet.Key, d.source, err)
	}
}

// doorFor returns the door that a packet asks for: the first one that takes its key and
// guards all the ports.
func (r *packetRules) doorFor(p spa.Packet) (*packetDoor, error) {
	err := errPorts
	for i := range r.doors {
		d := &r.doors[i]
		if !slices.Contains(d.people, p.Key) || slices.ContainsFunc(p.Ports, func(port knock.Port) bool { return !slices.Contains(d.door.Ports, port) }) {
			continue
		}
		if p.Source.IsUnspecified() && !d.anySource {
			err = errAnySource // unless another door allows it
			continue
		}
		return d, nil
	}
	return nil, err
}

// claimPacket claims a packet that may open a door, and hands it on to be recorded.
func (g *Gate) claimPacket(table string, door *packetDoor, packet spa.Packet, d datagram) error {
	p := g.packets
	if p.store == nil {
		store, err := replay.Open(filepath.Join(string(g.deps.State), "spa", table))
		if err != nil {
			p.refused.add(refusedRecord)
			return fmt.Errorf("cannot tell whether the packet was used before: %w", err)
		}
		p.store = store
	}
	source := packet.Source
	switch {
	case source.IsUnspecified():
		source = d.source
	case source.Is6() && source.IsLinkLocalUnicast():
		// It means another host on each link: the packet's, which it cannot name.
		if source = source.WithZone(d.source.Zone()); source.Zone() == "" {
			p.refused.bySPA[spa.Address].Add(1)
			return errLink
		}
	}
	if !grant.CanSend(source) {
		p.refused.bySPA[spa.Address].Add(1)
		return errNoHost
	}
	digest := replay.Digest(packet.Digest)
	switch err := p.store.Claim(digest, packet.Time, time.Now()); {
	case errors.Is(err, replay.ErrReplayed):
		p.refused.add(refusedReplay)
		return err
	case err != nil:
		p.refused.add(refusedRecord)
		return err
	}
	select {
	case p.spent <- spentPacket{digest, door.door.Name, source, packet.Key, packet.Timeout, d.arrived}:
		return nil
	default:
		p.store.Release(digest)
		p.refused.add(refusedOverload)
		return errOverload
	}
}

// recordPackets records packets, as many at once as wait, and then opens their doors.
func (g *Gate) recordPackets(ctx context.Context) {
	for {
		select {
		case first := <-g.packets.spent:
			batch := []spentPacket{first}
			for more := true; more; {
				select {
				case next := <-g.packets.spent:
					batch = append(batch, next)
				default:
					more = false
				}
			}
			g.usePackets(batch)
		case <-ctx.Done():
			return
		}
	}
}

// usePackets opens doors once it is recorded that their packets are used.
func (g *Gate) usePackets(batch []spentPacket) {
	p := g.packets
	digests := make([]replay.Digest, len(batch))
	for i, s := range batch {
		digests[i] = s.digest
	}
	if err := p.store.Record(time.Now(), digests...); err != nil {
		for _, s := range batch {
			p.store.Release(s.digest)
			p.refused.add(refusedRecord)
			g.refusePacket(s.door, s.key, s.source, fmt.Errorf("cannot record that the packet was used: %w", err))
		}
		return
	}
	g.state.Lock()
	defer g.unlock()
	for _, s := range batch {
		door, err := g.state.cfg.Door(s.door)
		people := g.state.cfg.SPA.Doors[s.door].Keys
		if err != nil || !slices.ContainsFunc(people, func(k config.SPAKey) bool { return k.Name == s.key }) {
			continue // a reload has taken it away
		}
		wanted := grant.For(door, s.source, grant.SPA)
		wanted.Key = s.key
		if s.timeout != 0 && (door.OpenTimeout == knock.Forever || s.timeout < door.OpenTimeout) {
			wanted.Until = grant.EndAfter(s.timeout)
		}
		g.decide(decision{Grant: wanted}, s.arrived)
	}
}

// refusePacket says that a packet of a key's holder opens nothing.
func (g *Gate) refusePacket(door, key string, source netip.Addr, why error) {
	g.state.Lock()
	defer g.unlock()
	g.state.happened(event.Event{
		Kind: event.Refused, Door: door, Source: source.String(), By: string(grant.SPA), Key: key, Text: why.Error(),
	})
}

// logStranger logs one of the packets that no key has made, now and then.
func (g *Gate) logStranger(rules *packetRules, d datagram, reason spa.Reason) {
	p := g.packets
	if time.Since(p.sampled) < sampleEvery {
		return
	}
	p.sampled = time.Now()
	why, key := rules.keys.Diagnose(d.payload, reason)
	if why != reason {
		p.refused.bySPA[why].Add(1)
		p.refused.bySPA[reason].Add(^uint64(0)) // it was that, and not what it seemed to be
	}
	about := []any{"source", d.source.String(), "bytes", len(d.payload), "why", why.Error()}
	if key != "" {
		about = append(about, "key", key)
	}
	g.deps.Log.Info("packet refused, one of those that no key has made", about...)
}
