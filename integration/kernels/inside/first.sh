#!/usr/bin/env bash
# The first boot: the tests that fit into a small machine, and the package.
# shellcheck source-path=SCRIPTDIR source=../../systemd/inside/lib.sh
. /e2e/lib.sh

echo "kernel $(uname -r), $(nft --version), $(systemctl --version | head -n 1)"
mount -t tmpfs none /tmp
export HOME=/root NFTKNOCKD=/e2e/nftknockd NFTKNOCK=/e2e/nftknock

# run NAME DIRECTORY PATTERN [BUT]: tests of a package, compiled outside. What has failed is shown.
run() {
	local start=$SECONDS
	(cd "/e2e/$2" && "/e2e/$1.test" -test.timeout 5m -test.parallel 2 -test.run "$3" -test.skip "${4:-^$}" -test.v) >"/tmp/$1.log" 2>&1 || {
		grep -A3 '^running tests' "/tmp/$1.log" || true # if they took too long
		grep -vE '^=== ' "/tmp/$1.log" | grep -E '^ *--- |_test.go:' | tail -n 60
		return 1
	}
	ok "$1: $(grep -c '^ *--- PASS' "/tmp/$1.log") passed, $(grep -c '^ *--- SKIP' "/tmp/$1.log" || true) skipped, $((SECONDS - start)) s"
}

# A module that is missing is named, and nothing is shut.
printf '[door.ssh]\nports = [22]\nsequence = [7011, "9035:udp", 8127]\n' >/tmp/door.toml
chmod 0600 /tmp/door.toml
module=$(find /lib/modules -name 'nft_numgen.ko*')
mv "$module" /root/
fails timeout 60 /e2e/nftknockd run --config /tmp/door.toml --socket /tmp/socket 2>/tmp/said
grep -q 'this kernel lacks nft_numgen: load it' /tmp/said
[ -z "$(nft list tables)" ]
mv "/root/${module##*/}" "$module"
ok "a kernel that lacks a module is told of, and nothing is shut"

# These start nft hundreds of times, or flood the one processor there is: where it is emulated
# they take minutes each.
toolong='^Test(LatchLetsTheGateDecide|WidePrefixesComeAndGo|OpenBringsInLine|Up|CommitHasNoGap)$'
run nft nft . "$toolong"
quietly /e2e/nftknockd demo
ok "the demo does what it should"
run functional functional '^Test(Shut|TimeRunsOut|Closing|KnockingAgainRenews|UDPKnocks|TwoPeople|Prefix|PublishedPort|OlderSession|Killed|TrialKept|Listing|ReloadCommand)$'
run life life '^Test(ReloadChanges|OwnedIsReleased|TableRemoved)$'

sequence='[7011, "9035:udp", 8127]'
soon reached # without a gate the stranger is answered: the probes work
quietly dpkg --install /e2e/nftknock.deb
is ActiveState active
configure "$sequence"
systemctl reload $unit
sleep 0.5 # for answers that are on their way
mark
turned_away
knock 7011 9035:udp 8127
greeted
ok_shut "package: shut to everybody, and the client knocks and gets sshd's banner"

systemctl kill --signal=KILL $unit
soon is NRestarts 1
soon is ActiveState active
greeted
ok_shut "package: killed, and back; the client stays in"

quietly systemctl enable nftables
systemctl start nftables
sync

echo yes >/e2e/passed-first
sync
