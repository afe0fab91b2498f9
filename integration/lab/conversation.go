package lab

import (
	"net/netip"
	"testing"
)

// A Conversation is a connection whose client is the test: it sends which segment it likes,
// when it likes.
type Conversation struct {
	Completed Segment // the ACK that has completed the handshake

	link     *Link
	seq, ack uint32 // of the next segment
}

// Converse connects to a service, and returns when that has said its banner. Who connects is
// a phantom's address.
func (l *Link) Converse(t testing.TB, from, to netip.AddrPort) *Conversation {
	t.Helper()
	c := &Conversation{Completed: l.Handshake(t, from, to), link: l}
	c.seq, c.ack = c.Completed.Seq, c.Completed.Ack
	c.Send(t, FlagACK, "")
	c.Expect(t, FlagPSH)
	return c
}

// Handshake sends a SYN, and returns the ACK that would complete the handshake.
func (l *Link) Handshake(t testing.TB, from, to netip.AddrPort) Segment {
	t.Helper()
	syn := SYNOf(from, to, 1000)
	l.Send(t, syn.Datagram())
	a, ok := l.Receive(t, Timeout, func(a Received) bool { return a.IsSegmentTo(from) && a.Flags() == FlagSYN|FlagACK })
	if !ok {
		t.Fatalf("%v is not answered", from)
	}
	return Segment{From: from, To: to, Seq: syn.Seq + 1, Ack: a.Seq() + 1, Flags: FlagACK}
}

// SYNOf asks for a connection.
func SYNOf(from, to netip.AddrPort, seq uint32) Segment {
	return Segment{From: from, To: to, Seq: seq, Flags: FlagSYN, Options: []byte{2, 4, 5, 180}}
}

// IsSegmentTo reports whether a packet is TCP to somebody.
func (a Received) IsSegmentTo(who netip.AddrPort) bool {
	return a.IsTCP() && a.To == who.Addr() && a.Target() == who.Port()
}

// Send sends the next segment.
func (c *Conversation) Send(t testing.TB, flags byte, data string) {
	t.Helper()
	s := c.Completed
	s.Seq, s.Ack, s.Flags, s.Data = c.seq, c.ack, flags, []byte(data)
	c.link.Send(t, s.Datagram())
	c.seq += uint32(len(data))
	if flags&FlagFIN != 0 {
		c.seq++
	}
}

// Expect waits for the service's next segment that has a flag. What came before it is known then.
func (c *Conversation) Expect(t testing.TB, flag byte) {
	t.Helper()
	a, ok := c.link.Receive(t, Timeout, func(a Received) bool {
		return a.IsSegmentTo(c.Completed.From) && a.Flags()&flag != 0 && a.Flags()&FlagSYN == 0
	})
	if !ok {
		t.Fatalf("no segment with flag %#x comes to %v", flag, c.Completed.From)
	}
	c.ack = a.Seq() + uint32(len(a.Data()))
	if a.Flags()&FlagFIN != 0 {
		c.ack++
	}
}

// EndByRST has the service reset the connection.
func (c *Conversation) EndByRST(t testing.TB) {
	t.Helper()
	c.Send(t, FlagACK|FlagPSH, SayReset+"\r\n")
	c.Expect(t, FlagRST)
}

// EndByServer has the service end the connection, so that its host remembers it for a minute.
func (c *Conversation) EndByServer(t testing.TB) {
	t.Helper()
	c.Send(t, FlagACK|FlagPSH, SayFinish+"\r\n")
	c.Expect(t, FlagFIN)
	c.Send(t, FlagACK|FlagFIN, "")
	c.Expect(t, FlagACK)
}

// EndByClient ends the connection, so that nothing is left of it.
func (c *Conversation) EndByClient(t testing.TB) {
	t.Helper()
	c.Send(t, FlagACK|FlagFIN, "")
	c.Expect(t, FlagFIN)
	c.Send(t, FlagACK, "")
}

// Next returns a sequence number that is past all that was sent.
func (c *Conversation) Next() uint32 { return c.seq + 100_000 }
