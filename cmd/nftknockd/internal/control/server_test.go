package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

// fakeBackend says what it was asked.
type fakeBackend struct {
	Backend // of a fleet, which no test asks for

	bus    *event.Bus
	asked  chan string
	status *status.Status
	err    error

	mu    sync.Mutex
	hooks []config.Hook
}

func (f *fakeBackend) setHooks(hooks ...config.Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks = hooks
}

func (f *fakeBackend) ask(format string, args ...any) error {
	select {
	case f.asked <- fmt.Sprintf(format, args...):
	default:
	}
	return f.err
}

func (f *fakeBackend) Status() (*status.Status, error) { return f.status, f.ask("status") }
func (f *fakeBackend) Open(door string, source grant.Source, d time.Duration) (grant.Grant, error) {
	return grant.Grant{Door: door, Prefix: source.Prefix, Zone: source.Zone}, f.ask("open %q %v %v", door, source, d)
}
func (f *fakeBackend) Revoke(door string, source grant.Source, _ grant.Origin) ([]grant.Grant, error) {
	return nil, f.ask("close %q %v", door, source)
}
func (f *fakeBackend) AlwaysAllowed(grant.Source) []status.Way           { return nil }
func (f *fakeBackend) WaysIn(string, grant.Source) ([]status.Way, error) { return nil, nil }
func (f *fakeBackend) Unmute(source grant.Source) ([]grant.Source, error) {
	return []grant.Source{source}, f.ask("unmute %v", source)
}
func (f *fakeBackend) Reload(context.Context) error { return f.ask("reload") }
func (f *fakeBackend) Trial(_ context.Context, cfg *config.Config, d time.Duration, show trial.Countdown) (event.Event, error) {
	return event.Event{}, f.ask("trial %v %v", cfg.Doors[0].Name, d)
}
func (f *fakeBackend) Watch(kinds ...event.Kind) (*event.Watcher, error) {
	return f.bus.Watch(kinds)
}
func (f *fakeBackend) Trace(source netip.Addr) (*status.Trace, error) {
	return new(status.Trace), f.ask("trace %v", source)
}
func (f *fakeBackend) Follow(source netip.Prefix, kinds ...event.Kind) (*event.Watcher, func(), error) {
	w, err := f.bus.Watch(kinds)
	if err != nil {
		return nil, nil, err
	}
	w.Offer(event.Event{Kind: event.Attempt, Source: source.Addr().String(), Step: &event.Step{Count: 2, Of: 3, Outcome: "wrong knock"}})
	return w, w.Close, nil
}
func (f *fakeBackend) Subscribe(after string, kinds ...event.Kind) (*event.Subscription, error) {
	return f.bus.Subscribe(after, kinds...)
}
func (f *fakeBackend) Resume(after string, kinds ...event.Kind) (*event.Subscription, error) {
	return f.bus.Resume(after, kinds...)
}
func (f *fakeBackend) Hooks() []config.Hook {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hooks
}

func newBackend() *fakeBackend { return &fakeBackend{bus: event.NewBus(), asked: make(chan string, 1)} }

// serve serves a backend at a socket of its own.
func serve(t testing.TB, backend Backend) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "control.sock")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(backend, http.NotFoundHandler())
	go server.Serve(Limit(l))
	t.Cleanup(func() { server.Close() })
	return socket
}

var requestTests = []struct {
	method, path, body string
	code               int
	asks               string
}{
	{"GET", "/v1/status", "", 200, "status"},
	{"POST", "/v1/reload", "", 200, "reload"},
	{"POST", "/v1/open", `{"door":"ssh","source":"203.0.113.7"}`, 200, `open "ssh" 203.0.113.7 0s`},
	{"POST", "/v1/open", `{"door":"ssh","source":"::ffff:203.0.113.7","for":"90"}`, 200, `open "ssh" 203.0.113.7 1m30s`},
	{"POST", "/v1/open", `{"door":"ssh","source":"2001:db8::7/64","for":"8h"}`, 200, `open "ssh" 2001:db8::/64 8h0m0s`},
	{"POST", "/v1/open", `{"door":"ssh","source":"fe80::1%eth0"}`, 200, `open "ssh" fe80::1%eth0 0s`},
	{"POST", "/v1/close", `{"door":"ssh","source":"fe80::1%eth0"}`, 200, `close "ssh" fe80::1%eth0`},
	{"POST", "/v1/close", `{"door":"ssh","source":"203.0.113.7/24"}`, 200, `close "ssh" 203.0.113.0/24`},
	{"POST", "/v1/close", `{"door":"ssh","all":true}`, 200, `close "ssh" invalid Prefix`},

	{"POST", "/v1/unmute", `{"source":"203.0.113.7"}`, 200, "unmute 203.0.113.7"},
	{"POST", "/v1/unmute", `{"source":"2001:db8::/48"}`, 200, "unmute 2001:db8::/48"},
	{"POST", "/v1/unmute", `{"source":"fe80::1%eth0"}`, 200, "unmute fe80::1%eth0"},
	{"POST", "/v1/unmute", `{"source":"localhost"}`, 400, ""},
	{"POST", "/v1/unmute", `{"door":"ssh","source":"203.0.113.7"}`, 400, ""},
	{"GET", "/v1/trace?source=203.0.113.7", "", 200, "trace 203.0.113.7"},
	{"GET", "/v1/trace?source=fe80::1%25eth0", "", 200, "trace fe80::1%eth0"},

	{"GET", "/", "", 404, ""},
	{"GET", "/v1/trace", "", 400, ""},
	{"GET", "/v1/trace?source=203.0.113.0/24", "", 400, ""},
	{"GET", "/v1/events?source=localhost", "", 400, ""},
	{"GET", "/v1/events?attempts=maybe", "", 400, ""},
	{"GET", "/v1/events?attempts=true&after=now", "", 400, ""},
	{"GET", "/v1/events?after=", "", 400, ""},
	{"GET", "/v1/events?kind=granted&kind=let_in", "", 400, ""},
	{"GET", "/v2/status", "", 404, ""},
	{"POST", "/v1/status", "", 405, ""},
	{"GET", "/v1/open", "", 405, ""},
	{"POST", "/v1/open", ``, 400, ""},
	{"POST", "/v1/open", `[]`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"2001:db8::1%eth0"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"::ffff:203.0.113.0/120"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"localhost"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"203.0.113.7","for":"1ms"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"203.0.113.7","all":true}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"203.0.113.7","extra":1}`, 400, ""},
	{"POST", "/v1/close", `{"door":"ssh"}`, 400, ""},
	{"POST", "/v1/close", `{"door":"ssh","source":"203.0.113.7","all":true}`, 400, ""},
	{"POST", "/v1/close", `{"door":"` + strings.Repeat("x", maxBody) + `","all":true}`, 400, ""},
}

func TestRequests(t *testing.T) {
	for _, test := range requestTests {
		t.Run(test.method+" "+test.path+" "+test.body[:min(len(test.body), 60)], func(t *testing.T) {
			backend := newBackend()
			answer := request(NewServer(backend, http.NotFoundHandler()).Handler, test.method, test.path, test.body)
			if answer.Code != test.code {
				t.Errorf("%d %s, want %d", answer.Code, answer.Body, test.code)
			}
			asked := ""
			select {
			case asked = <-backend.asked:
			default:
			}
			if asked != test.asks {
				t.Errorf("the backend is asked %q, want %q", asked, test.asks)
			}
		})
	}
}

func request(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer
}

// The gate's errors have the codes that CONTROL.md says.
func TestErrorCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{&config.NoDoorError{Name: "x"}, 404},
		{&grant.PrefixError{Text: "x"}, 400},
		{&grant.OverlapError{}, 409},
		{&grant.StillGrantedError{}, 409},
		{&gate.ReloadError{Err: errors.New("x")}, 422},
		{fmt.Errorf("x: %w", event.ErrGone), 410},
		{event.ErrTooMany, 503},
		{errors.New("x"), 500},
	} {
		backend := newBackend()
		backend.err = test.err
		handler := NewServer(backend, http.NotFoundHandler()).Handler
		if answer := request(handler, "POST", "/v1/close", `{"door":"ssh","all":true}`); answer.Code != test.code {
			t.Errorf("%v: %d %s, want %d", test.err, answer.Code, answer.Body, test.code)
		}
	}
}

// A program that was interrupted gets the events that it has missed.
func TestEventsAreResumed(t *testing.T) {
	backend := newBackend()
	socket := serve(t, backend)
	get := func(query string) *http.Response {
		t.Helper()
		dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }
		request, err := http.NewRequestWithContext(t.Context(), "GET", "http://nftknockd/v1/events?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Transport{DialContext: dial, DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	read := func(after string, n int, ready func()) (events []event.Event) {
		t.Helper()
		answer := get("kind=granted&after=" + after)
		ready()
		lines := json.NewDecoder(answer.Body)
		for range n {
			var e event.Event
			if err := lines.Decode(&e); err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		return events
	}
	publish := func(source string) { backend.bus.Publish(event.Event{Kind: event.Granted, Source: source}) }
	first := read("now", 1, func() { publish("1") })
	publish("2")
	publish("3")
	if rest := read(first[0].ID, 2, func() {}); rest[0].Source != "2" || rest[1].Source != "3" {
		t.Errorf("%+v", rest)
	}
	for after, code := range map[string]int{"": 400, "x": 410} {
		if answer := get("after=" + after); answer.StatusCode != code {
			t.Errorf("after %q: %s, want %d", after, answer.Status, code)
		}
	}
}

func TestErrors(t *testing.T) {
	backend := newBackend()
	c := api.NewClient(serve(t, backend))
	backend.err = &api.Error{Code: http.StatusUnprocessableEntity, Text: "two\nlines"}
	err := c.Reload()
	if e, ok := errors.AsType[*api.Error](err); !ok || *e != (api.Error{Code: 422, Text: "two\nlines"}) {
		t.Errorf("%#v", err)
	}
	backend.err = errors.New("the kernel is out of sorts")
	if _, err := c.Status(); err == nil || err.Error() != "the kernel is out of sorts" {
		t.Errorf("%v", err)
	}
	if _, err := api.NewClient("/nonexistent").Status(); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	backend := newBackend()
	c := api.NewClient(serve(t, backend))
	want := event.Event{Kind: event.Granted, Door: "ssh", Source: "203.0.113.7", By: event.ByAdmin, Time: time.Unix(1, 0).UTC(), Until: time.Unix(2, 0).UTC()}
	enough := errors.New("enough")
	err := c.Watch(t.Context(), api.Watch{Kinds: []string{"granted"}}, func() { backend.bus.Publish(event.Event{Kind: event.Scan}); backend.bus.Publish(want) }, func(got event.Event) error {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		return enough
	})
	if err != enough {
		t.Error(err)
	}
	for range 20 { // those that have gone make room
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			ctx, cancel := context.WithCancel(t.Context())
			if err := c.Watch(ctx, api.Watch{}, cancel, func(event.Event) error { return nil }); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}

// Whoever connects and does not get on with it makes room for others.
func TestManyConnections(t *testing.T) {
	backend := newBackend()
	socket := serve(t, backend)
	for i := range 2000 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, []string{"", "GET /v1/status HTTP/1.1\r\nX: ", "\x00\xff\x16\x03\x01\r\n\r\n"}[i%3])
	}
	big, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	go io.CopyN(big, zeros{}, 100<<20) // ends when the server has enough
	if _, err := api.NewClient(socket).Status(); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHeadersAreBounded(t *testing.T) {
	c, err := net.Dial("unix", serve(t, newBackend()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go fmt.Fprintf(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", answer, err)
	}
}

// FuzzControl looks for requests that make the handlers panic, or that are answered
// with something else than JSON.
func FuzzControl(f *testing.F) {
	for _, test := range requestTests {
		f.Add(test.method, test.path, test.body)
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, "http://x/"+strings.TrimPrefix(path, "/"), strings.NewReader(body))
		if err != nil || strings.HasPrefix(r.URL.Path, "/v1/events") { // which do not end
			return
		}
		backend := newBackend()
		answer := httptest.NewRecorder()
		NewServer(backend, http.NotFoundHandler()).Handler.ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMovedPermanently, http.StatusTemporaryRedirect:
			return // of net/http
		}
		if !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s %s: %d %q", method, path, answer.Code, answer.Body)
		}
		if answer.Code != http.StatusOK && len(backend.asked) > 0 {
			t.Error("refused, but the backend was asked")
		}
	})
}
