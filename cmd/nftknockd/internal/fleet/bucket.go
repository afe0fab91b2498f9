package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"nftknock/config"
)

// A bucket is the key-value bucket of a group: "nftknock-" and the group's name. Each key holds
// its latest value, for as long as that says something.
type bucket struct {
	conn *nats.Conn
	js   jetstream.JetStream
	kv   jetstream.KeyValue
	name string
	made time.Time // when: one that was deleted and made anew has another

	log    *slog.Logger
	mu     sync.Mutex
	reason string // why there is no connection; empty: there is, or nobody has said yet
	said   string // the reason that was logged last
	saidAt time.Time
}

const (
	markerTTL  = time.Minute // how long the bucket remembers that a key's time is over
	natsWait   = 5 * time.Second
	sayEvery   = 5 * time.Second
	maxPending = 4096 // values on their way to the bucket

	// maxApart is by how much NATS' clock may differ from this machine's. Who can answer in NATS' place could
	// have any grant count again that ever was.
	maxApart = 5 * time.Minute
)

// dial connects to NATS, which need not be there yet: the connection comes when it is, and comes back.
func dial(urls []string, name, gate string, secret config.Secret, log *slog.Logger, changed func()) (*bucket, error) {
	b := &bucket{name: name, log: log}
	connected := func(c *nats.Conn, how string) {
		log.Info(how, "server", server(c))
		b.failed(nil)
		changed()
	}
	options := []nats.Option{
		nats.Name("nftknockd " + gate),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond), nats.Timeout(2 * time.Second),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), // a link that is cut is noticed in seconds
		nats.ReconnectBufSize(-1),   // what cannot be sent now is sent when it is known what is there
		nats.IgnoreAuthErrorAbort(), // what NATS refuses today it may accept when somebody has mended its accounts
		nats.ConnectHandler(func(c *nats.Conn) { connected(c, "connected to NATS") }),
		nats.ReconnectHandler(func(c *nats.Conn) { connected(c, "connected to NATS again") }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.failed(err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the connection to NATS is lost: this gate works alone", "error", err)
			}
			changed()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", "error", err) }),
	}
	if secret != "" {
		option, err := credentials(secret)
		if err != nil {
			return nil, err
		}
		options = append(options, option)
	}
	conn, err := nats.Connect(strings.Join(urls, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(maxPending), jetstream.WithPublishAsyncTimeout(natsWait))
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.conn, b.js = conn, js
	return b, nil
}

// failed notes why there is no connection, and says so when it is another reason than last said: not
// more often than every sayEvery, since servers may refuse for reasons that take turns. Nil: there is one.
func (b *bucket) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.reason, b.said, b.saidAt = "", "", time.Time{}
		return
	}
	b.reason = err.Error()
	// The library's handlers and LastError spell it differently.
	if !strings.EqualFold(b.reason, b.said) && time.Since(b.saidAt) > sayEvery {
		b.said, b.saidAt = b.reason, time.Now()
		b.log.Warn("NATS cannot be connected to: trying again", "error", err)
	}
}

// connected reports whether there is a connection, and if not, why.
func (b *bucket) connected() (bool, string) {
	if b.conn.IsConnected() {
		return true, ""
	}
	if err := b.conn.LastError(); err != nil { // refused by TLS or by NATS, which no handler is told of
		b.failed(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return false, b.reason
}

// server names the server without what may be a secret in its URL.
func server(c *nats.Conn) string {
	if name := c.ConnectedServerName(); name != "" {
		return name
	}
	return c.ConnectedAddr()
}

// credentials reads what is in a file of credentials: a user's JWT and nkey seed, or an nkey
// seed alone.
func credentials(text config.Secret) (nats.Option, error) {
	if strings.Contains(string(text), "BEGIN NATS USER JWT") {
		return nats.UserCredentialBytes([]byte(text)), nil
	}
	pair, err := nkeys.ParseDecoratedNKey([]byte(text))
	if err != nil {
		return nil, errors.New("credentials: the file holds neither NATS credentials nor an nkey seed")
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return nats.Nkey(public, pair.Sign), nil
}

// find finds the bucket, or makes it. It is kept as often as there are servers for, up to three.
func (b *bucket) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, b.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		for _, replicas := range []int{3, 1} { // a server alone refuses three
			kv, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: b.name, Description: "whom the gates of this group let in",
				Replicas: replicas, LimitMarkerTTL: markerTTL, Storage: jetstream.FileStorage,
			})
			if err == nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", b.name, err)
	}
	stream, err := b.stream(ctx)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", b.name, err)
	}
	b.kv, b.made = kv, stream.CachedInfo().Created
	return nil
}

// stream asks the servers how the stream is that the bucket is made of.
func (b *bucket) stream(ctx context.Context) (jetstream.Stream, error) {
	return b.js.Stream(ctx, "KV_"+b.name)
}

// tampered says what somebody has done to the bucket that no watcher is told of, as far as that can be
// told. If nobody has, it holds no less than values, and that of the key whose revision is the oldest, or
// a newer one. Empty: nothing.
func (b *bucket) tampered(ctx context.Context, values int, key string, oldest uint64) string {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	stream, err := b.stream(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return "deleted"
	case err != nil:
		return ""
	}
	switch info := stream.CachedInfo(); {
	case !info.Created.Equal(b.made):
		return "deleted and made anew"
	case info.State.Msgs < uint64(values):
		return "emptied"
	case info.State.FirstSeq > oldest: // whoever has emptied it may have filled it, too
		if revision, err := b.revision(ctx, key); err == nil && revision == 0 {
			return "emptied"
		}
	}
	return ""
}

// anyRevision has put replace whatever a key has.
const anyRevision = math.MaxUint64

// put sends a value to a key that has a revision, for a time; 0: without end. The answer comes
// to done: the new revision, or an error, such as that the key has another one by now.
func (b *bucket) put(key string, value []byte, revision uint64, ttl time.Duration, done func(uint64, error)) {
	var options []jetstream.PublishOpt
	if revision != anyRevision {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(revision))
	}
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(max(ttl.Round(time.Second), time.Second))) // whole seconds
	}
	future, err := b.js.PublishAsync("$KV."+b.name+"."+key, value, options...)
	go func() { // also after an error: who calls this reads what is done
		if err != nil {
			done(0, err)
			return
		}
		select {
		case ack := <-future.Ok():
			done(ack.Sequence, nil)
		case err := <-future.Err():
			done(0, err)
		}
	}()
}

// revision asks for the revision that a key has.
func (b *bucket) revision(ctx context.Context, key string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	stream, err := b.stream(ctx)
	if err != nil {
		return 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, "$KV."+b.name+"."+key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Sequence, nil
}

// isTaken reports whether a value was refused because the key has another revision.
func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// alive writes what shows the others that a gate lives.
func (b *bucket) alive(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	_, err := b.js.Publish(ctx, "$KV."+b.name+"."+key, value, jetstream.WithMsgTTL(gateTTL))
	return err
}

// clock returns how far the servers' clock is ahead of this machine's, by what leads for the bucket. Values
// and their times would come from any copy of the bucket, such as a mirror that anybody has made.
func (b *bucket) clock(ctx context.Context, now func() time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	began, before := time.Now(), now()
	stream, err := b.stream(ctx)
	if err != nil {
		return 0, err
	}
	ahead := stream.CachedInfo().TimeStamp.Sub(before.Add(time.Since(began) / 2).Round(0))
	if ahead.Abs() > maxApart {
		return 0, fmt.Errorf("NATS says that it is %v apart from this machine's clock: run NTP on both; without, old grants could come back",
			ahead.Abs().Round(time.Second))
	}
	return ahead, nil
}
