package knockd

import (
	"regexp"
	"strings"
)

// DefaultsFiles are where distributions keep knockd's options, from the folder of
// knockd.conf: Debian, Arch, Fedora.
var DefaultsFiles = []string{"default/knockd", "conf.d/knockd", "sysconfig/knockd"}

var (
	optsLine = regexp.MustCompile(`(?m)^[ \t]*(?:KNOCKD_OPTS|OPTIONS)=(.*)$`)
	iOption  = regexp.MustCompile(`(?:^|[\s"'])(?:-i[ \t]*|--interface[= \t]+)([^\s"']+)`)
)

// Interface returns the interface that knockd's options name in a file such as
// /etc/default/knockd, in which KNOCKD_OPTS="-i eth1" counts before the interface of
// knockd.conf; empty if they name none.
func Interface(defaults []byte) string {
	name := ""
	for _, m := range optsLine.FindAllStringSubmatch(string(defaults), -1) {
		opts, _, _ := strings.Cut(m[1], " #")
		if i := iOption.FindStringSubmatch(opts); i != nil {
			name = i[1]
		}
	}
	return name
}
