# The tests that fit into a small machine: second.sh ends with them.
# shellcheck shell=bash

mount -t tmpfs none /tmp
systemctl stop nftables # what is there is the tests' own
pkill prober # which takes much of an emulated processor
systemctl stop ssh
mkdir -p /run/sshd # for the tests' own
export HOME=/root NFTKNOCKD=/e2e/nftknockd NFTKNOCK=/e2e/nftknock

# run NAME DIRECTORY PATTERN [BUT]: tests of a package, compiled outside. What has failed is shown.
run() {
	local start=$SECONDS
	(cd "/e2e/$2" && "/e2e/$1.test" -test.timeout 10m -test.parallel 2 -test.run "$3" -test.skip "${4:-^$}" -test.v) >"/tmp/$1.log" 2>&1 || {
		grep -A3 '^running tests' "/tmp/$1.log" || true # if they took too long
		grep -vE '^=== ' "/tmp/$1.log" | grep -E '^ *--- |\.go:[0-9]' | tail -n 60
		return 1
	}
	ok "$1: $(grep -c '^ *--- PASS' "/tmp/$1.log") passed, $(grep -c '^ *--- SKIP' "/tmp/$1.log" || true) skipped, $((SECONDS - start)) s"
}

# A module that is missing is named, and nothing is shut.
printf '[door.ssh]\nports = [22]\nsequence = [7011, "9035:udp", 8127]\n' >/tmp/door.toml
chmod 0600 /tmp/door.toml
module=$(find /lib/modules -name 'nft_numgen.ko*')
mv "$module" /root/
modprobe -r nft_numgen
fails timeout 60 /e2e/nftknockd run --config /tmp/door.toml --socket /tmp/socket 2>/tmp/said
grep -q 'this kernel lacks nft_numgen: load it' /tmp/said
[ -z "$(nft list tables)" ]
mv "/root/${module##*/}" "$module"
ok "a kernel that lacks a module is told of, and nothing is shut"

# These start nft hundreds of times, or flood the one processor there is: where it is emulated
# they take minutes each.
toolong='^Test(LatchLetsTheGateDecide|LatchHasNoGap|WidePrefixesComeAndGo|OpenBringsInLine|Up|CommitHasNoGap|DoorNames|InspectOthersTables)$'
toolong+='|^TestRestore$/^(add|insert|flush_(chain|set|table)|delete_element)|^TestOpenChangesWhatWasLeft$/dormant|^TestScriptIsWhatIsInstalled$/one'
run nft nft . "$toolong"
quietly /e2e/nftknockd demo
ok "the demo does what it should"
functional='Listing|PasteBack|TrialKept|OlderSession|Devices|WireGuard' life='OwnedIsReleased'
but='^TestDevices$/^(vlan|bond|bridge)/^IPv6$|^TestTrialKept$/^IPv6$'
if [ -e /e2e/full ]; then
	functional+='|Shut|TimeRunsOut|Closing|KnockingAgainRenews|UDPKnocks|TwoPeople|Prefix|PublishedPort|Killed|ReloadCommand'
	life+='|ReloadChanges'
	but=
fi
run functional functional "^Test($functional)\$" "$but"
run life life "^Test($life)\$"
