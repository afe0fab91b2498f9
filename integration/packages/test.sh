#!/usr/bin/env bash
# Proves the packages: built twice, installed, upgraded, removed and purged, in file systems
# of Debian 11, 12 and 13 without a running systemd (integration/systemd has one), with rpm in a
# root of its own, and under OpenRC. .apk and Arch's are unpacked and looked at: neither
# apk nor pacman is in Debian.
#
# test.sh prepares, inside.sh is run in namespaces. File systems are made once, and kept in the
# user's cache. Needs root; installs the programs it needs through apt.
set -euo pipefail

skip() {
	echo "test-packages: skipped: $*"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "needs root"
unshare --mount --net --pid --fork true 2>/dev/null || skip "may not make namespaces"

cd "$(dirname "$0")/../.."
here=$PWD/integration/packages

missing=()
# lintian is forty packages, prometheus would begin to serve on the machine it is installed
# on: without them, their checks are left out.
for tool in mmdebstrap:mmdebstrap rpm:rpm zstd:zstd curl:curl ${CI:+lintian:lintian promtool:prometheus}; do
	command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} != 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

for script in systemd/openrc/nftknockd systemd/openwrt/nftknockd.init systemd/packages/scripts/* systemd/debian/{postinst,prerm,postrm}; do
	sh -n "$script"
done

# Two versions, and the first once more: from clones if nothing has been changed.
export ARCHES=amd64
build() { (cd "$1" && VERSION=$2 FORMATS=$3 systemd/packages/build.sh "$4" >/dev/null 2>"$work/log") || {
	cat "$work/log"
	return 1
}; }
tree=. again=.
if git diff --quiet HEAD 2>/dev/null; then
	# Two clones, as Go tells the commit of a clone, but not that of a git worktree.
	tree=$work/clone again=$work/elsewhere/clone
	git clone --quiet --shared . "$tree"
	git clone --quiet --shared . "$again"
fi
build "$tree" 0~test1 "deb rpm apk archlinux" "$work/1"
build "$tree" 0~test2 "deb rpm" "$work/2"
(umask 077 && TMPDIR=$work build "$again" 0~test1 "deb rpm apk archlinux" "$work/again")
cmp "$work/1/SHA256SUMS" "$work/again/SHA256SUMS"
(cd "$work/1" && sha256sum --quiet --check SHA256SUMS)
rm -rf "$work/again" "$work/clone" "$work/elsewhere"
echo "ok  built twice: the same $(wc -l <"$work/1/SHA256SUMS") files"

grep -q '"purl": "pkg:golang/github.com/google/nftables@v' "$work"/1/nftknockd_*.cdx.json
echo "ok  bill of materials: names what is linked in"

if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning "$work"/1/*.deb
	echo "ok  lintian"
else
	echo "not checked: lintian is not installed"
fi
if command -v promtool >/dev/null; then
	promtool check rules cmd/nftknockd/alerts.yml >/dev/null
	echo "ok  promtool: alerts"
else
	echo "not checked: promtool is not installed"
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nftknock
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
for suite in ${SUITES:-bullseye bookworm trixie}; do
	base=$cache/packages-$suite
	if [ ! -d "$base" ]; then
		echo "making a root file system, to be kept in $base"
		include=systemd
		[ $suite != bookworm ] || include=systemd,openrc
		mmdebstrap --quiet --variant=minbase --include=$include --dpkgopt=force-unsafe-io \
			--dpkgopt='path-exclude=/usr/share/doc/*' $suite "$base.$$"
		mv "$base.$$" "$base"
	fi
	base=$cache/nft-$suite
	if [ ! -d "$base" ]; then
		mmdebstrap --quiet --variant=extract --include=nftables $suite "$base.$$"
		for directory in bin lib lib64 sbin; do # what trixie's base-files would link
			[ -e "$base.$$/$directory" ] || ln -s usr/$directory "$base.$$/$directory"
		done
		mv "$base.$$" "$base"
	fi
done
exec 9>&-

unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
	"$here/inside.sh" "$cache" "$work" "$here/../.."
echo "test-packages: passed, in $SECONDS s"
