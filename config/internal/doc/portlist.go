package doc

import (
	"fmt"
	"strings"

	"nftknock/knock"
)

// PortList writes ports as the configuration has them: a list of TOML such as
// [22, "51820:udp"].
func PortList(ports []knock.Port) string {
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = p.String()
		if p.Proto != knock.TCP {
			words[i] = fmt.Sprintf("%q", words[i])
		}
	}
	return "[" + strings.Join(words, ", ") + "]"
}
