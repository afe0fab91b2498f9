package migrate

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var durationForm = regexp.MustCompile(`^(?:(\d{1,5})d)?((?:\d{1,9}[hms])*)$`)

// duration reads what nft, firewall-cmd and sleep(1) take: seconds, or "1d2h3m4s".
func duration(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	m := durationForm.FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	days, _ := strconv.Atoi("0" + m[1])
	rest, err := time.ParseDuration("0s" + m[2])
	return time.Duration(days)*24*time.Hour + rest, err
}
