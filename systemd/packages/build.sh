#!/usr/bin/env bash
# Builds packages into a directory, with a bill of materials for each program and the
# checksums of everything, and prints their paths. What is in the packages: server.yaml
# and client.yaml.
#
#   systemd/packages/build.sh [DIRECTORY]    bin/packages/ unless it is given
#
#   VERSION=1.2.3              their version, as Debian writes it; otherwise from the tag in git
#   ARCHES="amd64 armhf"       which architectures, as Debian calls them
#   FORMATS="deb rpm"          which of deb, rpm, apk, archlinux
#   DEBFULLNAME, DEBEMAIL      who answers for the packages, as in debchange(1)
#
# The same commit makes the same files, bit by bit; without git, the same SOURCE_DATE_EPOCH.
set -euo pipefail
umask 022

out=$(realpath -m "${1:-$(dirname "$0")/../../bin/packages}")
cd "$(dirname "$0")/../.."

# v1.2.3 is 1.2.3, four commits later it is 1.2.3+4.gabcdef; v1.2.3-rc.1 is 1.2.3~rc.1, which
# is before 1.2.3. Without any tag the day of the commit puts versions in order, and
# the 0~ before every release.
version_from_git() {
	local v
	if v=$(git describe --tags --match 'v[0-9]*' --dirty=+dirty 2>/dev/null); then
		sed -E 's/^v//; s/-([0-9]+)-g/+\1.g/; s/-/~/g' <<<"$v"
	elif v=$(git log -1 --date=format:%Y%m%d --format=0~%cd.g%h 2>/dev/null); then
		git diff --quiet HEAD && echo "$v" || echo "$v+dirty"
	else
		echo "build.sh: no git history to take the version from: give VERSION=" >&2
		return 1
	fi
}

# version_for FORMAT: rpm knows Debian's "~", which is before everything; pacman takes letters
# for it, and apk its own suffixes.
version_for() {
	case $1 in
	deb | rpm) echo "$version" ;;
	apk) sed -E 's/~([0-9]{8}).*/_pre\1/; s/~rc\.?/_rc/; s/~.*/_pre0/; s/\+([0-9]+).*/_p\1/; s/\+.*//' <<<"$version" ;;
	archlinux) sed -E 's/~([0-9])/pre\1/; s/~//g; s/\+([0-9])/.r\1/; s/[+-]/./g' <<<"$version" ;;
	esac
}

# The Go and nfpm names of an architecture that Debian calls $1.
goarch() {
	case $1 in
	armhf) echo arm ;;
	i386) echo 386 ;;
	ppc64el) echo ppc64le ;;
	*) echo "$1" ;;
	esac
}

version=${VERSION:-$(version_from_git)}
read -ra arches <<<"${ARCHES:-amd64 arm64 armhf riscv64 ppc64el s390x}"
read -ra formats <<<"${FORMATS:-deb rpm apk archlinux}"
MAINTAINER="${DEBFULLNAME:-nftknock maintainers} <${DEBEMAIL:-maintainers@nftknock.example}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export MAINTAINER SOURCE_DATE_EPOCH

nfpm=$(go tool -C systemd/packages -n nfpm)

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ln -s "$PWD" "$tmp/repo"
build=$tmp/build
mkdir -p "$build"/{doc,arch,scripts,man,complete/{bash,zsh,fish},debian/{nftknock,nftknock-client}} "$tmp/out"
go -C systemd/packages build -o "$tmp/sbom" ./sbom

for program in nftknockd nftknock; do
	docs=$tmp/docs/$program
	mkdir -p "$docs"
	go run "./cmd/$program/docs" "$docs"
	for page in "$docs"/man?/*; do
		gz=$build/man/$program${page#"$docs"}.gz
		mkdir -p "${gz%/*}"
		gzip -9nc "$page" >"$gz"
	done
	install -m 0644 "$docs/bash" "$build/complete/bash/$program"
	install -m 0644 "$docs/zsh" "$build/complete/zsh/_$program"
	install -m 0644 "$docs/fish" "$build/complete/fish/$program.fish"
done
for page in cmd/nftknockd/CONTROL.md README.md CHANGELOG.md; do
	gzip -9nc $page >"$build/doc/${page##*/}.gz"
done
for package in nftknock nftknock-client; do
	gzip -9nc >"$build/debian/$package/changelog.gz" <<-END
		$package ($version) unstable; urgency=medium

		  * See CHANGELOG.md of the source for what has changed.

		 -- $MAINTAINER  $(date -uR -d "@$SOURCE_DATE_EPOCH")
	END
done
scripts=systemd/packages/scripts
install -m 0755 systemd/debian/{postinst,prerm,postrm} "$build/debian"
install -m 0755 $scripts/* "$build/scripts"
cat $scripts/rpm-post $scripts/restart >"$build/scripts/rpm-post"
cat $scripts/rpm-preun $scripts/remove >"$build/scripts/rpm-preun"
for unit in systemd/*.service; do
	sed 's,/usr/sbin/,/usr/bin/,g' "$unit" >"$build/arch/${unit##*/}"
done
# Every file has the time of the commit, and none that of its making.
find "$build" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# --version tells the commit, whatever GOFLAGS says, if git can tell it.
vcs=false
! git rev-parse HEAD >/dev/null 2>&1 || vcs=auto

for arch in "${arches[@]}"; do
	for program in nftknockd nftknock; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$(goarch "$arch") GOARM=7 go build -buildvcs=$vcs -trimpath -ldflags='-s -w' -o "$build/$program" ./cmd/$program
		"$tmp/sbom" "$version" "$build/$program" >"$tmp/out/${program}_${version}_$arch.cdx.json"
	done
	touch --date="@$SOURCE_DATE_EPOCH" "$build/nftknockd" "$build/nftknock"
	NFPM_ARCH=$(goarch "$arch")
	NFPM_ARCH=${NFPM_ARCH/%arm/arm7}
	export NFPM_ARCH
	for format in "${formats[@]}"; do
		NFPM_VERSION=$(version_for "$format") NFPM_RELEASE=
		[ "$format" != apk ] || NFPM_RELEASE=0
		export NFPM_VERSION NFPM_RELEASE
		for package in server client; do
			(cd "$tmp" && "$nfpm" package --config "repo/systemd/packages/$package.yaml" --packager "$format" --target out/ >&2)
		done
	done
done

mkdir -p "$out"
cd "$tmp/out"
LC_ALL=C
sha256sum -- * >"$tmp/SHA256SUMS"
mv "$tmp/SHA256SUMS" .
for file in *; do
	mv "$file" "$out/"
	echo "$out/$file"
done
