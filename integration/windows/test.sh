#!/usr/bin/env bash
# Proves the Windows client in Wine, against the real gate: one SYN a knock, profiles where
# Windows keeps them, as its editors write them, one-time codes, and ssh's ProxyCommand.
#
# test.sh prepares, inside.sh is run in namespaces. Wine is Debian 13's, whose file system is
# made once and kept in the user's cache. Needs root.
set -euo pipefail

skip() {
	echo "test-windows: skipped: $*"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "needs root"
unshare --mount --net --pid --fork true 2>/dev/null || skip "may not make namespaces"
[ "$(uname -m)" = x86_64 ] || skip "Wine runs programs of this machine's processor: not amd64"

cd "$(dirname "$0")/../.."
missing=()
for tool in mmdebstrap:mmdebstrap tcpdump:tcpdump nc.openbsd:netcat-openbsd ip:iproute2; do
	command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} != 0 ]; then
	echo "installing ${missing[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
		skip "cannot install ${missing[*]}"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nftknock
base=$cache/wine-trixie
mkdir -p "$cache"
exec 9>"$cache/lock-wine"
flock 9
if [ ! -d "$base" ]; then
	echo "making a root file system with Wine, to be kept in $base"
	mmdebstrap --quiet --variant=minbase --include=wine64,wine --dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' trixie "$base.$$" || {
		rm -rf "$base.$$"
		skip "no Wine to be had"
	}
	mv "$base.$$" "$base"
fi
exec 9>&-

# Wine has no SIO_UDP_NETRESET, which every UDP socket of Go's net asks for. Only this test's
# program asks for something else; Windows needs nothing of the kind.
net=$(go env GOROOT)/src/net/fd_windows.go
sed 's/windows\.SIO_UDP_NETRESET/syscall.SIO_UDP_CONNRESET/' "$net" >"$work/fd_windows.go"
printf '{"Replace": {"%s": "%s"}}\n' "$net" "$work/fd_windows.go" >"$work/overlay.json"
CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -overlay "$work/overlay.json" -o "$work/nftknock.exe" ./cmd/nftknock
CGO_ENABLED=0 go build -o "$work/nftknockd" ./cmd/nftknockd

unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
	integration/windows/inside.sh "$base" "$work"
echo "test-windows: passed, in $SECONDS s"
