#!/usr/bin/env bash
# Builds the Debian package into a directory and prints the path of it. Everything that
# decides about the package is beside this script; the program writes its own man pages.
#
#   systemd/debian/build.sh [DIRECTORY]    bin/ unless it is given
#
#   VERSION=1.2.3    its version; otherwise from the tag in git
#   ARCH=arm64       the architecture, as Debian calls it; otherwise this machine's
#   DEBFULLNAME, DEBEMAIL    who answers for the package, as in debchange(1)
#
# The same commit makes the same package, bit by bit; without git, the same SOURCE_DATE_EPOCH.
set -euo pipefail
umask 022

out=$(realpath -m "${1:-$(dirname "$0")/../../bin}")
cd "$(dirname "$0")/../.."
here=systemd/debian

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

version=${VERSION:-$(version_from_git)}
arch=${ARCH:-$(dpkg --print-architecture)}
maintainer="${DEBFULLNAME:-nftknock maintainers} <${DEBEMAIL:-maintainers@nftknock.example}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

goarch=$arch goarm=
case $arch in
armhf) goarch=arm goarm=7 ;;
i386) goarch=386 ;;
ppc64el) goarch=ppc64le ;;
esac

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root docs=$tmp/docs
mkdir -p "$docs" "$root/DEBIAN"

put() { install -D -m "$1" "$2" "$root$3"; }
put_gz() {
	mkdir -p "$root${2%/*}"
	gzip -9nc "$1" >"$root$2"
}

for program in nftknockd nftknock; do
	CGO_ENABLED=0 GOOS=linux GOARCH=$goarch GOARM=$goarm go build -trimpath -ldflags='-s -w' -o "$tmp/$program" ./cmd/$program
	mkdir "$docs/$program"
	case $program in
	nftknockd) go run ./cmd/nftknockd/docs "$docs/$program" ;;
	*) go run ./cmd/$program docs "$docs/$program" ;;
	esac
	for page in "$docs/$program"/man?/*; do
		put_gz "$page" "/usr/share/man/${page#"$docs/$program"/}.gz"
	done
	put 0644 "$docs/$program/bash" /usr/share/bash-completion/completions/$program
	put 0644 "$docs/$program/zsh" /usr/share/zsh/vendor-completions/_$program
	put 0644 "$docs/$program/fish" /usr/share/fish/vendor_completions.d/$program.fish
done

put 0755 "$tmp/nftknockd" /usr/sbin/nftknockd
put 0755 "$tmp/nftknock" /usr/bin/nftknock
put 0644 systemd/nftknockd.service /usr/lib/systemd/system/nftknockd.service
put 0644 systemd/nftknock-hooks.service /usr/lib/systemd/system/nftknock-hooks.service
put 0644 systemd/nftknock-hooks.path /usr/lib/systemd/system/nftknock-hooks.path
put 0644 systemd/sysusers.d/nftknock.conf /usr/lib/sysusers.d/nftknock.conf
put 0644 systemd/tmpfiles.d/nftknock.conf /usr/lib/tmpfiles.d/nftknock.conf

# Nobody gets to read it before postinst has given it to the daemon's group.
put 0640 "$here/nftknockd.toml" /etc/nftknock/nftknockd.toml
chmod 0750 "$root/etc/nftknock"

doc=/usr/share/doc/nftknock
put 0644 "$here/copyright" $doc/copyright
put 0644 config/reference.toml $doc/examples/reference.toml
put 0644 config/profile/hosts.toml $doc/examples/hosts.toml
put 0644 systemd/metrics.conf $doc/examples/metrics.conf
put 0644 systemd/fail2ban/nftknockd.conf $doc/examples/fail2ban.conf
put 0644 cmd/nftknockd/alerts.yml $doc/examples/alerts.yml
put_gz cmd/nftknockd/CONTROL.md $doc/CONTROL.md.gz
put_gz README.md $doc/README.md.gz
put_gz CHANGELOG.md $doc/CHANGELOG.md.gz
cat >"$tmp/changelog" <<END
nftknock ($version) unstable; urgency=medium

  * What has changed: CHANGELOG.md.gz, beside this file.

 -- $maintainer  $(date -uR -d "@$SOURCE_DATE_EPOCH")
END
put_gz "$tmp/changelog" $doc/changelog.gz
put 0644 "$here/lintian-overrides" /usr/share/lintian/overrides/nftknock

(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@MAINTAINER@/$maintainer/; s/@SIZE@/$size/" \
	"$here/control" >"$root/DEBIAN/control"
install -m 0644 "$here/conffiles" "$root/DEBIAN"
install -m 0755 "$here/postinst" "$here/prerm" "$here/postrm" "$root/DEBIAN"

mkdir -p "$out"
deb=$out/nftknock_${version}_${arch}.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null
echo "$deb"
