#!/usr/bin/env bash
# The machine of test.sh, and the network around it. To be run in a mount, network and PID
# namespace of its own: this network namespace is the peer.
#
#	machine.sh BASE WORK
#
# BASE is a root file system, and is only read. WORK is a directory; WORK/e2e is /e2e in
# the machine, the way in and out for scripts and results.
set -euo pipefail
base=$1 work=$2
root=$work/root e2e=$work/e2e
mac=02:00:00:00:00:01 # the machine's

# systemd-nspawn wants /run in memory. And of the host's systemd, if it has one, it had
# better not know.
mount -t tmpfs -o mode=0755 none /run

# What the machine writes is in memory, and lasts from one boot to the next.
mkdir "$work/memory" "$root"
mount -t tmpfs -o mode=0755 none "$work/memory"
mkdir "$work/memory/upper" "$work/memory/work"
mount -t overlay -o "lowerdir=$base,upperdir=$work/memory/upper,workdir=$work/memory/work" none "$root"

# For the scripts inside, which act for the peer too.
touch "$e2e/peer"
mount --bind /proc/self/ns/net "$e2e/peer"

"$e2e/chroot.sh" "$root" "$e2e"/nftknock_0~test1_*.deb

# Without one, the first boot would take itself for the first of a new installation, and
# enable every unit there is.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"

# A network that comes up as early as any may.
cat >"$root/etc/systemd/system/network-up.service" <<END
[Unit]
DefaultDependencies=no
Wants=network.target
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip link set eth0 address $mac
ExecStart=/bin/ip address add 10.1.0.1/24 dev eth0
ExecStart=/bin/ip link set eth0 up
END

# The machine goes down with the script, with its exit status.
cat >"$root/etc/systemd/system/e2e@.service" <<'END'
[Unit]
After=multi-user.target
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/e2e/%i.sh
StandardOutput=append:/e2e/output
StandardError=inherit
END

# The peer's end of the wire comes with the machine, and goes with it.
connect() {
	until ip link set c0 up 2>/dev/null; do sleep 0.01; done
	ip address add 10.1.0.2/24 dev c0
	ip address add 10.1.0.3/24 dev c0
	# No waiting for ARP: the first packet that can get through does.
	ip neighbour replace 10.1.0.1 lladdr "$mac" nud permanent dev c0
}

boot() {
	local status=0
	: >"$e2e/answers"
	: >"$e2e/output"
	connect &
	SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --foreground 180 systemd-nspawn --quiet --boot \
		--directory="$root" --machine=nftknock-test --bind="$e2e:/e2e" \
		--private-network --network-veth-extra=c0:eth0 \
		--register=no --keep-unit --link-journal=no --console=pipe \
		systemd.show_status=no systemd.wants=network-up.service "systemd.wants=e2e@$1.service" \
		</dev/null >"$work/console" 2>&1 || status=$?
	cat "$e2e/output"
	if [ "$status" != 0 ]; then
		cat "$work/console"
		echo "$1.sh: exit status $status" >&2
		exit 1
	fi
}

"$e2e/prober" 10.1.0.3 10.1.0.1 22 2222 >>"$e2e/answers" &
boot install
boot reboot
