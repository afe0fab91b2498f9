#!/usr/bin/env bash
# Proves the unit and the Debian package under a real systemd, in a machine of its own:
# a container that boots twice, on a network with a client and a stranger.
#
#	                     +------ peer ------+        +------ machine ------+
#	client   10.1.0.2 ---|                  |  veth  | systemd, sshd       |
#	  knocks             | c0          eth0 |--------| nftknock's package  |
#	stranger 10.1.0.3 ---|                  |        |            10.1.0.1 |
#	  probes, always     +------------------+        +---------------------+
#
# test.sh prepares, machine.sh boots, inside/ is what is run: chroot.sh before the first
# boot, install.sh in it, reboot.sh in the second one.
#
# A root file system is made once, and kept in the user's cache. Everything else goes when
# this script ends. Needs root; installs the programs it needs through apt.
set -euo pipefail

skip() {
	echo "test-systemd: skipped: $*"
	exit 0
}

# Privileges are the one thing that may be missing.
[ "$(id -u)" = 0 ] || skip "needs root"
unshare --mount --net --pid --fork true 2>/dev/null || skip "may not make namespaces"
hierarchies=$(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts)
[ -n "$hierarchies" ] || skip "no cgroups here"
for hierarchy in $hierarchies; do
	[ -w "$hierarchy" ] || skip "may not make cgroups in $hierarchy"
done

cd "$(dirname "$0")/../.."
here=$PWD/integration/systemd

missing=()
for tool in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ip:iproute2; do
	command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} != 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The oldest systemd that the unit is for: 252. Other packages make another file system.
suite=bookworm
packages=systemd,systemd-sysv,dbus,nftables,iproute2,openssh-server
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nftknock
base=$cache/$suite-$(cksum <<<"$packages" | cut -d' ' -f1)

work=$(mktemp -d)
cgroups=() machine=
cleanup() {
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || true
	wait || true
	rm -rf "$work" "$base.$$"
	for cgroup in "${cgroups[@]}"; do
		# What was killed may take a moment to be gone.
		for _ in {1..50}; do
			find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
			sleep 0.1
		done
	done
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
mkdir "$work/e2e"

# The package, the same with a higher version, and the programs of the test.
build() {
	local deb
	VERSION=0~test1 ARCHES=$(dpkg --print-architecture) FORMATS=deb systemd/packages/build.sh "$work/e2e" >/dev/null 2>"$work/log" || {
		cat "$work/log"
		return 1
	}
	deb=$(echo "$work"/e2e/nftknock_*.deb)
	dpkg-deb --raw-extract "$deb" "$work/deb"
	sed -i 's/^Version:.*/Version: 0~test2/' "$work/deb/DEBIAN/control"
	dpkg-deb -Znone --build "$work/deb" "${deb/test1/test2}" >/dev/null
	CGO_ENABLED=0 go build -o "$work/e2e/" ./integration/systemd/prober ./integration/systemd/sandbox
}
build &
building=$!

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -d "$base" ]; then
	echo "making a root file system, to be kept in $base"
	mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt=force-unsafe-io "$suite" "$base.$$"
	mv "$base.$$" "$base"
fi
exec 9>&-

wait "$building"
cp "$here"/inside/* systemd/metrics.conf "$work/e2e/" # the machine keeps no documentation

# systemd-nspawn treats the cgroups that it runs in as its own.
for hierarchy in $hierarchies; do
	cgroup=$hierarchy/nftknock-test.$$
	mkdir "$cgroup"
	cgroups+=("$cgroup")
	# A cpuset begins empty, and takes nobody in like that.
	for file in cpuset.cpus cpuset.mems; do
		[ ! -f "$cgroup/$file" ] || cat "$hierarchy/$file" >"$cgroup/$file"
	done
done

# All that runs ends with the PID namespace, and all that is mounted or connected goes
# with the other two.
(
	for cgroup in "${cgroups[@]}"; do
		echo "$BASHPID" >"$cgroup/cgroup.procs"
	done
	exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
		"$here/machine.sh" "$base" "$work"
) &
machine=$!
wait "$machine"
machine=
echo "test-systemd: passed, in $SECONDS s"
