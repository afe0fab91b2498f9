package knocker

import (
	"fmt"
	"net"
	"net/netip"
	"os/user"
	"strings"
	"time"

	"nftknock/knock"
	"nftknock/knock/spa"
)

// sendPackets sends a packet of single packet authorization to each of the addresses: each
// its own, as one opens once.
func (k *Knocker) sendPackets(at []netip.Addr) error {
	key, err := k.SPAKey()
	if err != nil {
		return err
	}
	for _, a := range at {
		k.say("sending a packet to %v", a)
		if err := k.sendPacket(key, a); err != nil {
			return fmt.Errorf("the packet could not be sent to %v: %w", a, err)
		}
	}
	time.Sleep(k.Delay)
	return nil
}

func (k *Knocker) sendPacket(key spa.Key, to netip.Addr) error {
	c, err := dialer("udp", k.Source, to).Dial("udp", netip.AddrPortFrom(to, k.SPAPort).String())
	if err != nil {
		return Reason(err)
	}
	defer c.Close()
	whom := k.SPAAddress
	if !whom.IsValid() {
		whom = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
	}
	packet, err := key.Seal(spa.Request{
		User: userName(), Source: whom, Ports: []knock.Port{{Number: k.Wait, Proto: knock.TCP}},
	}, time.Now())
	if err != nil {
		return err
	}
	_, err = c.Write(packet)
	return Reason(err)
}

// userName returns who runs this, as a packet can have it. fwknop's server may ask for
// it; ours does not.
func userName() string {
	const nobody = "nftknock"
	u, err := user.Current()
	if err != nil {
		return nobody
	}
	name := u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // Windows puts a domain before it
	name = strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return nobody
	}
	return name[:min(len(name), spa.MaxUser)]
}
