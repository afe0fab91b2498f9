package life

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A monitor writes down all transactions on a host's nftables, as the kernel
// tells of them.
type monitor struct {
	conn *netlink.Conn

	mu   sync.Mutex
	said []transaction
	err  error // why it has stopped
}

// A transaction is one change of nftables: all of it takes effect at once.
type transaction struct {
	at     time.Time       // when the monitor heard of it
	by     string          // the name of the program
	tables map[string]bool // those of which it has changed more than the elements of sets
}

func startMonitor(t *testing.T, h *lab.Host) *monitor {
	t.Helper()
	s := &monitor{}
	err := h.In(func() (err error) {
		s.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err == nil {
		const buffer = 16 << 20 // bytes
		err = errors.Join(s.conn.SetReadBuffer(buffer), s.conn.JoinGroup(unix.NFNLGRP_NFTABLES))
	}
	if err != nil {
		t.Fatalf("%s: listening to the changes of nftables: %v", h.Name, err)
	}
	t.Cleanup(func() { s.conn.Close() })
	go s.write()
	return s
}

func (s *monitor) write() {
	tables := make(map[string]bool)
	for {
		messages, err := s.conn.Receive()
		at := time.Now()
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
		for _, m := range messages {
			if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES {
				continue
			}
			switch m.Header.Type & 0xff {
			case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
			case unix.NFT_MSG_NEWGEN: // comes last
				const processName = 3 // NFTA_GEN_PROC_NAME
				s.mu.Lock()
				s.said = append(s.said, transaction{at, textOf(m, processName), tables})
				s.mu.Unlock()
				tables = make(map[string]bool)
			default:
				tables[textOf(m, unix.NFTA_TABLE_NAME)] = true // the first attribute of all of them
			}
		}
	}
}

// textOf returns an attribute of a message.
func textOf(m netlink.Message, attribute uint16) string {
	const header = 4 // struct nfgenmsg
	if len(m.Data) < header {
		return ""
	}
	attributes, err := netlink.UnmarshalAttributes(m.Data[header:])
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if a.Type == attribute {
			return unix.ByteSliceToString(a.Data)
		}
	}
	return ""
}

// since returns the transactions from a number on.
func (s *monitor) since(t *testing.T, n int) []transaction {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && !errors.Is(s.err, net.ErrClosed) && !errors.Is(s.err, os.ErrClosed) {
		t.Fatalf("listening to the changes of nftables: %v", s.err)
	}
	return s.said[min(n, len(s.said)):]
}

// sync returns when the monitor has heard of all there was until now, and how
// many transactions that are.
func (s *monitor) sync(t *testing.T, h *lab.Host) int {
	t.Helper()
	marker := fmt.Sprintf("marker_%d", time.Now().UnixNano())
	h.Run(t, "nft", "add", "table", "inet", marker)
	h.Run(t, "nft", "delete", "table", "inet", marker)
	n := 0
	lab.Eventually(t, "the monitor has heard of everything", func() bool {
		said := s.since(t, 0)
		marks := 0
		for n = 0; n < len(said) && marks < 2; n++ {
			if said[n].tables[marker] {
				marks++
			}
		}
		return marks == 2
	})
	return n
}

// byDaemon says whether it was the daemon that has changed the gate's table.
func (x transaction) byDaemon() bool {
	name := filepath.Base(lab.Nftknockd)
	return x.by == name[:min(len(name), 15)] && x.tables[lab.GateTable]
}

// countByDaemon returns how often the daemon has changed the gate's table.
func countByDaemon(transactions []transaction) int {
	n := 0
	for _, x := range transactions {
		if x.byDaemon() {
			n++
		}
	}
	return n
}
