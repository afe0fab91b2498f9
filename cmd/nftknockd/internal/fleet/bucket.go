package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
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
}

const (
	markerTTL  = time.Minute // how long the bucket remembers that a key's time is over
	natsWait   = 5 * time.Second
	maxPending = 4096 // values on their way to the bucket
)

// dial connects to NATS, which need not be there yet: the connection comes when it is, and comes back.
func dial(urls []string, name, gate string, secret config.Secret, log *slog.Logger, changed func()) (*bucket, error) {
	options := []nats.Option{
		nats.Name("nftknockd " + gate),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond), nats.Timeout(2 * time.Second),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), // a link that is cut is noticed in seconds
		nats.ReconnectBufSize(-1), // what cannot be sent now is sent when it is known what is there
		nats.ConnectHandler(func(c *nats.Conn) { log.Info("connected to NATS", "server", server(c)); changed() }),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("connected to NATS again", "server", server(c)); changed() }),
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
	return &bucket{conn: conn, js: js, name: name}, nil
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
	b.kv = kv
	return nil
}

// exists reports whether the bucket is there still, if that can be told.
func (b *bucket) exists(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	_, err := b.js.Stream(ctx, "KV_"+b.name)
	return !errors.Is(err, jetstream.ErrStreamNotFound)
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
	stream, err := b.js.Stream(ctx, "KV_"+b.name)
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

// clock returns how far the servers' clock is ahead of this machine's, by what they say of a value
// that is written now; it also shows the others that this gate lives.
func (b *bucket) clock(ctx context.Context, key string, value []byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	before := time.Now()
	_, err := b.js.Publish(ctx, "$KV."+b.name+"."+key, value, jetstream.WithMsgTTL(gateTTL))
	if err != nil {
		return 0, err
	}
	took := time.Since(before)
	entry, err := b.kv.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	return entry.Created().Sub(before.Add(took / 2).Round(0)), nil
}
