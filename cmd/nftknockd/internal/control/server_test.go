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
	"testing"
	"time"
)

// fakeDesk says what it was asked.
type fakeDesk struct {
	hub   Hub
	asked chan string
	err   error
}

func (f *fakeDesk) ask(format string, args ...any) error {
	select {
	case f.asked <- fmt.Sprintf(format, args...):
	default:
	}
	return f.err
}

func (f *fakeDesk) Status() (*Status, error) { return &Status{Running: true}, f.ask("status") }
func (f *fakeDesk) Open(door string, source netip.Prefix, d time.Duration) (*Result, error) {
	return &Result{Door: door}, f.ask("open %q %v %v", door, source, d)
}
func (f *fakeDesk) Close(door string, source netip.Prefix) (*Result, error) {
	return &Result{Door: door}, f.ask("close %q %v", door, source)
}
func (f *fakeDesk) Reload(context.Context) error          { return f.ask("reload") }
func (f *fakeDesk) Watch(kinds ...Kind) (*Watcher, error) { return f.hub.Watch(kinds, nobody) }

// serve serves a desk at a socket of its own.
func serve(t testing.TB, desk Desk) (socket string) {
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
	server := NewServer(desk, http.NotFoundHandler())
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
	{"POST", "/v1/open", `{"door":"ssh","source":"203.0.113.7"}`, 200, `open "ssh" 203.0.113.7/32 0s`},
	{"POST", "/v1/open", `{"door":"ssh","source":"::ffff:203.0.113.7","for":"90"}`, 200, `open "ssh" 203.0.113.7/32 1m30s`},
	{"POST", "/v1/open", `{"door":"ssh","source":"2001:db8::7/64","for":"8h"}`, 200, `open "ssh" 2001:db8::/64 8h0m0s`},
	{"POST", "/v1/close", `{"door":"ssh","source":"203.0.113.7/24"}`, 200, `close "ssh" 203.0.113.0/24`},
	{"POST", "/v1/close", `{"door":"ssh","all":true}`, 200, `close "ssh" invalid Prefix`},

	{"GET", "/", "", 404, ""},
	{"GET", "/v1/events?kind=let_in&kind=letin", "", 400, ""},
	{"GET", "/v2/status", "", 404, ""},
	{"POST", "/v1/status", "", 405, ""},
	{"GET", "/v1/open", "", 405, ""},
	{"POST", "/v1/open", ``, 400, ""},
	{"POST", "/v1/open", `[]`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh"}`, 400, ""},
	{"POST", "/v1/open", `{"door":"ssh","source":"fe80::1%eth0"}`, 400, ""},
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
			desk := &fakeDesk{asked: make(chan string, 1)}
			answer := request(NewServer(desk, http.NotFoundHandler()).Handler, test.method, test.path, test.body)
			if answer.Code != test.code {
				t.Errorf("%d %s, want %d", answer.Code, answer.Body, test.code)
			}
			asked := ""
			select {
			case asked = <-desk.asked:
			default:
			}
			if asked != test.asks {
				t.Errorf("the desk is asked %q, want %q", asked, test.asks)
			}
		})
	}
}

func request(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer
}

func TestErrors(t *testing.T) {
	desk := &fakeDesk{}
	c := NewClient(serve(t, desk))
	desk.err = &Error{http.StatusUnprocessableEntity, "two\nlines"}
	err := c.Reload()
	if e, ok := errors.AsType[*Error](err); !ok || *e != (Error{422, "two\nlines"}) {
		t.Errorf("%#v", err)
	}
	desk.err = errors.New("the kernel is out of sorts")
	if _, err := c.Status(); err == nil || err.Error() != "the kernel is out of sorts" {
		t.Errorf("%v", err)
	}
	if _, err := NewClient("/nonexistent").Status(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	desk := &fakeDesk{}
	c := NewClient(serve(t, desk))
	want := Event{Kind: LetIn, Door: "ssh", Source: "203.0.113.7", By: ByHand, Time: time.Unix(1, 0).UTC(), Until: time.Unix(2, 0).UTC()}
	enough := errors.New("enough")
	err := c.Watch(t.Context(), []string{"let_in"}, func() { desk.hub.Publish(Event{Kind: Scan}); desk.hub.Publish(want) }, func(got Event) error {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		return enough
	})
	if err != enough {
		t.Error(err)
	}
	for range maxWatchers + 1 { // those that have gone make room
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			ctx, cancel := context.WithCancel(t.Context())
			if err := c.Watch(ctx, nil, cancel, func(Event) error { return nil }); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}

// Whoever connects and does not get on with it makes room for others.
func TestManyConnections(t *testing.T) {
	desk := &fakeDesk{}
	socket := serve(t, desk)
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
	if _, err := NewClient(socket).Status(); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHeadersAreBounded(t *testing.T) {
	c, err := net.Dial("unix", serve(t, &fakeDesk{}))
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
		desk := &fakeDesk{asked: make(chan string, 1)}
		answer := httptest.NewRecorder()
		NewServer(desk, http.NotFoundHandler()).Handler.ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMovedPermanently, http.StatusTemporaryRedirect:
			return // of net/http
		}
		if !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s %s: %d %q", method, path, answer.Code, answer.Body)
		}
		if answer.Code != http.StatusOK && len(desk.asked) > 0 {
			t.Error("refused, but the desk was asked")
		}
	})
}
