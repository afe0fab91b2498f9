#!/usr/bin/env bash
# What is done with the packages of test.sh, in a mount, network and PID namespace.
#
#	inside.sh CACHE WORK REPOSITORY
set -Eeuo pipefail
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND"; [ ! -s "$work/said" ] || cat "$work/said"' ERR
cache=$1 work=$2 repo=$3
root=$work/root

ok() { echo "ok  $*"; }
fails() { ! "$@"; }
quietly() { "$@" >"$work/said" 2>&1; }
within() { quietly chroot "$root" "$@"; }

# world NAME: the file system of that name in the cache; what is written to it is in memory.
world() {
	mkdir -p "$work/memory" "$root"
	! mountpoint -q "$root/proc" || umount "$root/proc"
	! mountpoint -q "$root/dev" || umount --recursive "$root/dev"
	! mountpoint -q "$root" || umount "$root"
	! mountpoint -q "$work/memory" || umount "$work/memory"
	mount -t tmpfs none "$work/memory"
	mkdir "$work/memory/upper" "$work/memory/work"
	mount -t overlay -o "lowerdir=$cache/$1,upperdir=$work/memory/upper,workdir=$work/memory/work" none "$root"
	mkdir -p "$root/proc"
	mount -t proc none "$root/proc"
	mount --rbind /dev "$root/dev"
}

listing() { (cd "$root" && find . \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./var/log -o -path ./var/lib/rpm -o -path ./var/cache \) -prune -o -print | sort); }

# holds ROOT: mode, owner and path of each line; "-" is any owner.
holds() {
	local mode owner path got
	while read -r mode owner path; do
		got=$(chroot "$1" stat -c '%a %U:%G' "$path" 2>/dev/null || stat -c '%a %U:%G' "$1$path")
		[ "$got" = "$mode $owner" ] || [ "$owner" = - -a "${got% *}" = "$mode" ] || {
			echo "$path: $got, want $mode $owner"
			return 1
		}
	done
}

config=/etc/nftknock/nftknockd.toml
everywhere="
755 - /usr/bin/nftknock
644 - /usr/share/man/man1/nftknock.1.gz
644 - /usr/share/man/man5/nftknockd.toml.5.gz
644 - /usr/share/man/man8/nftknockd.8.gz
644 - /usr/share/bash-completion/completions/nftknock
644 - /usr/share/bash-completion/completions/nftknockd
644 - /usr/share/fish/vendor_completions.d/nftknockd.fish"
systemd="
644 - /usr/lib/systemd/system/nftknockd.service
644 - /usr/lib/systemd/system/nftknock-hooks.service
644 - /usr/lib/systemd/system/nftknock-fleet.service
644 - /usr/lib/systemd/system/nftknock-fleet.path
644 - /usr/lib/sysusers.d/nftknock.conf
644 - /usr/lib/tmpfiles.d/nftknock.conf"
secrets="
750 root:nftknock /etc/nftknock
640 root:nftknock $config"
# The file systems that are installed into keep no documentation.
packed="
644 - /usr/share/doc/nftknock/examples/reference.toml
750 - /etc/nftknock
640 - $config"
check() { holds "$1" <<<"$(sed '/^$/d' <<<"$2")"; }

for suite in ${SUITES:-bullseye bookworm trixie}; do
	world packages-$suite
	before=$(listing)
	cp "$work"/1/*.deb "$work"/2/*.deb "$root/tmp/"

	within dpkg --install /tmp/nftknock-client_0~test1_amd64.deb
	within /usr/bin/nftknock --version
	within dpkg --install --auto-deconfigure /tmp/nftknock_0~test1_amd64.deb
	fails within dpkg --status nftknock-client || fails grep -q 'Status: .* installed' "$work/said"
	check "$root" "$everywhere$systemd$secrets
755 root:root /usr/sbin/nftknockd
644 root:root /usr/share/zsh/vendor-completions/_nftknockd"
	within nftknockd check
	[ -L "$root/etc/systemd/system/sysinit.target.wants/nftknockd.service" ]
	fails within dpkg --install /tmp/nftknock-client_0~test1_amd64.deb # would remove the gate

	echo '# changed' >>"$root$config"
	within dpkg --install /tmp/nftknock_0~test2_amd64.deb
	tail -n1 "$root$config" | grep -qx '# changed'
	check "$root" "$secrets"

	within dpkg --remove nftknock
	[ -f "$root$config" ] && [ ! -e "$root/usr/sbin/nftknockd" ]
	within dpkg --purge nftknock
	diff <(echo "$before") <(listing)
	ok "$suite: .deb installed over the client's, upgraded, removed; purge leaves nothing"
done

world packages-bookworm
mkdir -p "$root/var/lib/rpm"
rpm_() { quietly rpm --root "$root" --dbpath /var/lib/rpm --nodeps "$@" && fails grep -i 'scriptlet failed\|error:' "$work/said"; }
rpm_ --install "$work"/1/nftknock-0~test1-1.x86_64.rpm
check "$root" "$everywhere$systemd$secrets
755 root:root /usr/sbin/nftknockd
644 root:root /usr/share/zsh/site-functions/_nftknockd"
within nftknockd check
echo '# changed' >>"$root$config"
rpm_ --upgrade "$work"/2/nftknock-0~test2-1.x86_64.rpm
tail -n1 "$root$config" | grep -qx '# changed'
check "$root" "$secrets"
[ "$(rpm --root "$root" --dbpath /var/lib/rpm --query nftknock)" = nftknock-0~test2-1.x86_64 ]
rpm_ --erase nftknock
[ -f "$root$config.rpmsave" ] && [ ! -e "$root/usr/sbin/nftknockd" ]
rpm_ --install "$work"/1/nftknock-client-0~test1-1.x86_64.rpm
within /usr/bin/nftknock --version
fails quietly rpm --root "$root" --dbpath /var/lib/rpm --test --install "$work"/1/nftknock-0~test1-1.x86_64.rpm
grep -q conflicts "$work/said"
rpm_ --erase nftknock-client
ok ".rpm: installed, upgraded and erased with its scriptlets; conflicts with the client's"

mkdir "$work/apk" "$work/arch"
tar -xzf "$work"/1/nftknock_*.apk -C "$work/apk" --warning=no-unknown-keyword
check "$work/apk" "$everywhere$packed
755 - /usr/sbin/nftknockd
755 - /etc/init.d/nftknockd
755 - /.pre-install
755 - /.post-install
755 - /.post-upgrade
755 - /.pre-deinstall"
[ ! -e "$work/apk/usr/lib/systemd" ]
grep -qx 'depend = !nftknock-client' "$work/apk/.PKGINFO"
ok ".apk: names and modes"

tar --zstd -xf "$work"/1/nftknock-0test1*.pkg.tar.zst -C "$work/arch"
check "$work/arch" "$everywhere$systemd$packed
755 - /usr/bin/nftknockd"
[ ! -e "$work/arch/usr/sbin" ]
fails grep -r /usr/sbin/ "$work/arch/usr/lib/systemd"
grep -qx 'backup = etc/nftknock/nftknockd.toml' "$work/arch/.PKGINFO"
bash -n "$work/arch/.INSTALL"
ok "Arch: names and modes"

# OpenRC, with the files of the .apk; its scripts run as Alpine's user tools would.
world packages-bookworm
cp -a "$work"/apk/{etc,usr} "$root/"
within groupadd --system nftknock
within useradd --system --gid nftknock --no-create-home --home-dir /dev/null nftknock
cp "$work/apk/.post-install" "$root/tmp/post-install"
within /tmp/post-install
check "$root" "$secrets"
# What openrc makes at boot; without a place for its locks a service is "already starting".
mkdir -p "$root"/run/openrc/{starting,started,stopping,stopped,inactive,wasinactive,failed,hotplugged,daemons,options,exclusive,scheduled,init.d,tmp}
touch "$root/run/openrc/softlevel"
rc() { within rc-service --nodeps nftknockd "$@"; }
daemon() { pgrep -x nftknockd; }
ip link set lo up 2>/dev/null || true

cat >>"$root$config" <<'END'
[door.ssh]
ports = [22]
sequence = [1111, "2222:udp", 3333]
END
rc start
pid=$(daemon)
grep -qx "CapEff:	0000000000001000" "/proc/$pid/status"
grep -qx "CapPrm:	0000000000001000" "/proc/$pid/status"
grep -qx "NoNewPrivs:	1" "/proc/$pid/status"
grep -q "^Uid:	$(chroot "$root" id -u nftknock)	" "/proc/$pid/status"
within nftknockd status
grep -q ssh "$work/said"
if command -v promtool >/dev/null; then
	curl -sS --fail --unix-socket "$root/run/nftknockd/control.sock" http://nftknockd/metrics >"$work/metrics"
	grep -q '^nftknock_' "$work/metrics"
	promtool check metrics <"$work/metrics"
	ok "promtool: $(grep -c '^# TYPE' "$work/metrics") metrics of the running daemon"
fi
cp -p "$root$config" "$work/good"
echo 'sequense = 1' >>"$root$config"
fails rc reload
rc restart || true # OpenRC says 0 of a restart that did not come to pass
grep -q sequense "$work/said"
[ "$(daemon)" = "$pid" ]
cp -p "$work/good" "$root$config"
rc reload
rc stop # not restart: OpenRC 0.45 marks a supervised service as stopped after it
rc start
[ "$(daemon)" != "$pid" ]
memory=$(sed -n 's/^VmRSS:[[:space:]]*//p' "/proc/$(daemon)/status")
rc stop
fails daemon >/dev/null
ok "OpenRC: not root, CAP_NET_ADMIN alone, $memory resident, program $(($(stat -c %s "$root/usr/sbin/nftknockd") / 1024)) kB; started, reloaded, stopped; a bad file costs nothing"

# The table as each release's nft shows it, the running daemon's and the printed one, which it
# loads, and loads again from its own listing.
daemon_of="$work/apk/usr/sbin/nftknockd"
cat >"$work/doors.toml" <<'END'
always_allow = ["192.0.2.0/24", "2001:db8::/48"]
[door.ssh]
ports = [22, "51820:udp"]
sequence = [7011, "9035:udp", 8127]
[door.web]
ports = [443]
sequence = [7311, "9135:udp", 8227]
shut = "reject"
END
chmod 600 "$work/doors.toml"
readable() { grep -q 'comment "knocks, TCP"' "$1" && fails grep -E '@(nh|th|ll|ih),|unknown' "$1"; }
# 0.9.8 leaves out which family an address has already said; counters have counted.
shown() { sed -E 's/meta nfproto ipv[46] //; s/packets [0-9]+ bytes [0-9]+//' "$1"; }
quietly "$daemon_of" ruleset -c "$work/doors.toml"
"$daemon_of" ruleset -c "$work/doors.toml" >"$work/ruleset" 2>/dev/null
quietly "$daemon_of" remove -c "$root$config" # what OpenRC's daemon has left
for suite in ${SUITES:-bullseye bookworm trixie}; do
	world nft-$suite
	mkdir "$work/state"
	"$daemon_of" run -c "$work/doors.toml" --state "$work/state" --socket "$work/control" 2>"$work/said" &
	pid=$!
	# The socket is there when the table is.
	timeout 20 sh -c 'until curl -sS --fail --unix-socket "$1" http://nftknockd/v1/status; do sleep 0.1; done' - "$work/control" >/dev/null 2>&1
	chroot "$root" nft list table inet nftknock >"$root/running"
	readable "$root/running"
	kill $pid && wait $pid
	quietly "$daemon_of" remove -c "$work/doors.toml"
	rm -rf "$work/state"

	cp "$work/ruleset" "$root/ruleset"
	within nft -f /ruleset
	chroot "$root" nft list table inet nftknock >"$root/listed"
	readable "$root/listed"
	within nft delete table inet nftknock
	within nft -f /listed
	chroot "$root" nft list table inet nftknock >"$root/again"
	diff <(shown "$root/listed") <(shown "$root/again")
	within nft delete table inet nftknock
	ok "$(chroot "$root" nft --version | cut -d' ' -f1-2): lists the daemon's table readably, loads what is printed and what it lists"
done

# OpenWrt's procd is not to be had: what it would be told.
procd=$(
	cd "$work" && mkdir -p etc/nftknock
	procd_open_instance() { echo open; }
	procd_close_instance() { echo close; }
	procd_set_param() { echo "$*"; }
	mkdir() { :; }
	chmod() { :; }
	# shellcheck source=/dev/null
	. "$repo/systemd/openwrt/nftknockd.init"
	start_service
)
grep -qx "command /usr/sbin/nftknockd run --config $config --state /etc/nftknock/state --socket /var/run/nftknockd/control.sock" <<<"$procd"
[ "$(head -n1 <<<"$procd") $(tail -n1 <<<"$procd")" = "open close" ]
ok "procd: the script's instance, by a shell harness"
