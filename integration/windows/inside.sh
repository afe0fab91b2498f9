#!/usr/bin/env bash
# The test of test.sh, in a mount, network and PID namespace: this network namespace is the
# gate's, "client" is that of Windows.
#
#	inside.sh BASE WORK
set -Eeuo pipefail
base=$1 work=$2 root=$2/root
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND"; tail -n 20 "$work"/{said,gate.log,wire} 2>/dev/null' ERR

ok() { echo "ok  $*"; }
fails() { ! "$@"; }
soon() {
	local end=$((SECONDS + 30))
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

mount -t tmpfs none /run
ip netns add client
ip link set lo up
ip link add gate type veth peer name c0 netns client
ip address add 10.1.0.1/24 dev gate
ip address add fd00::1/64 dev gate nodad
ip link set gate up
ip -n client link set lo up
ip -n client address add 10.1.0.2/24 dev c0
ip -n client address add fd00::2/64 dev c0 nodad
ip -n client link set c0 up

mkdir -m 0700 "$work/state"
cat >"$work/gate.toml" <<'END'
[door.echo]
ports = [2022]
sequence = [7011, "9035:udp", 8127]
close_sequence = [8127, "9035:udp", 7011]
open_timeout = "1h"

[door.code]
ports = [2023]
otp_secret_file = "code.otp"
otp_base = 20000

[door.packet]
ports = [2024]
spa_keys = ["alice.spa"]
END
gate() { "$work/nftknockd" "$@" --config "$work/gate.toml"; }
asked() { "$work/nftknockd" status --socket "$work/control.sock" 2>/dev/null; }
gate otp new code --no-qr >"$work/otp"
printf 'KEY_BASE64: %s\nHMAC_KEY_BASE64: %s\n' "$(head -c 32 /dev/urandom | base64)" "$(head -c 64 /dev/urandom | base64 -w0)" >"$work/alice.spa"
chmod 0600 "$work/alice.spa"
gate run --state "$work/state" --socket "$work/control.sock" 2>"$work/gate.log" &
soon asked >/dev/null

mkdir "$root" "$work/memory"
mount -t tmpfs none "$work/memory"
mkdir "$work/memory/upper" "$work/memory/work"
mount -t overlay -o "lowerdir=$base,upperdir=$work/memory/upper,workdir=$work/memory/work" none "$root"
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
cp "$work/nftknock.exe" "$root/"
wine() { ip netns exec client chroot "$root" env HOME=/root WINEPREFIX=/root/.wine WINEDEBUG=-all "$@"; }
client() { wine wine /nftknock.exe "$@"; }
wine wineboot -i >"$work/said" 2>&1
client --version >"$work/said" 2>&1
grep -q nftknock "$work/said"
ok "starts: $(tr -d '\r' <"$work/said" | head -n1)"

tcpdump -Z root -lnni gate '(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn) or (udp and not port 53) or (ip6 and ip6[6] == 6 and ip6[53] & 0x12 == 2)' >"$work/wire" 2>"$work/tcpdump" &
soon grep -q listening "$work/tcpdump"
# knocks: what has been sent to the knock ports so far, and by which protocol.
wire() { tr -d '\0' <"$work/wire" | sed -nE 's/.* > (10\.1\.0\.1\.|fd00::1\.)([0-9]+): (Flags|UDP|.*).*/\2 \3/p' | sed -E 's/ Flags.*//; s/ UDP.*/u/; s/ .*/u/' | grep -E '^(7011|8127|9035u|9035)$' | tr '\n' ' '; }
wired() { [ "$(wire)" = "$1" ]; }

client 10.1.0.1 7011 9035:udp 8127 >"$work/said" 2>&1
soon wired '7011 9035u 8127 '
soon grep -q 10.1.0.2 <(asked)
ok "knocks: one SYN and one datagram for each, in order, and the gate grants"

: >"$work/wire"
client fd00::1 7011 9035:udp 8127 >"$work/said" 2>&1
soon grep -q fd00::2 <(asked)
ok "IPv6"

# Where Windows keeps it, with what its editors put into it.
secret=$(tr -d '\n' <"$work/code.otp")
profiles=$(find "$root/root/.wine/drive_c/users" -type d -path '*AppData/Roaming' | grep -v Public | head -n1)/nftknock
mkdir -p "$profiles"
printf '\xef\xbb\xbf%s\n' "$(sed 's/$/\r/' <<END
[host.gate]
host = "10.1.0.1"
sequence = [7011, "9035:udp", 8127]
close_sequence = [8127, "9035:udp", 7011]
wait = 2022

[host.code]
host = "10.1.0.1"
otp_secret = "$secret"
otp_base = 20000
wait = 2023

[host.packet]
host = "10.1.0.1"
spa_key_file = "alice.spa"
wait = 2024
END
)" >"$profiles/hosts.toml"
cp "$work/alice.spa" "$profiles/"
client --force --close gate >"$work/said" 2>&1
soon fails grep -q 10.1.0.2 <(asked)
ok "a profile in AppData, with BOM and CRLF: --close"

# What counts until the stream has ended can only answer to a half-closed connection.
serve() {
	perl -MIO::Socket::INET -e '
		my $listener = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 1, ReuseAddr => 1) or die "listen: $!";
		my $client = $listener->accept;
		my ($bytes, $part) = 0;
		while (my $got = sysread $client, $part, 65536) { $bytes += $got }
		print $client $bytes' "$1" &
}
listens() { ss -Hltn "sport = :$1" | grep -q .; }
serve 2022
soon listens 2022
head -c 300000 /dev/zero | client proxy --force gate >"$work/answer" 2>"$work/said"
[ "$(tr -dc 0-9 <"$work/answer")" = 300000 ]
ok "proxy: knocks, connects, 300,000 bytes, and the answer after the half-close"

serve 2023
soon listens 2023
echo hello | client proxy code >"$work/answer" 2>"$work/said"
[ "$(tr -dc 0-9 <"$work/answer")" = 6 ]
ok "a one-time code"

serve 2024
soon listens 2024
echo hello | client proxy packet >"$work/answer" 2>"$work/said"
[ "$(tr -dc 0-9 <"$work/answer")" = 6 ]
grep -q 'by=spa key=alice' "$work/gate.log"
ok "single packet authorization"

fails client --wait 2999 --timeout 1s 10.1.0.1 7011 >"$work/said" 2>&1
ok "exit status 1 when nothing answers"
