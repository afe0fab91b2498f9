package migrate

import (
	"regexp"

	"nftknock/config/fwknop"
)

// A Kind is what sort of file is imported.
type Kind int

const (
	Knockd   Kind = iota // knockd.conf
	Access               // access.conf of fwknopd
	Fwknoprc             // .fwknoprc of fwknop
)

var (
	accessLine = regexp.MustCompile(`(?im)^[ \t]*SOURCE(?:[ \t:]|$)`)
	heading    = regexp.MustCompile(`(?m)^[ \t]*\[[^\]\n]*\][ \t\r]*$`)
)

// KindOf tells the kind of a file by what is in it.
func KindOf(data []byte) Kind {
	if heading.Match(data) {
		for _, s := range fwknop.ParseClient(data) {
			for _, key := range []string{"SPA_SERVER", "KEY_BASE64", "HMAC_KEY_BASE64"} {
				if _, ok := s.Get(key); ok {
					return Fwknoprc
				}
			}
		}
		return Knockd
	}
	if accessLine.Match(data) {
		return Access
	}
	return Knockd
}
