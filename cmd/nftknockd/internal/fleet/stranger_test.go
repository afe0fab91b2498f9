package fleet

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/integration/lab"
)

// stranger connects to NATS with all rights, and without the key.
func stranger(t *testing.T, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	lab.Eventually(t, "NATS answers", conn.IsConnected)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

// bucketOf returns the group's bucket, as a stranger has it.
func bucketOf(t *testing.T, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "nftknock-bastions")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

const bucketStream = "KV_nftknock-bastions"

func newTestBucket(t *testing.T, url string) *bucket {
	t.Helper()
	b, err := dial([]string{url}, "nftknock-bastions", "gate", "", slog.New(slog.DiscardHandler), func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.conn.Close)
	lab.Eventually(t, "there is a bucket", func() bool { return b.conn.IsConnected() && b.find(t.Context()) == nil })
	return b
}

// TestClockOfCopies has somebody make mirrors of the bucket, which answer in its place with values from
// before it was made anew, and their times.
func TestClockOfCopies(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	b := newTestBucket(t, url)
	alive := func() error { return b.alive(t.Context(), keyOfGate("gate"), []byte("here")) }
	if err := alive(); err != nil {
		t.Fatal(err)
	}
	_, js := stranger(t, url)
	for n := range 10 {
		mirror, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: fmt.Sprint("copy", n), Mirror: &jetstream.StreamSource{Name: bucketStream}, AllowDirect: true, MirrorDirect: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		lab.Eventually(t, "the copy is one", func() bool {
			info, err := mirror.Info(t.Context())
			return err == nil && info.State.Msgs > 0
		})
	}
	time.Sleep(2 * time.Second) // by which the copies' time is behind
	if err := js.DeleteStream(t.Context(), bucketStream); err != nil {
		t.Fatal(err)
	}
	if err := b.find(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := alive(); err != nil {
			t.Fatal(err)
		}
		if ahead, err := b.clock(t.Context(), time.Now); err != nil || ahead.Abs() > time.Second {
			t.Errorf("NATS, on this machine, is ahead by %v, %v", ahead, err)
		}
	}
}

// TestClockFarApart: an hour that somebody who answers in NATS' place could say is not believed.
func TestClockFarApart(t *testing.T) {
	t.Parallel()
	b := newTestBucket(t, startNATS(t))
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		if ahead, err := b.clock(t.Context(), func() time.Time { return time.Now().Add(by) }); err == nil {
			t.Errorf("NATS is ahead by %v: that is believed", ahead)
		}
	}
}

// TestLongerGrantBefore has somebody put back a grant that a shorter one has taken the place of, when that
// is over.
func TestLongerGrantBefore(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	first := newSkewed(t, url, "first", 0)
	second := newSkewed(t, url, "second", 0)
	_, js := stranger(t, url)
	kv := bucketOf(t, js)
	const source = "192.0.2.66"
	first.decide(event.Granted, source, 30*time.Minute)
	second.expect(t, source, 30*time.Minute)
	longer, err := kv.Get(t.Context(), grantKey("ssh", source))
	if err != nil {
		t.Fatal(err)
	}
	first.decide(event.Granted, source, 3*time.Second)
	second.expect(t, source, 3*time.Second)
	time.Sleep(5 * time.Second) // and it is over; the bucket remembers it as long as the longer one
	second.mu.Lock()
	delete(second.in, source) // as its kernel does
	second.mu.Unlock()
	if _, err := kv.Put(t.Context(), longer.Key(), longer.Value()); err != nil {
		t.Fatal(err)
	}
	const after = "192.0.2.67" // who is heard of, when all before has been
	first.decide(event.Granted, after, time.Minute)
	second.expect(t, after, time.Minute)
	second.mu.Lock()
	defer second.mu.Unlock()
	if until, in := second.in[source]; in {
		t.Errorf("who was let in until now is let in for %v more", time.Until(until))
	}
}

// TestEmptied has somebody empty the bucket, and fill it, so that it holds as many values as before.
func TestEmptied(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	gate := newSkewed(t, url, "gate", 0)
	_, js := stranger(t, url)
	kv := bucketOf(t, js)
	const source = "192.0.2.66"
	used := event.Spent{Packet: "aa"}
	gate.decide(event.Granted, source, 30*time.Minute)
	gate.local <- event.Event{ID: "used", Time: time.Now(), Kind: event.Used, Spent: &used}
	holds := func() bool {
		for _, key := range []string{grantKey("ssh", source), spentKey(used)} {
			if _, err := kv.Get(t.Context(), key); err != nil {
				return false
			}
		}
		return true
	}
	lab.Eventually(t, "the bucket holds what the gate says", holds)
	stream, err := js.Stream(t.Context(), bucketStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if _, err := kv.Put(t.Context(), keyOfGate(fmt.Sprint(n)), []byte("here")); err != nil {
			t.Fatal(err)
		}
	}
	lab.Eventually(t, "what was in it is put back", holds)
}

// TestDeletedMeanwhile: that a value has arrived says nothing of a bucket that was read since it was sent.
func TestDeletedMeanwhile(t *testing.T) {
	s := newTestSession()
	e := Entry{Door: "ssh", Source: "192.0.2.66", Gate: "gate", At: time.UnixMilli(1), Until: time.Now().Add(time.Hour)}
	e.Kept = e.Until
	r, _ := s.ledger.offer(e)
	r.unshared = true
	s.reading, s.inProgress = 2, 2
	s.arrived(t.Context(), sent{key: e.key(), entry: e, revision: 500, reading: 1})
	if !r.unshared || r.revision != 0 {
		t.Error("what a bucket held that was deleted is thought to be in the one made anew")
	}
	s.arrived(t.Context(), sent{key: e.key(), entry: e, revision: 3, reading: 2})
	if r.unshared || r.revision != 3 || s.inProgress != 0 {
		t.Errorf("after it has arrived: not in the bucket %v, revision %d, on the way %d", r.unshared, r.revision, s.inProgress)
	}
}

// said is a value that the bucket tells.
type said struct {
	jetstream.KeyValueEntry
	key   string
	value []byte
	op    jetstream.KeyValueOp
}

func (s said) Key() string                     { return s.key }
func (s said) Value() []byte                   { return s.value }
func (s said) Operation() jetstream.KeyValueOp { return s.op }
func (s said) Created() time.Time              { return time.Now() }

func newTestSession() *session {
	return &session{
		Companion: &Companion{Gate: "gate", Now: time.Now}, signer: testSigner, ledger: newLedger(),
		gates: make(map[string]time.Time), spent: make(map[string]spent), unspent: make(map[string]*unspent),
	}
}

// TestSpentEnds: that a packet was used is remembered for a time from then on, however often gates come
// and hear of it, and whatever somebody puts back.
func TestSpentEnds(t *testing.T) {
	s := newTestSession()
	tell := func(packet string, ago time.Duration) (key string) {
		used := event.Spent{Packet: packet}
		key = spentKey(used)
		s.heard(said{key: key, value: testSigner.seal(key, payload{Gate: "other", At: time.Now().Add(-ago).UnixMilli(), Spent: &used})})
		return key
	}
	recent := tell("aa", spentFor-30*time.Second)
	s.heard(said{key: recent, op: jetstream.KeyValuePurge}) // its time is over
	if len(s.unspent) > 0 {
		t.Error("what was used two hours ago is put back for two hours")
	}
	tell("bb", spentFor+time.Hour)
	if len(s.spent) != 1 || len(s.toSpend) != 1 {
		t.Errorf("%d are known and %d told, with one of three hours ago", len(s.spent), len(s.toSpend))
	}
}

// TestGateGone: what a gate said once shows nobody that it lives.
func TestGateGone(t *testing.T) {
	s := newTestSession()
	for gate, ago := range map[string]time.Duration{"here": time.Second, "gone": time.Hour} {
		key := keyOfGate(gate)
		s.heard(said{key: key, value: testSigner.seal(key, payload{Gate: gate, At: time.Now().Add(-ago).UnixMilli()})})
	}
	if _, here := s.gates["here"]; !here || len(s.gates) != 1 {
		t.Errorf("the gates are %v", s.gates)
	}
}
