#!/usr/bin/env bash
# The network of the machine, and the other side of it: a namespace with a client, and a
# stranger who probes from before the machine's side is up. See ../../systemd/test.sh.
set -euo pipefail
ip netns add peer
touch /e2e/peer
mount --bind /run/netns/peer /e2e/peer
ip link add eth0 address 02:00:00:00:00:01 type veth peer name c0 netns peer
ip -n peer link set lo up
ip -n peer link set c0 up
ip -n peer address add 10.1.0.2/24 dev c0
ip -n peer address add 10.1.0.3/24 dev c0
ip -n peer neighbour replace 10.1.0.1 lladdr 02:00:00:00:00:01 nud permanent dev c0
# An emulated machine that is asked as often as a real one does nothing but answer.
setsid nsenter --net=/e2e/peer /e2e/prober -every 20ms 10.1.0.3 10.1.0.1 22 2222 >/e2e/answers </dev/null &
ip address add 10.1.0.1/24 dev eth0
ip link set eth0 up
