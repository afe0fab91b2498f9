// Package knock decides who has knocked correctly. It is pure: no sockets, no clock of
// its own, nothing but the standard library. A [Tracker] is told what arrived and when,
// and answers with what has to happen.
//
//	Packet ──→ Tracker.Observe(arrived, packet) ──→ []Event
//	             │
//	             └ for each sequence that contains the packet's port,
//	               how far its source has come, in each of its attempts
//
// # What counts
//
// Every [Door] has a sequence of knocks that grants access, its opening, and may have a
// second one that revokes it, its closing. Each sequence is followed for itself, per
// source, in up to [MaxParallel] attempts at a time: people behind one address knock at
// once, so do programs that start several connections, and browsers knock twice.
//
//   - A knock counts for the attempt that is furthest on among those that wait for it,
//     and of equals for the youngest, which has the most time left.
//   - If none waits for it, the first knock of the sequence begins another attempt. The
//     oldest makes room if there are too many.
//   - Any other knock among the sequence's own ports that none waits for starts all
//     attempts over. Other ports do not disturb them.
//   - A knock that advances an opening does not count for the same door's closing, so
//     that people who open together do not spell it. ([Conflicts] finds closings that
//     this makes impossible.)
//   - An attempt has to complete within the door's SeqTimeout, counted from its first
//     knock.
//
// So, of the sequence 1 2 3, "1 1 2 2 3 3" and "1 2 1 3 2 3" open, "1 3 2 3" and "2 1
// 3" do not. If no port comes back after another one ([Revisits]), any eight who knock
// at once are all let in by the time each has finished. The price is paid by whoever
// knows the ports and not their order: knocking at random takes 16 knocks on average
// for three ports, 97 for four, 988 for five, where a single attempt would take 26, 259
// and 3,128.
//
// # A retransmission is one knock
//
// TCP sends a SYN that got no answer again, one second later and then ever more rarely
// (RFC 6298, section 5.5 and onwards; Linux: tcp_syn_retries), with the same ports and
// the same initial sequence number. Windows does so even after a RST. Such a SYN, once
// counted, is ignored by every sequence, so that
//
//	telnet host 7000 & telnet host 8000 & telnet host 9000 &
//
// opens a door, and its retransmissions, which arrive in an order nobody chose, neither
// disturb the opening nor spell the closing. What has counted is remembered with the
// attempt it counted in: until the attempt fails or runs out of time, and after it has
// completed for SeqTimeout more, or until the same sequence has completed MaxParallel
// times again.
//
// # Time
//
// A packet's time is when it arrived, on the monotonic clock. Packets may reach the
// tracker out of order, or late after a pause: the latest time seen is never turned
// back, and an attempt counts from the earliest of its knocks, so that neither gives
// anybody more time.
//
// # Codes
//
// A door may ask for a one-time code after its sequence, which two more knocks spell
// ([SpellCode]). The tracker reads the code and cannot know whether it is right: its
// caller checks it, and grants access or mutes the source.
//
// # Scans
//
// Decoys are ports that look like knock ports from outside, and that nobody knocks who
// knows a sequence. A source that touches one, or knocks a wrong code, is muted: its
// attempts are forgotten, and for a time it is ignored. [ChooseDecoys] puts decoys
// where a scan meets one before it has completed a sequence. [Scan] says who is muted
// together.
//
// # Sources
//
// A source is an address. One with a zone, which is local to a link, is another source
// on each link.
//
// # Steps
//
// [Tracker.Watch] is told each step of an attempt, and [Tracker.Trace] what is
// remembered of a source: how far it has come, how its last attempts ended, whether it
// is muted. Neither tells a port.
//
// # Bounds
//
// The tracker remembers at most a given number of attempts, whatever arrives. When it
// is full it forgets the oldest of those that have counted one knock only, so that a
// flood of strangers does not erase somebody who is further on. It remembers as many
// muted sources and networks, of which the one touched longest ago goes first, and
// networks last. Failures are kept in two rings, again so that strangers do not erase
// the others.
package knock
