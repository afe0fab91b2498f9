#!/usr/bin/env bash
# The first boot: the package.
# shellcheck source-path=SCRIPTDIR source=../../systemd/inside/lib.sh
. /e2e/lib.sh

echo # the console does not begin with a new line
echo "kernel $(uname -r), $(nft --version), $(systemctl --version | head -n 1)"

sequence='[7011, "9035:udp", 8127]'
soon reached # without a gate the stranger is answered: the probes work
quietly dpkg --install /e2e/nftknock.deb
is ActiveState active
configure "$sequence"
systemctl reload $unit
sleep 0.5 # for answers that are on their way
mark
turned_away
knock 7011 9035:udp 8127
greeted
ok_shut "package: shut to everybody, and the client knocks and gets sshd's banner"

is NRestarts 0
systemctl kill --signal=KILL $unit
soon is NRestarts 1
soon is ActiveState active
greeted
ok_shut "package: killed, and back; the client stays in"

quietly systemctl enable nftables
systemctl start nftables
greeted
if [[ $(uname -r) == 5.10.* ]]; then # where no table can have an owner there is a gap
	soon logged "somebody else"
	sleep 0.5
	echo "package: $(($(answers $door) - door_mark)) of $(($(answers $control) - control_mark)) probes came in while nftables.service had flushed all rules"
	mark
fi
ok_shut "package: nftables.service has flushed all rules, and the gate stands"

echo yes >/e2e/passed-first
sync
