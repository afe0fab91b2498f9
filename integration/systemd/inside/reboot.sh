#!/usr/bin/env bash
# The second boot: shut from the first packet. Then the package is removed and purged.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /e2e/lib.sh

nftables=$(property ActiveEnterTimestampMonotonic nftables.service)
ready=$(property ActiveEnterTimestampMonotonic)
network=$(property ActiveEnterTimestampMonotonic network-pre.target)
first=$(awk -v port=$control '$1 == port { print $2; exit }' /e2e/answers)
((0 < nftables && nftables < ready && ready < network && network < first))
ok_shut "booted with a bad file: the door was shut $(((first - ready) / 1000)) ms before the first packet of the network"
is NRestarts 0
[[ $(property StatusText) == "degraded: guarding by the last good configuration: "*sequense* ]]
[[ $(nftknockd status) == "degraded: guarding by the last good configuration: "*sequense* ]]
logged 'guarding by the last good configuration'

turned_away # who was in before
knock 7035 8127 9035 # of the last configuration in install.sh
greeted
ok_shut "the client knocks again and gets sshd's banner"

cp -p /root/good $config
guarding() { [[ $(property StatusText) == "guarding, "* ]]; }
soon guarding
logged 'recovered'
greeted
ok_shut "the file is good again, and in force by itself"
# Removal does not depend on the file.
echo 'sequense = 1' >>$config

quietly dpkg --remove nftknock
fails nft list table inet nftknock 2>/dev/null
soon reached
[ -e $config ]
is LoadState not-found
ok "removed, with a bad file: the table is gone, everybody is reached again; the configuration stays"
cp -p /root/good $config

quietly dpkg --install /e2e/nftknock_0~test2_*.deb
sleep 0.1 # for answers that are on their way
mark
turned_away
ok_shut "installed again: shut, with the configuration that stayed"

quietly dpkg --purge nftknock
soon reached
fails nft list table inet nftknock 2>/dev/null
fails getent passwd nftknock
fails getent group nftknock
[ -z "$(find / -xdev -name '*nftknock*' -not -path '/tmp/*')" ]
ok "purged: nothing is left"
