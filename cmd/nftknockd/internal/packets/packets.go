// Package packets proves the packets of single packet authorization. The way of one:
//
//	Observe ─→ arrived ─→ Prove ─→ proved ─→ Record ─→ Deps.Open
//	 size, alphabet        HMAC, contents,    on disk
//	                       door, used before
//
// The first step is the listener's goroutine, and takes no lock: a flood of garbage keeps
// nobody from knocking. The others have a goroutine each. A full queue drops what comes.
package packets

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/replay"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// Deps are what Packets work with.
type Deps struct {
	Log   *slog.Logger
	State statedir.Dir

	// Open opens doors, and Refused is told of a packet of a key's holder that opens nothing.
	Open    func([]Opening)
	Refused func(door, key string, source netip.Addr, why error)
}

// Packets prove packets by the rules of a configuration.
type Packets struct {
	deps    Deps
	rules   atomic.Pointer[rules] // nil: no door takes packets
	arrived chan datagram
	proved  chan proof
	spent   chan event.Spent // at other gates
	refused refusals

	store   *replay.Store // Prove's alone; nil until it is needed
	sampled time.Time     // when a stranger's packet was last logged; Prove's alone
	sample  atomic.Bool   // one that fails the first step is wanted for the log
}

const (
	// maxArrived is how many packets may wait to be proved, each of some hundred bytes.
	maxArrived = 256

	// maxProved is how many may wait for the disk, which takes all of them at once.
	maxProved = 256

	// sampleEvery is how often a packet of a stranger is logged. Finding out what is wrong
	// with it costs several times what proving does.
	sampleEvery = 10 * time.Second
)

// rules are what a configuration says of packets.
type rules struct {
	table  string // whose state it is
	port   knock.Port
	maxAge time.Duration
	keys   *spa.Keys // Prove's alone
	doors  []door
}

type door struct {
	door      *knock.Door
	keys      []string // the names of their keys
	anySource bool
}

// A datagram is what arrived at the port.
type datagram struct {
	source  netip.Addr
	arrived time.Time
	payload []byte
}

// An Opening is what a packet asks for and is allowed, once it is recorded that it is used.
type Opening struct {
	Door    string
	Source  netip.Addr
	Key     string        // whose
	Timeout time.Duration // 0: the door's
	Arrived time.Time
	Spent   event.Spent // for the other gates of a fleet
}

// A proof is a packet that opens a door as soon as it is recorded.
type proof struct {
	Opening
	digest replay.Digest
	spent  bool // at another gate: it opens nothing here
}

// New returns Packets without rules: no door takes any.
func New(deps Deps) *Packets {
	return &Packets{deps: deps, arrived: make(chan datagram, maxArrived), proved: make(chan proof, maxProved), spent: make(chan event.Spent, maxProved)}
}

// SetRules takes in a configuration.
func (p *Packets) SetRules(cfg *config.Config) {
	if len(cfg.SPA.Doors) == 0 {
		p.rules.Store(nil)
		return
	}
	rules := &rules{table: cfg.Table, port: cfg.SPA.Port, maxAge: cfg.SPA.MaxAge}
	var keys []spa.Key
	for i := range cfg.Doors {
		d := door{door: &cfg.Doors[i]}
		of, ok := cfg.SPA.Doors[d.door.Name]
		if !ok {
			continue
		}
		d.anySource = of.AnySource
		for _, k := range of.Keys {
			d.keys = append(d.keys, k.Name)
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
	errLink      = errors.New("asks for a link-local address, but does not come from one")
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

// Refusals returns how many packets were refused, by every reason there is.
func (p *Packets) Refusals() map[string]uint64 {
	counts := make(map[string]uint64)
	for _, reason := range spa.AllReasons() {
		counts[reason.String()] = p.refused.bySPA[reason].Load()
	}
	for i, name := range otherRefusals {
		counts[name] = p.refused.other[i].Load()
	}
	return counts
}

// Close gives back what is open, when no goroutine uses it any more.
func (p *Packets) Close() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

// Observe takes in a datagram if it came to the port of packets.
func (p *Packets) Observe(arrived time.Time, to knock.Packet, payload []byte) bool {
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

// Prove proves packets, one after the other.
func (p *Packets) Prove(ctx context.Context) {
	p.sample.Store(true)
	wanted := time.NewTicker(sampleEvery)
	defer wanted.Stop()
	for {
		select {
		case d := <-p.arrived:
			p.prove(d)
		case one := <-p.spent:
			p.spend(one)
		case <-wanted.C:
			p.sample.Store(true)
		case <-ctx.Done():
			return
		}
	}
}

func (p *Packets) prove(d datagram) {
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
		p.logStranger(rules, d, reason)
		return
	}
	if refused {
		p.refused.bySPA[reason].Add(1)
		p.deps.Refused("", packet.Key, d.source, reason)
		return
	}
	door, err := rules.doorFor(packet)
	if err != nil {
		p.refused.add(refusedDoor)
		p.deps.Refused("", packet.Key, d.source, err)
		return
	}
	if err := p.claim(rules.table, door, packet, d); err != nil {
		p.deps.Refused(door.door.Name, packet.Key, d.source, err)
	}
}

// doorFor returns the door that a packet asks for: the first one that takes its key and
// guards all the ports.
func (r *rules) doorFor(p spa.Packet) (*door, error) {
	err := errPorts
	for i := range r.doors {
		d := &r.doors[i]
		if !slices.Contains(d.keys, p.Key) || slices.ContainsFunc(p.Ports, func(port knock.Port) bool { return !slices.Contains(d.door.Ports, port) }) {
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

// claim claims a packet that may open a door, and hands it on to be recorded.
func (p *Packets) claim(table string, door *door, packet spa.Packet, d datagram) error {
	if err := p.openStore(table); err != nil {
		p.refused.add(refusedRecord)
		return fmt.Errorf("cannot tell whether the packet was used before: %w", err)
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
	case p.proved <- proof{Opening{door.door.Name, source, packet.Key, packet.Timeout, d.arrived, spentOf(packet)}, digest, false}:
		return nil
	default:
		p.store.Release(digest)
		p.refused.add(refusedOverload)
		return errOverload
	}
}

func (p *Packets) openStore(table string) error {
	if p.store != nil {
		return nil
	}
	store, err := replay.Open(filepath.Join(string(p.deps.State), "spa", table))
	if err == nil {
		p.store = store
	}
	return err
}

// Spend has packets refused that were used at other gates. It does not wait for the disk.
func (p *Packets) Spend(ctx context.Context, spent []event.Spent) error {
	for _, one := range spent {
		select {
		case p.spent <- one:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *Packets) spend(one event.Spent) {
	rules := p.rules.Load()
	var digest replay.Digest
	if n, err := hex.Decode(digest[:], []byte(one.Packet)); rules == nil || err != nil || n != len(digest) {
		return // no door takes packets
	}
	err := p.openStore(rules.table)
	if err == nil {
		err = p.store.Claim(digest, one.Made, time.Now())
	}
	switch {
	case errors.Is(err, replay.ErrReplayed):
		return
	case err != nil:
		p.deps.Log.Error("a packet that was used at another gate may open here", "error", err)
		return
	}
	p.proved <- proof{digest: digest, spent: true} // waits, as the disk is slower
}

// spentOf returns what other gates need to refuse a packet.
func spentOf(p spa.Packet) event.Spent {
	return event.Spent{Packet: hex.EncodeToString(p.Digest[:]), Made: p.Time}
}

// Record records packets, as many at once as wait, and then opens their doors.
func (p *Packets) Record(ctx context.Context) {
	for {
		select {
		case first := <-p.proved:
			batch := []proof{first}
			for more := true; more; {
				select {
				case next := <-p.proved:
					batch = append(batch, next)
				default:
					more = false
				}
			}
			p.use(batch)
		case <-ctx.Done():
			return
		}
	}
}

// use opens doors once it is recorded that their packets are used.
func (p *Packets) use(batch []proof) {
	var openings []Opening
	digests := make([]replay.Digest, len(batch))
	for i, one := range batch {
		digests[i] = one.digest
		if !one.spent {
			openings = append(openings, one.Opening)
		}
	}
	if err := p.store.Record(time.Now(), digests...); err != nil {
		for _, one := range batch {
			p.store.Release(one.digest)
			if one.spent {
				p.deps.Log.Error("a packet that was used at another gate may open here: it cannot be recorded", "error", err)
				continue
			}
			p.refused.add(refusedRecord)
			p.deps.Refused(one.Door, one.Key, one.Source, fmt.Errorf("cannot record that the packet was used: %w", err))
		}
		return
	}
	p.deps.Open(openings)
}

// logStranger logs one of the packets that no key has made, now and then.
func (p *Packets) logStranger(rules *rules, d datagram, reason spa.Reason) {
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
	p.deps.Log.Info("packet refused, one of those that no key has made", about...)
}
