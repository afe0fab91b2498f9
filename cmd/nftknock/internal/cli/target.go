package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/cmd/nftknock/internal/knocker"
	"nftknock/config/profile"
	"nftknock/knock"
)

// target makes one of a command's arguments: a profile, or a host and ports.
func (o *options) target(cmd *cobra.Command, args []string, closing bool) (*knocker.Target, error) {
	t := &knocker.Target{Verbose: o.verbose, Retry: int(o.retry), Force: o.force}
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
			t.Sequence, t.OTPSecret, t.SPAKeyFile, t.Wait = p.CloseSequence, "", "", 0
		}
	} else {
		if closing {
			return nil, errors.New("--close is about a profile's close_sequence: nftknock --close NAME")
		}
		sequence, err := o.sequence(args[1:])
		if err != nil {
			return nil, err
		}
		if _, err := profile.LookupHost(args[0]); err != nil {
			return nil, fmt.Errorf("the host %w", err)
		}
		t.Profile = profile.Profile{Host: args[0], Sequence: sequence, Delay: profile.DefaultDelay, Family: profile.AnyFamily}
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
func (o *options) override(f *pflag.FlagSet, p *profile.Profile) error {
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
		host, err := profile.LookupHost(o.source)
		a, notAddr := netip.ParseAddr(host)
		if err != nil || notAddr != nil {
			return fmt.Errorf("--source %q is not an address: write one of this machine, such as 192.0.2.7", o.source)
		}
		p.Source = a.Unmap()
	}
	return nil
}
