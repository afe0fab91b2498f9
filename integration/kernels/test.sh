#!/usr/bin/env bash
# Proves the gate on the kernels that people run, each with its own release's programs, in a
# virtual machine. It is emulated, which works everywhere; with ACCEL=kvm it is faster where that works.
#
#	KERNELS="5.10 6.1 6.12" integration/kernels/test.sh
#
# FULL=1 runs all tests that fit into such a machine, which takes twice as long.
#
# image.sh makes what a machine boots from, once: it is kept in the user's cache. inside/ is
# what is run there: first.sh, and second.sh with tests.sh after a reboot.
set -euo pipefail

declare -A suites=([5.10]=bullseye [6.1]=bookworm [6.12]=trixie)
kernels=${KERNELS:-6.1 6.12 5.10} # those that take longest first
for kernel in $kernels; do
	[ -n "${suites[$kernel]:-}" ] || {
		echo "KERNELS: $kernel is none of ${!suites[*]}" >&2
		exit 2
	}
done

[ "$(id -u)" = 0 ] || {
	echo "test-kernels: skipped: needs root"
	exit 0
}
cd "$(dirname "$0")/../.."
here=$PWD/integration/kernels

missing=()
for tool in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap busybox:busybox-static cpio:cpio \
	mke2fs:e2fsprogs debugfs:e2fsprogs depmod:kmod; do
	command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} != 0 ]; then
	echo "installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nftknock
recipe=$(cksum <"$here/image.sh" | cut -d' ' -f1) # another recipe makes another image
work=$(mktemp -d)
trap 'for pid in $(jobs -p); do kill -- "-$pid" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# What goes in.
in=$work/in
mkdir -p "$in"/{nft,functional,life}
export CGO_ENABLED=0
go build -o "$in/" ./cmd/nftknockd ./cmd/nftknock ./integration/systemd/prober
for package in nft integration/functional integration/life; do
	go test -c -o "$in/${package##*/}.test" "./$package"
	[ ! -d "$package/testdata" ] || cp -r "$package/testdata" "$in/${package##*/}/"
done
VERSION=0~test ARCHES=amd64 FORMATS=deb systemd/packages/build.sh "$work/packages" >/dev/null
cp "$work"/packages/nftknock_*.deb "$in/nftknock.deb"
[ -z "${FULL:-}" ] || touch "$in/full"
cp "$here"/inside/* integration/systemd/inside/lib.sh "$in/"

# boot KERNEL SCRIPT: runs the script in the machine, and shows what it says. The machine has one
# processor: with two, one that is emulated may hang where the kernel changes its own code.
boot() {
	local dir=$work/$1
	timeout --foreground "${TIMEOUT:-600}" qemu-system-x86_64 -machine q35,accel="${ACCEL:-tcg}" -cpu "${CPU:-max}" -smp 1 -m 1024 \
		-nodefaults -nographic -no-reboot -nic none -device virtio-rng-pci -serial "file:$dir/console" \
		-drive "file=$dir/root.img,format=raw,if=virtio,cache=unsafe" \
		-drive "file=$dir/e2e.img,format=raw,if=virtio,cache=unsafe" \
		-kernel "$dir/vmlinuz" -initrd "$dir/initramfs" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on net.ifnames=0 systemd.show_status=no \
systemd.wants=network-up.service systemd.wants=e2e@$2.service" </dev/null >"$dir/qemu" 2>&1 || true
	tr -d '\r' <"$dir/console" >"$dir/said"
	grep -E '^(ok|kernel|package|FAILED)' "$dir/said" || true
	debugfs -R "cat /passed-$2" "$dir/e2e.img" 2>/dev/null | grep -q yes || {
		cat "$dir/qemu"
		grep -B 80 -A 60 -m 1 '^FAILED' "$dir/said" || tail -n 150 "$dir/said"
		echo "$2 failed"
		return 1
	}
}

# prove KERNEL: in a machine that is like new.
prove() {
	local kernel=$1 begin=$SECONDS
	local image=$cache/vm-${suites[$kernel]}-$recipe
	if [ ! -d "$image" ]; then
		echo "making a machine, to be kept in $image"
		"$here/image.sh" "${suites[$kernel]}" "$image"
	fi
	mkdir "$work/$kernel"
	cp --sparse=always "$image"/* "$work/$kernel/"
	mke2fs -q -t ext4 -d "$in" "$work/$kernel/e2e.img" 512M >/dev/null
	boot "$kernel" first
	boot "$kernel" second
	rm -rf "${work:?}/$kernel"
	echo "passed, in $((SECONDS - begin)) s"
}

# As many at once as there are processors. Each is a process group, which ends with this script.
set -m
pids=()
for kernel in $kernels; do
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n || true # what became of it is asked below
	{ prove "$kernel" 2>&1 | sed -u "s/^/Linux $kernel: /"; } &
	pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done
exit "$failed"
