package trial

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"

	"nftknock/knock"
)

// TestToPorts looks at the parts of the filter that do not depend on the kernel's word for
// the protocol, which the virtual machine of package bpf does not know.
func TestToPorts(t *testing.T) {
	t.Parallel()
	program := toPorts([]knock.Door{{Sequence: []knock.Port{{Number: 7214}, {Number: 8391}, {Number: 6127}}}})
	if _, err := bpf.Assemble(program); err != nil {
		t.Fatal(err)
	}
	v4 := program[3 : 5+7]
	vm, err := bpf.NewVM(v4)
	if err != nil {
		t.Fatal(err)
	}
	for port, want := range map[uint16]int{7214: 1, 8391: 1, 6127: 1, 22: 0} {
		packet := make([]byte, 44)
		packet[0] = 0x46 // with four bytes of options
		binary.BigEndian.PutUint16(packet[26:], port)
		if got, err := vm.Run(packet); err != nil || got != want {
			t.Errorf("port %d: %d, %v", port, got, err)
		}
	}
}

func TestArrivalsCount(t *testing.T) {
	a := &Arrivals{counts: map[string]int{"eth1": 1, "eth2": 2}}
	want := "1 packet to knock ports arrived on eth1, which is not guarded; 2 packets to knock ports arrived on eth2, which is not guarded"
	if got := a.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
