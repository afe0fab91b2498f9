package fleet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
)

// An Entry is what the gates of a group know of one source at one door. Times are by the
// clock of the NATS servers, which all gates have in common.
type Entry struct {
	Door    string
	Source  string
	Gate    string    // whose decision it is
	Revoked bool      // the source is out
	At      time.Time // of the decision
	Until   time.Time // the grant's end; of a revocation, as Kept
	Kept    time.Time // until when it has to be remembered: the end of any grant that it has taken the place of, too
}

// over reports whether an entry keeps the source out, as a revocation does and a grant at its end.
func (e *Entry) over(now time.Time) bool {
	return e.Revoked || !e.Until.IsZero() && !e.Until.After(now)
}

// newerThan reports whether an entry takes the place of another one of the same key. All
// gates decide it alike, in whatever order the two arrive.
func (e *Entry) newerThan(other *Entry) bool {
	switch {
	case !e.At.Equal(other.At):
		return e.At.After(other.At)
	case e.Revoked != other.Revoked:
		return e.Revoked
	case e.Gate != other.Gate:
		return e.Gate > other.Gate
	}
	return e.Until.After(other.Until)
}

// key returns the entry's key in the bucket. Keys take few characters.
func (e *Entry) key() string { return grantKey(e.Door, e.Source) }

const (
	grantKeys = "grant." // one for each door and source
	gateKeys  = "gate."  // one for each gate, which shows that it lives
	spentKeys = "spent." // one for each packet or code that was used
)

func grantKey(door, source string) string { return grantKeys + door + "." + nameKey(source) }

func nameKey(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// A signer signs what gates of a group tell each other, and reads what is signed.
type signer struct {
	secret config.Secret
	group  string
}

// payload is how a value is written. Milliseconds are of Unix.
type payload struct {
	Format  int          `json:"nftknock_fleet"`
	Door    string       `json:"door,omitempty"`
	Source  string       `json:"source,omitempty"`
	Gate    string       `json:"gate"`
	Revoked bool         `json:"revoked,omitempty"`
	At      int64        `json:"at_ms"`
	Until   int64        `json:"until_ms,omitempty"`
	Kept    int64        `json:"kept_ms,omitempty"` // 0: as Until; -1: always
	Spent   *event.Spent `json:"spent,omitempty"`
}

const payloadFormat = 1

// Values that are refused. What is in them is anybody's who can write to the bucket.
var (
	errForged  = errors.New("not signed with the group's key")
	errInvalid = errors.New("signed, but invalid: are all gates of one version?")
)

// seal returns a value for a key: a code of authentication, HMAC-SHA256, and what it covers. It
// covers the group and the key, so that a value means something in its own place only.
func (s signer) seal(key string, p payload) []byte {
	p.Format = payloadFormat
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("fleet: %v", err)) // strings and numbers
	}
	return append(s.sum(key, text), text...)
}

// open reads a value.
func (s signer) open(key string, value []byte) (p payload, err error) {
	if len(value) < sha256.Size || !hmac.Equal(value[:sha256.Size], s.sum(key, value[sha256.Size:])) {
		return p, errForged
	}
	if json.Unmarshal(value[sha256.Size:], &p) != nil || p.Format != payloadFormat || p.Gate == "" {
		return p, errInvalid
	}
	return p, nil
}

func (s signer) sum(key string, text []byte) []byte {
	h := hmac.New(sha256.New, []byte(s.secret))
	for _, part := range []string{"nftknock fleet", s.group, key} {
		h.Write(append([]byte(part), 0))
	}
	h.Write(text)
	return h.Sum(nil)
}

func (s signer) sealEntry(e *Entry) []byte {
	return s.seal(e.key(), payload{
		Door: e.Door, Source: e.Source, Gate: e.Gate, Revoked: e.Revoked,
		At: e.At.UnixMilli(), Until: unixMilli(e.Until), Kept: e.keptMilli(),
	})
}

func (s signer) openEntry(key string, value []byte) (*Entry, error) {
	p, err := s.open(key, value)
	if err != nil {
		return nil, err
	}
	e := &Entry{Door: p.Door, Source: p.Source, Gate: p.Gate, Revoked: p.Revoked, At: time.UnixMilli(p.At), Until: milli(p.Until)}
	e.Kept = e.Until
	if p.Kept != 0 {
		e.Kept = milli(max(p.Kept, 0))
	}
	if e.key() != key {
		return nil, errInvalid
	}
	return e, nil
}

func (e *Entry) keptMilli() int64 {
	switch {
	case e.Kept.Equal(e.Until):
		return 0
	case e.Kept.IsZero():
		return -1
	}
	return e.Kept.UnixMilli()
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func milli(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
