package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nftknock/integration/lab"
)

// An administrator asks a gate's daemon for many things, without a process for each.
type administrator struct{ http *http.Client }

func newAdministrator(g *lab.Gate) administrator {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.Daemon.Socket)
	}
	return administrator{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (a administrator) ask(what, body string) error {
	answer, err := a.http.Post("http://nftknockd/v1/"+what, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}

func source(n int) string { return fmt.Sprintf("198.18.%d.%d", n>>8, n&255) }

// TestFaults has a gate grant, and another revoke, while everything fails that can: the leader
// of the NATS cluster, a companion, a daemon, a wire. In the end each kernel holds exactly what
// was decided.
func TestFaults(t *testing.T) {
	t.Parallel()
	const granted, revoked = 1000, 100
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 3, Nodes: 3})
	a, b, c := f.Gates[0], f.Gates[1], f.Gates[2]

	wait := letIn(t, a, granted)
	lab.Eventually(t, "some are in", func() bool { return count(t, c) > granted/10 })
	c.Cut(t, true)
	cut := time.Now()
	leader := leaderOf(t, f)
	f.NATS[leader].Stop(syscall.SIGKILL)
	b.Companion.Stop(syscall.SIGKILL)
	b.Daemon.Stop(syscall.SIGKILL)
	b.StartDaemon(t)
	b.StartCompanion(t)
	wait()
	lab.Eventually(t, "the second gate has all", func() bool { return count(t, b) == granted })
	admin := newAdministrator(b)
	for n := range revoked {
		if err := admin.ask("close", fmt.Sprintf(`{"door": "ssh", "source": %q}`, source(n))); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	newAdministrator(c).ask("open", fmt.Sprintf(`{"door": "ssh", "source": %q, "for": "30m"}`, source(granted)))
	f.StartNATS(t, leader)
	time.Sleep(time.Until(cut.Add(10 * time.Second))) // until NATS and the companion have given each other up
	c.Cut(t, false)
	for _, g := range f.Gates {
		lab.Eventually(t, g.Name()+" has what was decided", func() bool { return count(t, g) == granted-revoked+1 })
		for n := range revoked {
			if _, in := g.Grant(t, source(n)); in && n%10 == 0 {
				t.Errorf("%s lets in %s, which was revoked", g.Name(), source(n))
			}
		}
	}
}

// TestBucketDeleted has somebody delete the bucket, and empty it, while a gate grants.
func TestBucketDeleted(t *testing.T) {
	t.Parallel()
	const granted = 1000
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2})
	a, b := f.Gates[0], f.Gates[1]
	wait := letIn(t, a, granted)
	lab.Eventually(t, "some are in", func() bool { return count(t, b) > granted/10 })
	_, js := newStranger(t, f)
	if err := js.DeleteKeyValue(t.Context(), "nftknock-bastions"); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the bucket is made anew", func() bool {
		stream, err := js.Stream(t.Context(), "KV_nftknock-bastions")
		return err == nil && stream.Purge(t.Context()) == nil
	})
	wait()
	for _, g := range f.Gates {
		lab.Eventually(t, g.Name()+" has what was decided", func() bool { return count(t, g) == granted })
	}
	s, _ := newStranger(t, f)
	lab.Eventually(t, "so has the bucket", func() bool { return len(s.grants(t)) == granted })
}

// letIn begins to let in sources one by one, for half an hour each. The function it returns waits for the end.
func letIn(t *testing.T, g *lab.Gate, sources int) (wait func()) {
	var letting sync.WaitGroup
	letting.Go(func() {
		admin := newAdministrator(g)
		for n := range sources {
			if err := admin.ask("open", fmt.Sprintf(`{"door": "ssh", "source": %q, "for": "30m"}`, source(n))); err != nil {
				t.Errorf("open: %v", err)
				return
			}
			time.Sleep(4 * time.Millisecond) // for all of it to happen meanwhile
		}
	})
	return letting.Wait
}

// count returns how many sources the gate's kernel lets in.
func count(t *testing.T, g *lab.Gate) int {
	t.Helper()
	return len(g.Topology().Entries(t, "ssh"))
}

// leaderOf returns the node that leads for the bucket.
func leaderOf(t *testing.T, f *lab.Fleet) int {
	t.Helper()
	js, err := jetstream.New(f.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_nftknock-bastions")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Config.Replicas != 3 {
		t.Errorf("the bucket is kept %d times, want 3", info.Config.Replicas)
	}
	var node int
	if _, err := fmt.Sscanf(info.Cluster.Leader, "node%d", &node); err != nil {
		t.Fatalf("the leader is %q", info.Cluster.Leader)
	}
	return node
}
