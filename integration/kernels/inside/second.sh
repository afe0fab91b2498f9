#!/usr/bin/env bash
# The second boot: shut from the first packet of the network; then the tests.
# shellcheck source-path=SCRIPTDIR source=../../systemd/inside/lib.sh
. /e2e/lib.sh

echo # the console does not begin with a new line

ready=$(property ActiveEnterTimestampMonotonic)
network=$(property ActiveEnterTimestampMonotonic network-pre.target)
first=$(awk -v port=$control '$1 == port { print $2; exit }' /e2e/answers)
((0 < ready && ready < network && network < first))
ok_shut "rebooted: shut $(((first - ready) / 1000)) ms before the first packet of the network"

turned_away # who was in before
knock 7011 9035:udp 8127
greeted
ok_shut "rebooted: the client knocks again and gets sshd's banner"

quietly dpkg --purge nftknock
fails nft list table inet nftknock 2>/dev/null
soon reached
ok "purged: the table is gone"

. /e2e/tests.sh

echo yes >/e2e/passed-second
sync
