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
//	                ├─ source in a door's set ─→ door_ssh ─→ admit
//	                └─ anybody else ──────────→ drop or refuse
//
//	delivered (input)
//	 └─ to a guarded port ─→ arrived
//	      ├─ no SYN, and belongs to no connection ─→ judge
//	      ├─ admitted at the gate ────────────────→ accept
//	      └─ the same questions, but for that of other hosts
//
//	sent (output), translated (postrouting)
//	 └─ from a guarded port ─→ leaving ─→ begun4, up4, closing4, begun6…
//
// Accepting ends this table only; other tables still decide for themselves.
//
// The gate's hook is prerouting, where a port that a container engine publishes has
// not been translated yet. There it also sees packets that this host merely
// forwards; those are told apart by their destination (fib daddr type). That question
// can be wrong: an iif rule, a TPROXY or REDIRECT rule deliver here what looks like another
// host's, or another port's. So whatever is delivered to a guarded port is judged at input too.
// What the gate has admitted bears a priority (skb->priority), and is not judged twice. A packet that comes out of
// one, as out of a VXLAN tunnel whose port is guarded, bears it still: the gate takes that away first.
//
// Where the table cannot be owned a second one, the latch, keeps the ports shut while somebody else has taken it away:
// see latch.go.
//
// # Who is let in
//
// A door's grants are elements with a timeout, which the kernel ends without the daemon, in up to five sets. What a knock lets in,
// one width for each family, is in ssh_open4 and ssh_open6: hash sets, whose lookup costs the same with one grant or a
// hundred thousand. A wider prefix, which an administrator or another gate grants, is one element of ssh_wide4 or
// ssh_wide6: interval sets, which find it whatever its width, cost more the more they hold, and are empty on most hosts. They are sets of their own so that
// a knock never pays for the intervals; a source is let in if either holds it. Link-local sources are in ssh_link6,
// together with the interface that they are let in on.
//
// # What is up
//
// Connection tracking is neither asked nor turned on; see flow.go for why. A segment that
// could begin a connection, with SYN and without ACK, is judged by always_allow and the doors' sets and
// nothing else. Any other passes if its addresses and ports are known. Who is let in at this moment may also go on
// with what is not.
//
// TCP is known by what this host sends, which nobody else can send: SYN-ACK or SYN (begun4, a minute), further
// segments (begun4, 3 hours after the last one), data (up4, 5 days after the last segment), FIN (closing4, 2 minutes),
// and none of these after a RST that breaks a connection off. Answers of a published port's container count when they have been
// translated back, at postrouting. What arrives makes no entry, and cuts nothing: a FIN or RST may be
// forged, and so may the segment that this host's RST answers. So a connection that has been idle for 3 hours, in
// which this host has never said anything, without keepalives, is cut if its door has shut.
// What was up at the installation is known by sock_diag(7); for published ports by connection tracking's own
// list, as DNAT has turned it on.
//
// A flow of UDP is known by either way (up4, 3 minutes after the last datagram): it may go one way only.
//
// An entry that is left behind lets no connection begin: for that it takes a SYN, or the ACK of a SYN cookie.
// Where it is delivered, a segment that belongs to no connection of a service that listens at all addresses is judged by the doors like
// a SYN. Of a service that listens at one address, the socket is not told from a connection's (nft_socket.c): there, who was let
// in, and has been given a cookie, can begin one connection by it until two minutes after the SYN, though its door has
// shut, if one of the same ports ended by a FIN shortly before, or by the peer's RST (net/ipv4/syncookies.c, MAX_SYNCOOKIE_AGE).
//
// A set that is full keeps what it has, and keeps nobody out: what finds no room goes on for as long as its door is open.
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
//   - IPv4 puts together before input (ip_local_deliver), and a whole packet is judged there. So the gate lets
//     its fragments pass.
//   - A packet to a published port meets connection tracking, which has put it together before the gate (priority -400).
//
// # What remains
//
//   - This host's own flows that are masqueraded to a guarded port's number: their answers come to the
//     masqueraded port, are no flow that this table knows, and are dropped. A guarded port ought not to be in
//     net.ipv4.ip_local_port_range, where NAT takes its ports from as well.
//   - VRF: by the kernel's source (l3mdev_ip_rcv) a packet passes prerouting once by its port and once by the VRF's device, and
//     input by the latter. With `interfaces`, name the VRF's device. A knock that passes through a VRF to another host is heard.
//   - After somebody's flush of a table that is not owned, flows of UDP without a connected socket, such as WireGuard's,
//     have to be let in again, or this host speaks first.
//   - Knowing that a source is let in, somebody can pretend to be it, as long as its door is open.
//   - A kernel before 6.5, and without the fix that its stable releases have (nft_set_hash: mark set element as dead when
//     deleting from packet path), loses the memory of each entry that a rule deletes.
//   - shut = "reject": of several such ports that are asked in turn from one port of one source, more than some sixteen
//     changes a second are not answered, nor is anybody when 65,535 others were refused within a second; a rule for all ports (DNAT without a port) takes a refused
//     segment to port 0 of another host. Over IPv6 a first fragment too short for TCP's checksum, and UDP in fragments, are not answered, where a
//     closed port answers by ICMPv6; a datagram of UDP without a checksum is answered by ICMPv6, where a closed port is silent.
//   - Replies that do not come back through this host, as behind IPVS with direct routing, are not seen: such a connection goes on for as
//     long as its door is open.
//   - What passes through, and says that it comes from a guarded port of this host, is dropped: it is forged.
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
