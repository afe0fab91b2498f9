package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/config"
	"nftknock/knock"
)

// options are the flags that say how to knock, on the command line.
type options struct {
	udp     bool
	delay   milliseconds
	family  config.Family // empty: not given
	verbose bool
	source  string
	wait    uint16
	retry   uint8
	mute    time.Duration
}

func (o *options) addFlags(f *pflag.FlagSet) {
	o.delay = milliseconds(config.DefaultDelay / time.Millisecond)
	f.SortFlags = false
	f.BoolVarP(&o.udp, "udp", "u", false, "knock at all ports by UDP; TCP is the default")
	f.VarP(&o.delay, "delay", "d", "wait `MS` milliseconds after each knock")
	f.VarPF(familyFlag{&o.family, config.IPv4}, "ipv4", "4", "knock by IPv4 only").NoOptDefVal = "true"
	f.VarPF(familyFlag{&o.family, config.IPv6}, "ipv6", "6", "knock by IPv6 only").NoOptDefVal = "true"
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say what is knocked at")
	f.StringVar(&o.source, "source", "", "knock from this local `ADDR`")
	f.Uint16Var(&o.wait, "wait", 0, "wait until the TCP `PORT` answers; fail if it does not")
	f.Uint8Var(&o.retry, "retry", 0, "knock up to `N` times more if the port does not answer")
	f.DurationVar(&o.mute, "mute", 0, "`TIME` for which the daemon does not listen to who has knocked wrongly: knock again after it")
}

// A target is what to knock at, and how.
type target struct {
	config.Profile
	closing bool
	verbose bool
	retry   int
}

// target makes one of a command's arguments: a profile, or a host and ports.
func (o *options) target(cmd *cobra.Command, args []string, closing bool) (*target, error) {
	t := &target{closing: closing, verbose: o.verbose, retry: int(o.retry)}
	if len(args) == 1 {
		p, err := findProfile(cmd, args[0])
		switch {
		case err != nil:
			return nil, err
		case o.udp:
			return nil, fmt.Errorf("-u does not go with a profile, which says itself what is UDP")
		case closing && len(p.CloseSequence) == 0:
			return nil, fmt.Errorf("profile %s has no close_sequence: write one, or let the door shut by itself", p.Name)
		}
		t.Profile = p
		if closing {
			t.Sequence, t.OTPSecret, t.Wait = p.CloseSequence, "", 0
		}
	} else {
		if closing {
			return nil, errors.New("--close is about a profile's close_sequence: nftknock --close NAME")
		}
		sequence, err := o.sequence(args[1:])
		if err != nil {
			return nil, err
		}
		t.Profile = config.Profile{Host: args[0], Sequence: sequence, Delay: config.DefaultDelay, Family: config.AnyFamily}
	}
	if err := o.override(cmd.Flags(), &t.Profile); err != nil {
		return nil, err
	}
	return t, nil
}

// sequence reads knocks as knock(1) does, but for what it misunderstands.
func (o *options) sequence(words []string) ([]knock.Port, error) {
	sequence := make([]knock.Port, len(words))
	for i, word := range words {
		p, err := knock.ParsePort(word)
		if err != nil {
			return nil, err
		}
		if o.udp {
			p.Proto = knock.UDP
		}
		sequence[i] = p
	}
	return sequence, nil
}

// override puts what is on the command line in the place of what the profile says.
func (o *options) override(f *pflag.FlagSet, p *config.Profile) error {
	if f.Changed("delay") {
		p.Delay = time.Duration(o.delay) * time.Millisecond
	}
	if f.Changed("mute") {
		if o.mute < 0 {
			return errors.New("--mute cannot be negative")
		}
		p.Mute = o.mute
	}
	if f.Changed("wait") {
		if o.wait == 0 {
			return errors.New("--wait 0 is not a port: write a number from 1 to 65535")
		}
		p.Wait = o.wait
	}
	if o.family != "" {
		p.Family = o.family
	}
	if o.source != "" {
		a, err := netip.ParseAddr(o.source)
		if err != nil {
			return fmt.Errorf("--source %q is not an address: write one of this machine, such as 192.0.2.7", o.source)
		}
		p.Source = a.Unmap()
	}
	return nil
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
	family *config.Family
	is     config.Family
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
