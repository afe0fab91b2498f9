package bench

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A flood sends frames down a wire until it is stopped, or has sent enough. It
// has the first processor to itself as far as the benchmarks go.
type flood struct {
	wire  *wire
	frame func() []byte // the next one
	rate  int           // frames a second; 0: as fast as the machine can
	most  int           // frames

	stopped atomic.Bool
	done    chan struct{} // closed when it has ended; what follows is set then
	err     error
	sent    int
	took    time.Duration
	waited  time.Duration // of that, for the processor
}

// startFlood floods until stop, but sends no more than most.
func startFlood(t testing.TB, w *wire, frame func() []byte, rate, most int) *flood {
	t.Helper()
	f := &flood{wire: w, frame: frame, rate: rate, most: most, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = lab.OnOwnThread(f.run)
	}()
	t.Cleanup(func() { // before the wire is closed
		f.stopped.Store(true)
		<-f.done
	})
	return f
}

// sendFor sends frames as fast as the machine can, for a time.
func sendFor(t testing.TB, w *wire, frame func() []byte, d time.Duration) *flood {
	t.Helper()
	f := startFlood(t, w, frame, 0, mostOfFlood)
	time.Sleep(d)
	f.stop(t)
	return f
}

// mostOfFlood bounds a flood that nobody stops.
const mostOfFlood = 50_000_000

// sendCount sends a number of frames, as fast as the machine can.
func sendCount(t testing.TB, w *wire, frame func() []byte, n int) *flood {
	t.Helper()
	f := startFlood(t, w, frame, 0, n)
	f.wait(t)
	return f
}

func (f *flood) run() error {
	if err := pin(0); err != nil {
		return err
	}
	const burst = 64 // frames between two looks at the clock
	waited, err := waitedForProcessor()
	if err != nil {
		return err
	}
	start := time.Now()
	for f.sent < f.most && !f.stopped.Load() {
		due := burst
		if f.rate > 0 {
			due = int(time.Since(start).Seconds()*float64(f.rate)) - f.sent
		}
		for range min(due, f.most-f.sent) {
			if err := f.wire.send(f.frame()); err != nil {
				return err
			}
			f.sent++
		}
		if f.rate > 0 {
			time.Sleep(200 * time.Microsecond)
		}
	}
	f.took = time.Since(start)
	f.waited, err = waitedForProcessor()
	f.waited -= waited
	return err
}

// waitedForProcessor returns how long the calling thread has been ready to run,
// but others ran.
func waitedForProcessor() (time.Duration, error) {
	b, err := os.ReadFile("/proc/thread-self/schedstat")
	if err != nil {
		return 0, err
	}
	var ran, waited time.Duration
	_, err = fmt.Sscan(string(b), &ran, &waited)
	return waited, err
}

// stop ends the flood.
func (f *flood) stop(t testing.TB) {
	t.Helper()
	f.stopped.Store(true)
	f.wait(t)
}

func (f *flood) wait(t testing.TB) {
	t.Helper()
	<-f.done
	if f.err != nil {
		t.Fatalf("flood: %v", f.err)
	}
}

// perSecond is the rate that the flood has reached.
func (f *flood) perSecond() rate { return rate(float64(f.sent) / f.took.Seconds()) }

// perSecondOfProcessor is the rate that a flood which never pauses would have
// reached if nothing else had run on its processor.
func (f *flood) perSecondOfProcessor() rate {
	return rate(float64(f.sent) / (f.took - f.waited).Seconds())
}

// pin binds the calling thread to a processor, counted among those it may use,
// from the end if n is negative. Those who flood and those who knock stay apart.
func pin(n int) error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	n = ((n % allowed.Count()) + allowed.Count()) % allowed.Count()
	for cpu := 0; ; cpu++ {
		if allowed.IsSet(cpu) {
			if n == 0 {
				one.Set(cpu)
				return unix.SchedSetaffinity(0, &one)
			}
			n--
		}
	}
}
