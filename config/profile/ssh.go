package profile

import (
	"fmt"
	"strings"
)

// SSHConfig returns how ssh knocks with a profile, as text for ssh_config(5); nothing for one
// without a port that it could connect to. fdpass says that the client's system can give a
// connection to another program, which is all but Windows.
func (p Profile) SSHConfig(fdpass bool) string {
	host, err := LookupHost(p.Host)
	if err != nil || p.Wait == 0 {
		return ""
	}
	names := []string{p.Name}
	if host != p.Name && !strings.Contains(host, "%") {
		names = append(names, host) // also for ssh -J HOST
	}
	way := []string{"HostName " + strings.ReplaceAll(host, "%", "%%")}
	if p.Wait != 22 {
		way = append(way, fmt.Sprintf("Port %d", p.Wait))
	}
	proxy := []string{"ProxyCommand nftknock proxy " + p.Name}
	if fdpass {
		proxy = []string{"ProxyCommand nftknock proxy --fdpass " + p.Name, "ProxyUseFdpass yes"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# In ~/.ssh/config, so that \"ssh %s\" knocks first:\n\n", p.Name)
	fmt.Fprintf(&b, "Host %s\n", strings.Join(names, " "))
	for _, line := range append(way, proxy...) {
		b.WriteString("    " + line + "\n")
	}
	// A name may be that of a command: that is what -- is for.
	fmt.Fprintf(&b, "\n# Or, where ssh has to make the connection itself:\n#\n"+
		"# Match originalhost %s exec \"nftknock -- %s\"\n", strings.Join(names, ","), p.Name)
	for _, line := range way {
		b.WriteString("#     " + line + "\n")
	}
	return b.String()
}
