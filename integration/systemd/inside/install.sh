#!/usr/bin/env bash
# The first boot: the package is installed, configured, mistreated and upgraded.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /e2e/lib.sh

sequence='[7011, "9035:udp", 8127]'
knocks='7011 9035:udp 8127'

soon reached # without a gate the stranger is answered: the probes work

began=$(date +%s%3N)
quietly dpkg --install /e2e/nftknock_0~test1_*.deb
is ActiveState active
is UnitFileState enabled
[[ $(property StatusText) == *"no door"* ]]
mark
soon reached
greeted
ok "installed: running, enabled, and with no door nobody is locked out"
installed=$(date +%s%3N)

[ "$(stat -c '%a %U:%G' /etc/nftknock $config)" = $'750 root:nftknock\n640 root:nftknock' ]
fails runuser -u nobody -- cat $config 2>/dev/null
[ -z "$(systemd-analyze verify --man=no $unit 2>&1)" ]
quietly systemd-analyze security --no-pager --offline=true --threshold=11 $unit
ok "configuration readable by root and the daemon only; unit verified, exposure" \
	"$(grep -oE 'level for .*: [0-9.]+' /tmp/said | grep -oE '[0-9.]+$')"

# Three commands, with the install: nothing is left to do.
cp -p $config /tmp/empty
began=$(($(date +%s%3N) - (installed - began)))
nftknockd init --host 10.1.0.1 >/tmp/client 2>/dev/null
nftknockd trial >/tmp/trial 2>&1 &
trial=$!
soon grep -q 'on trial' /tmp/trial
sleep 0.1 # for answers that are on their way
mark
# shellcheck disable=SC2046 # ports, separated by spaces
knock $(sed -nE 's/^sequence *= \[(.*)\]/\1/p' /tmp/client | tr -d ,)
greeted
took=$(($(date +%s%3N) - began))
wait $trial
[ "$(stat -c '%a %U:%G' $config)" = '640 root:nftknock' ]
grep -q '^# What nftknockd guards' $config
grep -qx guarding <(nftknockd status | head -1)
is UnitFileState enabled
ok_shut "install, init and trial: a first knocked login after $took ms of them; guarded from boot on"
cp -p /tmp/empty $config
systemctl reload $unit

configure "$sequence"
chmod 600 $config
fails nftknockd check >/tmp/said 2>&1
grep -q 'chgrp nftknock /etc/nftknock/nftknockd.toml && chmod 640' /tmp/said
chmod 640 $config
nftknockd check --explain | grep >/dev/null 'Door ssh guards TCP port 22'
cp -p $config /tmp/good
nftknockd otp new ssh --no-qr >/dev/null
[ "$(stat -c '%a %U:%G' /etc/nftknock/ssh.otp)" = '600 nftknock:nftknock' ]
# Written by hand, a secret is root's until tmpfiles has seen it.
chown root:root /etc/nftknock/ssh.otp
systemd-tmpfiles --create nftknock.conf
printf '[door.code]\nports = [2223]\notp_secret_file = "ssh.otp"\notp_base = 20000\n' >>$config
quietly runuser -u nftknock -- nftknockd otp show code
cp -p /tmp/good $config
ok "the daemon can read the secret of one-time codes, and nobody else"

systemctl reload $unit
sleep 0.1 # for answers that are on their way
mark
turned_away
ok_shut "reload with a door: shut to everybody"

# shellcheck disable=SC2086 # ports, separated by spaces
knock $knocks
greeted
ok_shut "the client knocks and gets sshd's banner"

# This connection has to outlive everything that follows.
# shellcheck disable=SC2016
coproc held { peer bash -c 'exec 3<>/dev/tcp/10.1.0.1/22
	read -r _ <&3 && echo up
	read -r _ && printf "SSH-2.0-test\r\n" >&3 && head -c 4 <&3 | wc -c'; }
read -r line <&"${held[0]}"
[ "$line" = up ]

pid=$(property MainPID)
status=$(grep -E '^(Uid|Cap[A-Z][a-z]+|NoNewPrivs|Seccomp|Groups):' "/proc/$pid/status" | tr -s '\t ' ' ')
id=$(id -u nftknock)
for line in "Uid: $id $id $id $id" "CapEff: 0000000000001000" "CapPrm: 0000000000001000" \
	"CapBnd: 0000000000001000" "NoNewPrivs: 1" "Seccomp: 2"; do
	grep -qxF "$line" <<<"$status"
done
ok "the daemon is not root, has CAP_NET_ADMIN alone, no new privileges, seccomp"

# The unit with another program in the daemon's place, once.
sed -E -e 's|^ExecStart=.*|ExecStart=/usr/sbin/nftknockd refused\nBindReadOnlyPaths=/e2e/sandbox:/usr/sbin/nftknockd|' \
	-e 's/^Type=.*/Type=oneshot/; s/^(RuntimeDirectoryPreserve)=.*/\1=yes/; /^(WatchdogSec|Restart|ExecReload)=/d' \
	"/lib/systemd/system/$unit" >/run/systemd/system/sandbox.service
quietly /e2e/sandbox allowed
systemctl start sandbox || {
	journalctl --no-pager --unit=sandbox
	false
}
rm /run/systemd/system/sandbox.service
ok "the sandbox refuses what root without it may, and not what the daemon needs"

cp -p $config /tmp/good
echo 'sequense = 1' >>$config
fails systemctl reload $unit 2>/dev/null
is ActiveState active
is MainPID "$pid"
logged "sequense"
greeted
cp -p /tmp/good $config
ok_shut "reload of a bad file fails, says why, and the old one stays in force"

for port in 7031 7032 7033 7034 7035; do
	configure "[$port, 8127, 9035]"
	systemctl reload $unit
	nft list table inet nftknock | grep >/dev/null "$port"
done
is MainPID "$pid"
greeted
ok_shut "reload is done when systemctl returns; the client stays in"

for n in 1 2 3; do
	systemctl kill --signal=KILL $unit
	soon is NRestarts $n
	soon is ActiveState active
	greeted
done
ok_shut "killed three times: back each time; the client stays in"

logged_as() { journalctl --boot --unit="$unit" --priority="$1" --grep="$2" --quiet >/dev/null; }
logged_as err 'reload refused'
fails logged_as err 'granted'
socket=/run/nftknockd/control.sock
[ "$(stat -c '%a %U' $socket)" = '600 nftknock' ]
fails runuser -u nobody -- nftknockd status 2>/dev/null
nftknockd open ssh 192.0.2.7 --for 2h >/dev/null
nftknockd status | grep -E >/dev/null '^ssh +192\.0\.2\.7 +admin .* (1h59m|2h0m)$'
nftknockd close ssh 192.0.2.7 >/dev/null
fails grep -q 192.0.2.7 <(nftknockd status)
ok_shut "root asks at the control socket, nobody else; the journal knows priorities"

[ "$(property ActiveState nftknock-hooks)" = inactive ]
cp -p $config /tmp/good
cat >>$config <<'END'
[hook.test]
on = ["granted", "expired"]
run = ["/bin/sh", "-c", 'echo "{event} {source} $(id -un) $(cat /etc/nftknock/nftknockd.toml 2>&1 | wc -l)" >>/var/lib/nftknock-hooks/ran']
END
ran() { grep -qxF "$1 nftknock-hooks 1" /var/lib/nftknock-hooks/ran; }
systemctl reload $unit
runs_hooks() { [ "$(property ActiveState nftknock-hooks)" = active ]; }
soon runs_hooks
[ "$(stat -c '%a %U:%G' /run/nftknock-hooks /run/nftknock-hooks/events.sock)" = $'2750 nftknock:nftknock-hooks\n660 nftknock:nftknock-hooks' ]
fails runuser -u nobody -- nftknockd hooks --state /tmp/nobody 2>/dev/null
fails runuser -u nftknock-hooks -- nftknockd open ssh 192.0.2.8 --socket /run/nftknock-hooks/events.sock 2>/dev/null
nftknockd open ssh 192.0.2.8 --for 1 >/dev/null
soon ran 'granted 192.0.2.8'
soon ran 'expired 192.0.2.8'
nftknockd open ssh 192.0.2.9 --for 1h >/dev/null
systemctl kill --signal=KILL nftknock-hooks $unit
soon is ActiveState active
soon runs_hooks
soon ran 'granted 192.0.2.9'
cp -p /tmp/good $config
systemctl reload $unit
rests() { [ "$(property ActiveState nftknock-hooks)" = inactive ]; }
soon rests
ok_shut "hooks run as their own user, also after a kill, and while there are any:" \
	"exposure $(systemd-analyze security --no-pager --offline=true nftknock-hooks.service | grep -oE 'level for .*: [0-9.]+' | grep -oE '[0-9.]+$')"

[ "$(property ActiveState nftknock-fleet)" = inactive ]
(umask 077 && head -c 32 /dev/urandom | base64 >/etc/nftknock/fleet.key)
systemd-tmpfiles --create nftknock.conf
printf '[fleet]\nurl = "nats://192.0.2.1:4222"\nkey_file = "fleet.key"\ngroup = "test"\n' >>$config
systemctl reload $unit
shares() { [ "$(property ActiveState nftknock-fleet)" = active ]; } # though NATS is nowhere
soon shares
alone() { nftknockd status | grep -q '^fleet test: not connected to NATS: this gate works alone$'; }
soon alone
[ "$(stat -c '%a %U:%G' /run/nftknock-fleet /run/nftknock-fleet/fleet.sock)" = $'2750 nftknock:nftknock-fleet\n660 nftknock:nftknock-fleet' ]
fails runuser -u nftknock-fleet -- nftknockd open ssh 192.0.2.8 --socket /run/nftknock-fleet/fleet.sock 2>/dev/null
cp -p /tmp/good $config
systemctl reload $unit
unshared() { [ "$(property ActiveState nftknock-fleet)" = inactive ]; }
soon unshared
rm /etc/nftknock/fleet.key # the administrator's, and so not the package's to remove
ok_shut "a fleet is shared by a user of its own, while there is one:" \
	"exposure $(systemd-analyze security --no-pager --offline=true nftknock-fleet.service | grep -oE 'level for .*: [0-9.]+' | grep -oE '[0-9.]+$')"

metrics() {
	exec 4<>/dev/tcp/127.0.0.1/9722 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&4 && grep -q "^$1" <&4
} 2>/dev/null
cp -p $config /tmp/good
printf '[metrics]\nlisten = "127.0.0.1:9722"\n' >>$config
fails systemctl reload $unit 2>/dev/null # only a restart listens elsewhere
systemctl restart $unit
fails metrics nftknock
logged 'no metrics are shown'
greeted
mkdir -p /run/systemd/system/$unit.d
cp /e2e/metrics.conf /run/systemd/system/$unit.d/
systemctl daemon-reload
systemctl restart $unit
metrics 'nftknock_healthy 1'
rm -r /run/systemd/system/$unit.d
cp -p /tmp/good $config
systemctl daemon-reload
systemctl restart $unit
greeted
ok_shut "metrics over TCP: where the drop-in allows it; without it the daemon guards all the same"

# Its rules begin with "flush ruleset". In the next boot it has to come first.
quietly systemctl enable --now nftables
systemctl restart nftables
greeted
ok_shut "nftables.service started and restarted: the door stays shut; the client stays in"

mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=1s\n' >/run/systemd/system/$unit.d/e2e.conf
systemctl daemon-reload
systemctl restart $unit
pid=$(property MainPID)
systemctl kill --signal=STOP $unit
soon is_not MainPID "$pid"
soon is ActiveState active
logged "Watchdog timeout"
rm -r /run/systemd/system/$unit.d
systemctl daemon-reload
greeted
ok_shut "hung: the watchdog starts it anew; the client stays in"

systemctl stop $unit
greeted
systemctl start $unit
ok_shut "stopped: the door stays shut; the client stays in"

pid=$(property MainPID)
quietly dpkg --install /e2e/nftknock_0~test2_*.deb
is ActiveState active
is_not MainPID "$pid"
greeted
ok_shut "upgraded: the new one runs; the client stays in"

pid=$(property MainPID)
cp -p $config /tmp/good
echo 'sequense = 1' >>$config
fails dpkg --install /e2e/nftknock_0~test1_*.deb >/dev/null 2>&1
is MainPID "$pid"
cp -p /tmp/good $config
quietly dpkg --configure nftknock
is_not MainPID "$pid"
ok_shut "a version that does not understand the configuration leaves the old one running"

echo >&"${held[1]}"
read -r line <&"${held[0]}"
[ "$line" = 4 ] # bytes of sshd's answer
ok "the connection from the beginning is still up"

# No log line shows a sequence.
fails logged 'msg=.*\b(7011|9035|8127|703[1-5])\b'

# The machine goes down with a mistake in the file.
cp -p $config /root/good
echo 'sequense = 1' >>$config
