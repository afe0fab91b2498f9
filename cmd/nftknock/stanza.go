package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config/profile"
)

// sshStanza returns how ssh knocks with a profile, as text for ssh_config(5); nothing for
// one without a port that it could connect to.
func sshStanza(root *cobra.Command, p profile.Profile) string {
	host, err := profile.LookupHost(p.Host)
	if err != nil || p.Wait == 0 {
		return ""
	}
	names := p.Name
	if host != p.Name && !strings.ContainsRune(host, '%') {
		names += " " + host // also for ssh -J HOST
	}
	way := fmt.Sprintf("    HostName %s\n", strings.ReplaceAll(host, "%", "%%"))
	if p.Wait != 22 {
		way += fmt.Sprintf("    Port %d\n", p.Wait)
	}
	proxy := fmt.Sprintf("    ProxyCommand nftknock proxy %s\n", p.Name)
	if canHandOver {
		proxy = fmt.Sprintf("    ProxyCommand nftknock proxy --fdpass %s\n    ProxyUseFdpass yes\n", p.Name)
	}
	name := p.Name
	for _, c := range root.Commands() {
		if c.Name() == name {
			name = "-- " + name
			break
		}
	}
	return fmt.Sprintf(`# In ~/.ssh/config, so that "ssh %s" knocks first:

Host %s
%s%s
# Or, where ssh has to make the connection itself:
#
# Match originalhost %s exec "nftknock --wait %d %s"
#%s
`, p.Name, names, way, proxy, strings.ReplaceAll(names, " ", ","), p.Wait, name, strings.ReplaceAll(strings.TrimSuffix(way, "\n"), "\n", "\n#"))
}
