// Package knock decides who has knocked correctly. It is pure: no sockets, no
// clock of its own, nothing but the standard library. A [Tracker] is told what
// arrived and when, and answers with what has to happen.
//
//	Packet ──→ Tracker.Observe(now, packet) ──→ []Event
//	             │
//	             └ for each sequence that contains the packet's port,
//	               how far its source has come
//
// # What counts
//
// Every [Door] has a sequence of knocks that lets a source in, and may have a
// second one that puts it out. Each sequence is followed for itself, per
// source address:
//
//   - the right next knock advances it;
//   - a wrong knock among the sequence's own ports starts it over, and counts as
//     its first knock if it is that port; any other port does not disturb it;
//   - it has to complete within the door's SeqTimeout, counted from its first knock.
//
// # A retransmission is one knock
//
// TCP sends a SYN that got no answer again, one second later and then ever more
// rarely (RFC 6298, section 5.5 and onwards; Linux: tcp_syn_retries), with the
// same ports and the same initial sequence number. Windows does so even after a RST. Such a
// SYN, once counted, is ignored by every sequence, so that
//
//	telnet host 7000 & telnet host 8000 & telnet host 9000 &
//
// opens a door, and its retransmissions, which arrive in an order nobody chose,
// neither disturb the opening nor spell the closing sequence. What has counted is
// remembered with the attempt it counted in: until the attempt fails or runs
// out of time, and after it has succeeded for SeqTimeout more, or until the same
// sequence succeeds again.
//
// # Codes
//
// A door may ask for a one-time code after its sequence, which two more knocks spell
// ([SpellCode]). The tracker reads the code and cannot know whether it is right: that it leaves to
// whoever it answers, who lets the source in, or has the tracker mute it.
//
// # Scans
//
// Decoys are ports that look like knock ports from outside, and that nobody knocks who
// knows a sequence. Who touches one, or knocks a wrong code, is muted: what was in progress is
// forgotten, and for a time nothing of the source counts. [ChooseDecoys] puts them
// where a scan meets one before it has completed a sequence.
//
// # Bounds
//
// The tracker remembers at most a given number of attempts, whatever arrives.
// When it is full it forgets the oldest of those that have seen their first
// knock only, so that a flood of strangers does not erase somebody who is
// further on. As many sources that are muted are remembered, of whom those go first that
// were muted first.
package knock
