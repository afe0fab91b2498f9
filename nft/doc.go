// Package nft is everything netfilter: the table that guards the doors, its
// installation over netlink, who is let in, and the log that knocks arrive by.
// It decides nothing; package knock does.
//
// # The table
//
// A [Ruleset] is a value. It prints itself as an nft script, and [Open]
// installs it; both come from the same statements, so that what is printed is
// what is installed. A packet's way through it:
//
//	gate (prerouting, before dstnat)
//	 ├─ to none of the ports that matter here ───→ accept
//	 └─ dispatch
//	      ├─ not on a guarded interface ──────────→ accept
//	      ├─ SYN or datagram to a knock port ─→ knock ─→ NFLOG, and on as if nothing had been
//	      ├─ to no guarded port ──────────────────→ accept
//	      ├─ no SYN, and its connection is up ─→ up_tcp ─→ admit
//	      ├─ a datagram whose flow is up ──────→ up_udp ─→ admit
//	      ├─ passing through to another host ─────→ accept
//	      └─ judge
//	           ├─ source always allowed ──→ always_allow ─→ admit
//	           └─ to a guarded port ─→ tcp_22
//	                ├─ source in a door's set ─→ door_ssh ─→ up4, up6 ─→ admit
//	                └─ anybody else ──────────→ drop or refuse
//
//	delivered (input)
//	 └─ to a guarded port ─→ arrived
//	      ├─ admitted at the gate ────────────────→ accept
//	      └─ the same questions, but for that of other hosts
//
//	sent (output)
//	 └─ from a guarded port ─→ leaving ─→ up4, up6, closing4, closing6
//
// Accepting ends this table only; other tables still decide for themselves.
//
// The gate's hook is prerouting, where a port that a container engine publishes has
// not been translated yet. There it also sees packets that this host merely
// forwards; those are told apart by their destination (fib daddr type). That question
// can be wrong: an iif rule, a TPROXY or REDIRECT rule deliver here what looks like another
// host's, or another port's. So whatever is delivered to a guarded port is judged at input too.
// What the gate has admitted bears a priority (skb->priority), and is not judged twice.
//
// Where the table cannot be owned a second one, the latch, keeps the ports shut while somebody else has taken it away:
// see latch.go.
//
// # What is up
//
// Connection tracking is neither asked nor turned on; see flow.go for why. A segment that
// could begin a connection, with SYN and without ACK, is judged by always_allow and the doors' sets and
// nothing else. Any other passes if its addresses and ports are in up4 or up6: because a door
// has let its connection in, this host has begun it, or it was up at the installation (sock_diag(7); for
// published ports connection tracking's own list, as DNAT has turned it on). A datagram passes if its flow
// is there, and else is judged. Who is let in at this moment may also go on with what is not remembered.
//
// An entry goes when this host's stack sends a RST from there, and shortly after its FIN: that is the stack's word that the
// connection is over, and cannot be forged. A RST or FIN from outside can, and cuts nothing. An entry that
// is left behind lets no connection begin: for that it takes a SYN, or the ACK of a SYN cookie, which
// this host hands out for a SYN alone, and which is good for two minutes.
//
// A set that is full keeps what it has. New ones wait; always_allow does not.
//
// # Fragments
//
// Nothing here defragments before prerouting, unless some other table asks connection tracking. Later fragments
// have no transport header: they match no rule of the gate, and pass. That is enough, for
// each family and kernel since 5.10:
//
//   - The first fragment is judged. If it has the ports and TCP's flags, they are those of the whole packet:
//     Linux drops a packet whose fragments overlap (IPv4: inet_frag_queue_insert, since 4.20; IPv6: RFC 5722).
//   - A first fragment of TCP too short for its flags, 8 bytes, is no later segment to the rules, so no
//     connection that is up lets it pass: a door has to. It cannot be too short for its ports over IPv4, where
//     fragments have 8 bytes at least.
//   - Over IPv6 it can, as extension headers may come first. Since Linux 5.11 such a packet is not put together
//     (ipv6frag_thdr_truncated). For older kernels chain first_fragment drops it at input, behind which IPv6 puts together.
//   - IPv4 puts together before input (ip_local_deliver), so that a whole packet is judged there once more, unless its
//     first fragment was admitted.
//   - A packet to a published port meets connection tracking, which has put it together before the gate (priority -400).
//
// # What remains
//
//   - This host's own flows that are masqueraded to a guarded port's number: their answers come to the
//     masqueraded port, are no flow that this table knows, and are dropped. A guarded port ought not to be in
//     net.ipv4.ip_local_port_range, where NAT takes its ports from as well.
//   - VRF: by the kernel's source (l3mdev_ip_rcv) a packet passes prerouting once by its port and once by the VRF's device, and
//     input by the latter. With `interfaces`, name the VRF's device. Not tried: it was in no kernel at hand.
//   - After somebody's flush of a table that is not owned, flows of UDP without a connected socket, such as WireGuard's,
//     have to be let in again, or this host speaks first.
//   - Knowing that a source is let in, somebody can pretend to be it, as long as its door is open.
//   - A kernel before 6.5, and without the fix that its stable releases have (nft_set_hash: mark set element as dead when
//     deleting from packet path), loses the memory of each entry that a rule deletes.
//   - shut = "reject": with several such ports, more than some sixteen segments a second of one source are answered by nft's own
//     reject; a port of 0 may be answered from a guarded port for two seconds; a rule for all ports (DNAT without a port) takes a refused segment to port 0 of another host; a first fragment too
//     short for TCP's checksum gets no answer.
//
// # Changing it
//
// A change is one transaction, which takes effect for all packets at once. It
// replaces all rules, but keeps every set, map element, counter and chain that is the
// same before and after: a packet that is between two rules at that very moment
// goes on with the old rules but looks into the sets as they are now, and must not
// miss the port it is guarded by. For the same reason a port's chain is named for
// the port and not for the doors, which come and go.
package nft
