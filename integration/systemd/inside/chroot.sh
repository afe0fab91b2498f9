#!/usr/bin/env bash
# Installs and purges the package where no systemd runs, as into an image, and compares
# what is left with what was there.
#
#	chroot.sh ROOT DEB
set -Eeuo pipefail
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND"' ERR
root=$1 deb=$2

listing() { (cd "$root" && find . -path ./var/log -prune -o -path ./tmp -prune -o -print | sort); }
run() {
	chroot "$root" "$@" >"$root/tmp/log" 2>&1 || {
		cat "$root/tmp/log"
		return 1
	}
}

before=$(listing)
cp "$deb" "$root/tmp/nftknock.deb"
run dpkg --install /tmp/nftknock.deb
test -L "$root/etc/systemd/system/sysinit.target.wants/nftknockd.service"
echo "ok  chroot: installs, enabled for the boot"
run dpkg --purge nftknock
diff <(echo "$before") <(listing)
echo "ok  chroot: purge leaves nothing"
rm "$root/tmp"/*
