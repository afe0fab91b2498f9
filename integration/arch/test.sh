#!/usr/bin/env bash
# Runs the tests of what decides, reads and encodes on other processors: 64 and 32 bits, and one
# that stores big end first. qemu emulates the processor; system calls are this kernel's, and its
# netlink is another machine's, so what talks to the kernel is left out: those tests skip
# themselves without root, or are named below.
#
#	integration/arch/test.sh [ARCHITECTURE...]    Debian's names; all unless given
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
	echo "test-arch: skipped: $*"
	exit 0
}
if ! command -v qemu-aarch64-static >/dev/null; then
	[ "$(id -u)" = 0 ] || skip "needs qemu-user-static"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null ||
		skip "no qemu-user-static here"
fi

as_nobody=()
[ "$(id -u)" != 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

work=$(mktemp -d)
chmod 0755 "$work"
mkdir -m 1777 "$work/tmp"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

[ $# != 0 ] || set -- arm64 armhf s390x
for arch; do
	case $arch in
	arm64) goarch=arm64 qemu=aarch64 ;;
	armhf) goarch=arm qemu=arm ;;
	*) goarch=$arch qemu=$arch ;;
	esac
	for package in ./knock/... ./config/... ./nft/...; do
		for path in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' $package); do
			test=$work/test
			(cd "$path" && CGO_ENABLED=0 GOOS=linux GOARCH=$goarch GOARM=7 go test -c -o "$test" . &&
				TMPDIR=$work/tmp HOME=$work/tmp nice "${as_nobody[@]}" qemu-$qemu-static "$test" -test.short -test.skip 'TestTableNameNft' -test.timeout 10m >"$work/said" 2>&1) || {
				cat "$work/said"
				echo "FAILED: $arch: $path"
				exit 1
			}
			echo "ok  $arch: ${path#"$PWD"/}"
		done
	done
done
echo "test-arch: passed, in $SECONDS s"
