#!/usr/bin/env bash
# Makes what a virtual machine of a Debian release boots from: its kernel, an initramfs that
# mounts the root file system, and that file system. Nothing of it is nftknock's.
#
#	image.sh SUITE DIRECTORY
#
# DIRECTORY gets vmlinuz, initramfs and root.img; it is there when all of it is.
set -euo pipefail
suite=$1 to=$2

packages=systemd,systemd-sysv,udev,dbus,nftables,iproute2,openssh-server,openssh-client,knockd,nmap,hping3,telnet,netcat-openbsd,wireguard-tools,procps,kmod,rsync,jq
work=$(mktemp -d)
trap 'rm -rf "$work" "$to.$$"' EXIT
mkdir -p "$to.$$"

# The kernel is unpacked and not installed: its scripts would make an initramfs that does too much.
unpack_kernel='set -e; mkdir "$1/kernel"; cd "$1/kernel"; export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
	image=$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)
	apt-get download -q "$image"; dpkg -x linux-image-*.deb .; rm linux-image-*.deb'
mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt=force-unsafe-io \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook="$unpack_kernel" "$suite" "$work/root"
root=$work/root

mv "$root"/kernel/boot/vmlinuz-* "$to.$$/vmlinuz"
modules=$(find "$root/kernel" -path '*lib/modules' -type d)
version=$(ls "$modules")
mkdir -p "$root/lib/modules" # through the link, where /lib is one
mv "$modules/$version" "$root/lib/modules/"
rm -r "$root/kernel"
depmod -b "$root" "$version"

# The test is on a disk of its own. What a fresh Debian does besides would only take time.
echo "/dev/vdb /e2e ext4 defaults 0 0" >"$root/etc/fstab"
mkdir "$root/e2e"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
for unit in e2scrub_reap.service e2scrub_all.timer fstrim.timer logrotate.timer man-db.timer apt-daily.timer \
	apt-daily-upgrade.timer dpkg-db-backup.timer systemd-logind.service getty.target systemd-timesyncd.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -f "$root"/etc/systemd/system/multi-user.target.wants/knockd.service

# Before the network is up, the other side of it is there: a namespace with a client and a
# stranger, who probes from then on.
cat >"$root/etc/systemd/system/network-up.service" <<'END'
[Unit]
DefaultDependencies=no
RequiresMountsFor=/e2e
Wants=network.target
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=none
ExecStart=/bin/bash /e2e/network.sh
END
# The machine goes down with the script.
cat >"$root/etc/systemd/system/e2e@.service" <<'END'
[Unit]
After=multi-user.target
RequiresMountsFor=/e2e
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart=/bin/bash /e2e/%i.sh
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
END

# The initramfs: busybox, and the modules that lead to the root file system.
mkdir -p "$work/initramfs"/{bin,dev,proc,sys,root,modules}
cp /bin/busybox "$work/initramfs/bin/"
for module in virtio_pci virtio_blk ext4; do
	modprobe --dirname "$root" --set-version "$version" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' >"$work/list"
number=100
while read -r file; do
	cp "$file" "$work/initramfs/modules/$((number++))-$(basename "$file")"
done <"$work/list"
cat >"$work/initramfs/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t devtmpfs none /dev
for module in /modules/*; do
	case $module in
	*.xz) xzcat "$module" >/module && insmod /module ;;
	*) insmod "$module" ;;
	esac
done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root
umount /proc
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
END
chmod 0755 "$work/initramfs/init"
(cd "$work/initramfs" && find . | cpio --quiet -o -H newc | gzip -1) >"$to.$$/initramfs"

mke2fs -q -t ext4 -d "$root" "$to.$$/root.img" 3G
mv "$to.$$" "$to"
