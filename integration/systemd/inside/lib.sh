# What install.sh and reboot.sh have in common.
# shellcheck shell=bash

set -Eeuo pipefail
trap 'failed "$LINENO" "$BASH_COMMAND"' ERR

unit=nftknockd.service
config=/etc/nftknock/nftknockd.toml

failed() {
	echo "FAILED in line $1: $2"
	systemctl --no-pager status "$unit" || true
	journalctl --no-pager --boot --unit="$unit" --lines=20
	journalctl --no-pager --boot --lines=40
	nft list ruleset
	exit 1
}

ok() { echo "ok  $*"; }

# fails COMMAND: which must not succeed.
fails() { ! "$@"; }

# quietly COMMAND: says what it said only if it fails.
quietly() {
	"$@" >/tmp/said 2>&1 || {
		cat /tmp/said
		return 1
	}
}

# soon COMMAND: waits until it succeeds.
soon() {
	local end=$((SECONDS + 10))
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

property() { systemctl show --property="$1" --value "${2:-$unit}"; }
is() { [ "$(property "$1")" = "$2" ]; }
is_not() { ! is "$@"; }
logged() { journalctl --boot --unit="$unit" --grep="$1" --quiet >/dev/null; }

# configure SEQUENCE: uncomments the door of the package's configuration, as its
# comments tell an administrator to.
configure() {
	sed -i -E "s/^#?(\[door\.ssh\]|ports =.*)/\1/
		s/^#?sequence =.*/sequence = $1/
		s/^#?open_timeout =.*/open_timeout = \"1h\"/" "$config"
}

# peer COMMAND: on the other side of the network.
peer() { nsenter --net=/e2e/peer "$@"; }

# knock PORT...: as the client, with nothing but a shell.
knock() {
	# shellcheck disable=SC2016 # for the shell over there
	peer bash -c 'for port; do
		case $port in
		*:udp) echo >"/dev/udp/10.1.0.1/${port%:udp}" ;;
		*) : <"/dev/tcp/10.1.0.1/$port" ;;
		esac
	done 2>/dev/null; true' bash "$@"
}

# greeting SECONDS: sshd says its banner to the client within them.
greeting() {
	# shellcheck disable=SC2016
	peer timeout "$1" bash -c 'read -r line </dev/tcp/10.1.0.1/22 && [[ $line == SSH-2.0-* ]]' 2>/dev/null
}
greeted() { greeting 5; }
turned_away() { fails greeting 0.5; }

# How many probes of a port have been answered to the stranger. The control port, which
# nobody guards, is probed as often as the door.
door=22 control=2222
answers() { grep -c "^$1 " /e2e/answers || true; }

door_mark=0 control_mark=0
mark() { door_mark=$(answers $door) control_mark=$(answers $control); }

probed() { (($(answers $control) > control_mark)); }
reached() { (($(answers $door) > door_mark)); }

# ok_shut TEXT: and nothing has got through to the stranger since the mark.
ok_shut() {
	soon probed
	fails reached
	ok "$*; none of $(($(answers $control) - control_mark)) probes answered"
	mark
}
