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
//	gate (prerouting, after conntrack, before dstnat)
//	 ├─ to none of the ports that matter here ───→ accept
//	 └─ ours
//	      ├─ not on a guarded interface ──────────→ accept
//	      ├─ SYN or datagram to a knock port ─→ knock ─→ NFLOG, and on as if nothing had been
//	      └─ to a guarded port ─→ tcp_22
//	           ├─ exempt: passing through, up already, always allowed ─→ accept
//	           ├─ source in a door's set ──────────────────────────────→ accept
//	           └─ anybody else ──────────────────────────→ drop or reject
//
// Accepting ends this table only; other tables still decide for themselves.
//
// The hook is prerouting, where a port that a container engine publishes has
// not been translated yet. There it also sees packets that this host merely
// forwards; those are told apart by their destination (fib daddr type).
//
// # Changing it
//
// A change is one transaction, which takes effect for all packets at once. It
// replaces all rules, but keeps every set, map element and chain that is the
// same before and after: a packet that is between two rules at that very moment
// goes on with the old rules but looks into the sets as they are now, and must not
// miss the port it is guarded by. For the same reason a port's chain is named for
// the port and not for the doors, which come and go.
package nft
