package migrate

import (
	"fmt"
	"strings"
	"testing"
)

// Each form of a command, and what it does: "+" opens and "-" closes ports, for a
// time if one stands there, "notes" if a door does something else; or what the error
// says.
var commandTests = []struct{ command, want string }{
	// iptables, as the tutorials write it.
	{"/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "+[22]"},
	{"/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "-[22]"},
	{"/usr/sbin/iptables -I INPUT 1 -s %IP% -p tcp --dport 22 -j ACCEPT", "+[22]"},
	{"/sbin/iptables -I INPUT -s %IP% -p tcp --dport ssh -j ACCEPT", "+[22]"},
	{"iptables -w 5 -A INPUT -s %IP% -p tcp -m tcp --dport 22 --syn -m state --state NEW,ESTABLISHED -j ACCEPT", "+[22]"},
	{"iptables --append INPUT --source=%IP% --protocol udp --destination-port 1194 --jump ACCEPT", "+[1194:udp]"},
	{"ip6tables -A INPUT -s %IP% -p tcp -m multiport --dports 80,443 -m comment --comment 'by knockd' -j ACCEPT", "+[80 443]"},
	{"sudo -n iptables -A INPUT -s %IP% -p tcp --dport 6000:6002 -j ACCEPT", "+[6000 6001 6002]"},
	{"iptables -D INPUT -s %IP% -p tcp --dport 22 -j DROP", "+[22]"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j REJECT", "-[22]"},
	{"iptables -A INPUT -s %IP% -p tcp --syn -j ACCEPT", "+[]"},
	{"iptables -A INPUT -s %IP%/24 -i eth0 -d 192.0.2.1 --dport 22 -j ACCEPT", "+[22] notes"},
	{"iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "+[22] notes"},
	{"iptables -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT", "not for who has knocked"},
	{"iptables -D INPUT 1", "is not understood"},
	{"iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT", "chain FORWARD"},
	{"iptables -t nat -A PREROUTING -s %IP% -p tcp --dport 22 -j REDIRECT", "+[22] notes"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -m recent --set -j ACCEPT", "+[22]"},
	{"iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j DROP", "is not understood"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 1:65535 -j ACCEPT", "a door names its ports"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 0 -j ACCEPT", "is no port"},
	{"iptables -A INPUT -s %IP% -p gre --dport 1 -j ACCEPT", `protocol "gre"`},
	{"iptables -F", "unknown shorthand flag"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j LOG", "neither lets packets in nor"},

	// What a shell joins.
	{"iptables -C INPUT -s %IP% -j ACCEPT || iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "+[22]"},
	{`/bin/sh -c "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; ufw allow from %IP% to any port 80 proto tcp" >/dev/null 2>&1`, "+[22 80]"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && wakeonlan 00:11:22:33:44:55", "+[22] and wakeonlan 00:11:22:33:44:55"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "both opens and closes"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; sleep 30; iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "+[22] 30s"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && sleep 1m && iptables -D INPUT -s %IP% -p tcp --dport 23 -j ACCEPT", "both opens and closes"},
	{"if true; then iptables -F; fi", "shell program"},
	{"iptables -A INPUT -s $(cat /tmp/ip) -p tcp --dport 22 -j ACCEPT", "shell program"},
	{"iptables 'unfinished", "shell program"},
	{"/usr/bin/openvpn --config x.conf", "nothing and /usr/bin/openvpn --config x.conf"},
	{"", "nothing"},

	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && (date; echo %IP%) | mail -s 'knock' root", "+[22] and (date; echo %IP%) | mail -s 'knock' root"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; pgrep x || y & # z", "+[22] and pgrep x || y &"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT || logger failed", "+[22] notes"},
	{"iptables-restore < /etc/iptables.open", "changes the firewall in a way that is not understood"},
	{"if ! pgrep x; then systemctl start x; fi", "nothing and if ! pgrep x; then systemctl start x; fi"},
	{"logger opened iptables", "nothing and logger opened iptables"},

	// What publishes a port, and lists.
	{"iptables -t nat -I PREROUTING -s %IP% -p tcp --dport 2222 -j REDIRECT --to-port 22", "+[2222] notes"},
	{"iptables -t nat -A PREROUTING -p tcp -s %IP% --dport 8080 -j DNAT --to-destination 10.0.0.5:80", "+[8080] notes"},
	{"iptables -t nat -I PREROUTING -s %IP% -p tcp --dport 22 -j ACCEPT", "table nat"},
	{"iptables -t mangle -I PREROUTING -s %IP% -p tcp --dport 22 -j MARK", "table mangle"},
	{"iptables -I DOCKER-USER -s %IP% -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j ACCEPT", "+[8080]"},
	{"iptables -I DOCKER-USER -s %IP% -p tcp --dport 80 -j RETURN", "+[80] notes"},
	{"iptables -D DOCKER-USER -s %IP% -p tcp -m conntrack --ctorigdstport 8080 -j ACCEPT", "-[8080]"},
	{"iptables -A INPUT -s %IP% -p tcp --dport 22 -m recent --name ssh --rcheck --seconds 60 -j ACCEPT", "+[22] notes"},
	{"echo +%IP% > /proc/net/xt_recent/ssh", "+[] ssh"},
	{"echo -%IP% >/proc/net/xt_recent/ssh", "-[] ssh"},
	{"ipset add ssh-allowed %IP% timeout 600", "+[] ssh-allowed 10m0s"},
	{"ipset -exist del allowed %IP%,tcp:22", "-[22] allowed"},
	{"ipset flush allowed", "neither adds"},

	// knock_add, as in Debian's file.
	{"/usr/local/sbin/knock_add -i -c INPUT -p tcp -d 443 -f %IP%", "+[443]"},
	{"knock_add --delete --dstport 443 --srcaddr %IP%", "-[443]"},
	{"knock_add -d 443 -f %IP%", "neither adds a rule nor"},

	// nft.
	{"/usr/sbin/nft add element inet filter ssh_allowed { %IP% }", "+[] ssh_allowed"},
	{"nft delete element ip filter allowed '{ %IP% }'", "-[] allowed"},
	{`nft add element filter allowed \{ %IP% timeout 1d2h \}`, "+[] allowed 26h0m0s"},
	{"nft add element inet filter allowed { %IP% . tcp . 22 }", "+[22] allowed"},
	{"nft add element inet filter allowed { %IP% . udp . 53, %IP% . udp . 54 }", "is not understood"},
	{"nft add element inet filter allowed { 192.0.2.1 }", "does not begin with"},
	{"nft add rule inet filter input ip saddr %IP% tcp dport 22 accept", "+[22]"},
	{"nft -a insert rule inet filter input position 0 ip saddr %IP% tcp dport { 22, 80 } ct state new,established counter accept", "+[22 80]"},
	{"nft delete rule inet filter input tcp dport 22 ip saddr %IP% accept", "-[22]"},
	{"nft delete rule inet filter input handle 7", "is not understood"},
	{"nft add rule inet filter input ip saddr %IP% tcp dport 22 limit rate 1/second accept", "is not understood"},
	{"nft flush ruleset", "neither adds"},
	{"nft add element a b", "neither adds"},

	// ufw.
	{"ufw allow from %IP%", "+[]"},
	{"/usr/sbin/ufw allow from %IP% to any port 22", "+[22 22:udp]"},
	{"ufw allow from %IP% to any port 22 proto tcp", "+[22]"},
	{"ufw insert 1 allow proto tcp from %IP% to any port 80,443 comment knock", "+[80 443]"},
	{"ufw --force delete allow from %IP% to any port ssh proto tcp", "-[22]"},
	{"ufw allow from %IP% to any app OpenSSH", "+[22]"},
	{"ufw limit from %IP% to any port 22/tcp", "+[22] notes"},
	{"ufw allow 22/tcp", "+[22] notes"},
	{"ufw deny from %IP% to any port 22 proto tcp", "-[22]"},
	{"ufw allow from %IP% port 22", "comes from"},
	{"ufw disable", "is not understood"},

	// firewall-cmd.
	{`firewall-cmd --zone=public --add-rich-rule='rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept'`, "+[22]"},
	{`firewall-cmd --permanent --zone=public --remove-rich-rule 'rule family=ipv4 source address=%IP% service name=ssh accept' && firewall-cmd --reload`, "-[22]"},
	{"firewall-cmd --add-port=22/tcp --timeout=30", "+[22] 30s notes"},
	{"firewall-cmd --zone=trusted --add-source=%IP% --timeout 5m", "+[] 5m0s"},
	{"firewall-cmd --remove-service=ssh", "-[22] notes"},
	{"firewall-cmd --panic-on", "unknown flag"},
	{`firewall-cmd --add-rich-rule='rule source address="%IP%" log accept'`, "is not understood"},
}

func TestCommands(t *testing.T) {
	for _, tt := range commandTests {
		r, err := read(tt.command)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s\n got error: %v\nwant %s", tt.command, err, tt.want)
			}
			continue
		}
		if got := r.summary(); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.command, got, tt.want)
		}
	}
}

func (r *reading) summary() string {
	got := "nothing"
	switch {
	case r.found && r.opens:
		got = fmt.Sprintf("+%v", r.ports)
	case r.found:
		got = fmt.Sprintf("-%v", r.ports)
	}
	if r.set != "" {
		got += " " + r.set
	}
	if r.lasts != 0 {
		got += " " + r.lasts.String()
	}
	if len(r.notes) > 0 {
		got += " notes"
	}
	for _, s := range r.program {
		if !s.sleep {
			got += " and " + s.text
		}
	}
	return got
}

func FuzzRead(f *testing.F) {
	for _, tt := range commandTests {
		f.Add(tt.command)
	}
	f.Fuzz(func(_ *testing.T, command string) { read(command) })
}
