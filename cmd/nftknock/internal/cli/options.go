package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"nftknock/config/profile"
)

// options are the flags that say how to knock, on the command line.
type options struct {
	udp     bool
	delay   milliseconds
	family  profile.Family // empty: not given
	verbose bool
	source  string
	wait    uint16
	retry   uint8
	force   bool
	mute    time.Duration
}

func (o *options) addFlags(f *pflag.FlagSet) {
	o.delay = milliseconds(profile.DefaultDelay / time.Millisecond)
	f.SortFlags = false
	f.BoolVarP(&o.udp, "udp", "u", false, "knock at all ports by UDP; TCP is the default")
	f.VarP(&o.delay, "delay", "d", "wait `MS` milliseconds after each knock")
	f.VarPF(familyFlag{&o.family, profile.IPv4}, "ipv4", "4", "knock by IPv4 only").NoOptDefVal = "true"
	f.VarPF(familyFlag{&o.family, profile.IPv6}, "ipv6", "6", "knock by IPv6 only").NoOptDefVal = "true"
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say what is knocked at, and what is waited for")
	f.StringVar(&o.source, "source", "", "knock from this local `ADDR`")
	f.Uint16Var(&o.wait, "wait", 0, "wait until the TCP `PORT` answers; fail if it does not")
	f.Uint8Var(&o.retry, "retry", 0, "knock up to `N` times more if the port does not answer")
	f.BoolVar(&o.force, "force", false, "knock even if the port answers already")
	f.DurationVar(&o.mute, "mute", 0, "`TIME` for which the daemon ignores a source that has knocked wrongly: knock again after it")
}

// milliseconds is the value of -d.
type milliseconds uint16

func (m milliseconds) String() string { return strconv.Itoa(int(m)) }

func (m *milliseconds) Set(s string) error {
	const most = 60000
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n > most {
		return fmt.Errorf("write milliseconds, a whole number from 0 to %d", most)
	}
	*m = milliseconds(n)
	return nil
}

func (*milliseconds) Type() string { return "MS" }

// A familyFlag is -4 or -6; of both, the last one counts.
type familyFlag struct {
	family *profile.Family
	is     profile.Family
}

func (f familyFlag) Set(s string) error {
	on, err := strconv.ParseBool(s)
	if on {
		*f.family = f.is
	}
	return err
}

func (f familyFlag) String() string   { return "false" }
func (f familyFlag) Type() string     { return "bool" }
func (f familyFlag) IsBoolFlag() bool { return true }
