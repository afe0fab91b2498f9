package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"nftknock/knock"
)

// knockAt knocks a sequence at each of the addresses, waiting after each knock. Of
// two families each is a source of its own to the daemon, so they go side by side.
func knockAt(t *target, at []netip.Addr, sequence []knock.Port, verbose io.Writer) error {
	for i, port := range sequence {
		for _, a := range at {
			if t.verbose {
				fmt.Fprintf(verbose, "hitting %v %v:%d\n", port.Proto, a, port.Number)
			}
			if err := hit(t.Source, a, port); err != nil {
				return fmt.Errorf("knock %d of %d could not be sent to %v: %w", i+1, len(sequence), a, err)
			}
		}
		time.Sleep(t.Delay)
	}
	return nil
}

// knockOnce knocks a target's whole sequence, with its one-time code if it has one.
func knockOnce(t *target, at []netip.Addr, stderr *os.File, verbose io.Writer) error {
	sequence := t.Sequence
	if t.OTPSecret != "" {
		code, err := codeKnocks(t, stderr)
		if err != nil {
			return err
		}
		sequence = slices.Concat(sequence, code)
	}
	return knockAt(t, at, sequence, verbose)
}
