package fleet

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/integration/lab"
)

var writeReport = flag.Bool("report", false, "measure a fleet; write ../FLEET.md")

const (
	knocksMeasured = 300
	standIns       = 27 // beside three real gates
	loadRate       = 1000
	loadFor        = time.Minute
	goal           = 10 * time.Millisecond
)

// TestReport measures how long a knock at one gate takes to open the others, and what a stream
// of grants costs. It takes two minutes, and needs the machine to itself.
func TestReport(t *testing.T) {
	if !*writeReport {
		t.Skip("takes two minutes: make bench-fleet")
	}
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 3})
	var report strings.Builder
	fmt.Fprintf(&report, `# A fleet, measured

`+"`make bench-fleet`"+` has measured this on %s: one NATS server, and each gate in a network namespace of its
own, all on one machine with %d processors.

## From the last knock to the other gates

From before the last knock is sent to the first gate, until the daemon of another gate says that its kernel lets the
source in. With thirty gates, %d of them are companions whose daemon does no more than to take the time.

| gates | knocks | opened elsewhere | median | 99 %% |
|---|---:|---:|---:|---:|
`, time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), standIns)
	arrivals := newArrivals()
	for _, g := range f.Gates[1:] {
		arrivals.follow(t, g)
	}
	three := arrivals.measure(t, f, 0, len(f.Gates)-1)
	fmt.Fprintf(&report, "| three | %d | %d | %v | %v |\n", knocksMeasured, len(three), quantile(three, 0.5), quantile(three, 0.99))
	stop := arrivals.standIn(t, f)
	thirty := arrivals.measure(t, f, knocksMeasured, len(f.Gates)-1+standIns)
	fmt.Fprintf(&report, "| thirty | %d | %d | %v | %v |\n", knocksMeasured, len(thirty), quantile(thirty, 0.5), quantile(thirty, 0.99))
	stop()
	verdict := "met"
	if quantile(three, 0.99) > goal {
		verdict = "**missed**"
	}
	fmt.Fprintf(&report, "\nThe goal, 99 %% within %v with three gates, is %s.\n", goal, verdict)

	other := f.Gates[1].Companion.Cmd.Process.Pid
	before, cpu := count(t, f.Gates[1]), lab.CPUTime(t, other)
	want := before + load(t, f.Gates[0])
	cpu, last := lab.CPUTime(t, other)-cpu, time.Now()
	for _, g := range f.Gates[1:] {
		lab.Eventually(t, g.Name()+" has all grants", func() bool { return count(t, g) == want })
	}
	fmt.Fprintf(&report, `
## %d grants a second, for a minute

%d grants by an administrator of the first gate. The others hold each of them, at most %v after the last one. The second
gate's companion has taken %.0f %% of a processor, and has %.0f MB in memory.
`, loadRate, want-before, time.Since(last).Round(100*time.Millisecond), 100*cpu.Seconds()/loadFor.Seconds(), lab.Memory(t, other, "VmRSS")/1e6)
	if err := os.WriteFile(filepath.Join("..", "FLEET.md"), []byte(report.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Print(report.String())
}

// arrivals are when gates have let sources in.
type arrivals struct {
	mu   sync.Mutex
	seen map[string][]time.Time // by source, one of each gate
}

func newArrivals() *arrivals { return &arrivals{seen: make(map[string][]time.Time)} }

func (a *arrivals) note(source string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[source] = append(a.seen[source], now)
}

func (a *arrivals) of(source string) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen[source])
}

// follow notes whom a gate's daemon lets in.
func (a *arrivals) follow(t *testing.T, g *lab.Gate) {
	t.Helper()
	answer, err := newAdministrator(g).http.Get("http://nftknockd/v1/events?kind=granted&after=now")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	go func() {
		for lines := json.NewDecoder(answer.Body); ; {
			var e struct{ Source string }
			if lines.Decode(&e) != nil {
				return
			}
			a.note(e.Source)
		}
	}()
}

// measure knocks at the first gate, and returns how long each of the others took to let in.
func (a *arrivals) measure(t *testing.T, f *lab.Fleet, first, others int) []time.Duration {
	t.Helper()
	g := f.Gates[0].Topology()
	var took []time.Duration
	for n := range knocksMeasured {
		who := netip.AddrFrom4([4]byte{198, 19, byte((first + n) >> 8), byte(first + n)})
		last := len(lab.SSHSequence) - 1
		g.Knock(t, who, lab.SSHSequence[:last]...)
		time.Sleep(20 * time.Millisecond) // nothing is under way any more
		start := time.Now()
		g.Knock(t, who, lab.SSHSequence[last])
		lab.Eventually(t, "all others let in", func() bool { return len(a.of(who.String())) >= others })
		for _, at := range a.of(who.String()) {
			took = append(took, at.Sub(start))
		}
	}
	slices.Sort(took)
	return took
}

func quantile(took []time.Duration, q float64) time.Duration {
	return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond)
}

// standIn starts companions whose daemon takes the time, and nothing else.
func (a *arrivals) standIn(t *testing.T, f *lab.Fleet) (stop func()) {
	t.Helper()
	key, err := os.ReadFile(f.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	nothing := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	mux.HandleFunc("GET /v1/fleet", nothing(fmt.Sprintf(`{"urls": ["nats://127.0.0.1:4222"], "group": "bastions", "max_grant_seconds": 86400, "key": %q}`,
		strings.TrimSpace(string(key)))))
	mux.HandleFunc("GET /v1/fleet/grants", nothing("[]"))
	mux.HandleFunc("POST /v1/fleet/report", nothing("{}"))
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("POST /v1/fleet/share", func(w http.ResponseWriter, r *http.Request) {
		var shared []struct{ Source string }
		json.NewDecoder(r.Body).Decode(&shared)
		for _, s := range shared {
			a.note(s.Source)
		}
		io.WriteString(w, "{}")
	})
	socket := lab.NewSocket(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	daemon := &http.Server{Handler: mux}
	go daemon.Serve(l)
	t.Cleanup(func() { daemon.Close() })
	var companions []*lab.Process
	for n := range standIns {
		companions = append(companions, f.Broker.StartCompanion(t, fmt.Sprintf("stand-in%d", n), socket, t.TempDir()))
	}
	return func() {
		for _, c := range companions {
			c.Stop(os.Interrupt)
		}
	}
}

// load has an administrator of a gate grant, and returns how many sources are let in.
func load(t *testing.T, g *lab.Gate) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), loadFor)
	defer cancel()
	due := time.NewTicker(time.Second / loadRate)
	defer due.Stop()
	wanted := make(chan int)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			admin := newAdministrator(g)
			for n := range wanted {
				if err := admin.ask("open", fmt.Sprintf(`{"door": "ssh", "source": "100.%d.%d.%d", "for": "1h"}`, 64+n>>16, n>>8&255, n&255)); err != nil {
					t.Errorf("open: %v", err)
				}
			}
		})
	}
	n := 0
	for ctx.Err() == nil {
		select {
		case <-due.C:
			wanted <- n
			n++
		case <-ctx.Done():
		}
	}
	close(wanted)
	asking.Wait()
	return n
}
