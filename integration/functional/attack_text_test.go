package functional

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestHooksDistrustTheDaemon has something else than the daemon, or a daemon that somebody has
// taken over, send events to a watch that runs a program as root.
func TestHooksDistrustTheDaemon(t *testing.T) {
	t.Parallel()
	host := lab.NewHost(t, "server")
	hostile := []string{
		`{"kind":"KIND","door":"$(id)","source":"192.0.2.1","by":"knock"}`,
		`{"kind":"KIND","door":"ssh; id","source":"192.0.2.2","by":"knock"}`,
		`{"kind":"KIND","door":"ssh\nNFTKNOCK_SOURCE=192.0.2.3","source":"192.0.2.3","by":"knock"}`,
		`{"kind":"KIND","door":"ssh","source":"-rf /","by":"knock"}`,
		`{"kind":"KIND","door":"ssh","source":"192.0.2.4; id","by":"knock"}`,
		"{\"kind\":\"KIND\",\"door\":\"ssh\",\"source\":\"192.0.2.5`id`\",\"by\":\"knock\"}",
		`{"kind":"KIND","door":"../../etc/passwd","source":"192.0.2.6","by":"knock"}`,
		`{"kind":"KIND","door":"ssh","source":"192.0.2.7","by":"$(id)"}`,
		`{"kind":"KIND","door":"ssh","source":"192.0.2.8","by":"knock","text":"\u001b]0;title\u0007\u0000"}`,
		`{"kind":"KIND","door":"` + strings.Repeat("a", 200_000) + `","source":"192.0.2.9","by":"knock"}`,
		`{"kind":"$(id)","door":"ssh","source":"192.0.2.10","by":"knock"}`,
	}
	socket := serveEvents(t, func(kind string) []string {
		var lines []string
		for _, line := range hostile {
			lines = append(lines, strings.ReplaceAll(line, "KIND", kind))
		}
		// The last one is in order: when it has been dealt with, all have been.
		return append(lines, fmt.Sprintf(`{"time":"2026-01-02T03:04:05Z","kind":%q,"door":"ssh","source":"198.51.100.7","by":"knock","until":"2026-01-02T03:05:05Z"}`, kind))
	})
	done := filepath.Join(t.TempDir(), "done")
	const hook = `cat >/dev/null; printf '%s|%s|%s|%s|%s\0' "$NFTKNOCK_KIND" "$NFTKNOCK_DOOR" "$NFTKNOCK_SOURCE" "$NFTKNOCK_BY" "$NFTKNOCK_TEXT" >>"$0"`
	host.Start(t, lab.Nftknockd, "watch", "--socket", socket, "--at-once", "1", "--exec", "sh", "-c", hook, done)
	read := func() []string {
		b, _ := os.ReadFile(done)
		return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	}
	lab.Eventually(t, "the program has run for the last event", func() bool { return strings.Contains(strings.Join(read(), ""), "198.51.100.7") })
	harmless := regexp.MustCompile(`^[a-z_]+\|[a-z][a-z0-9_]{0,15}\|[0-9a-fA-F.:/%]+\|[a-z]*\|[\x20-\x7e]*$`)
	for _, event := range read() {
		if !harmless.MatchString(event) {
			t.Errorf("the program was given %.200q", event)
		}
	}
}

// serveEvents answers on a socket as a daemon does, with events of its own for whoever watches.
// They are of a kind that the watcher knows.
func serveEvents(t testing.TB, events func(kind string) []string) (socket string) {
	t.Helper()
	socket = lab.NewSocket(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.(http.Flusher).Flush()
		for _, line := range events(knownKind) {
			fmt.Fprintln(w, line)
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		server.Close()
	})
	return socket
}

// knownKind is the kind of event that somebody is let in by.
const knownKind = "granted"

// TestSpoofedPacketsBanNobody has a stranger send packets in somebody's name, as a scan's and as
// wrong attempts, and reads the daemon's log as fail2ban does.
func TestSpoofedPacketsBanNobody(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		victim := l.Phantom(t, f.Addr(1, 30, 1))
		to := s.Server.PortsIn(t, "knock_tcp")
		for range 5 {
			for n, port := range to {
				l.Send(t, lab.SYNOf(netip.AddrPortFrom(victim, uint16(40000+n)), netip.AddrPortFrom(s.Addr, port), uint32(n)).Datagram())
			}
		}
		s.Settle(t, "ssh", lab.SSHSequence...)
		for line := range strings.Lines(d.Log()) {
			for _, filter := range fail2banFilter(t) {
				if m := filter.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil && m[filter.SubexpIndex("addr")] == victim.String() {
					t.Fatalf("fail2ban bans who has sent nothing: %s", line)
				}
			}
		}
	})
}

// fail2banFilter returns the expressions of the filter that comes with the daemon.
func fail2banFilter(t testing.TB) []*regexp.Regexp {
	t.Helper()
	const file = "../../systemd/fail2ban/nftknockd.conf"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var prefix string
	var filters []*regexp.Regexp
	in := false
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case found && key == "_prefix":
			prefix = value
			continue
		case found && key == "failregex":
			in = true
		case in && strings.HasPrefix(line, " "):
			value = strings.TrimSpace(line)
		default:
			in = false
		}
		if in {
			value = strings.ReplaceAll(value, "%(_prefix)s", prefix)
			filters = append(filters, regexp.MustCompile(strings.ReplaceAll(value, "<ADDR>", `(?P<addr>[0-9a-fA-F.:]+)`)))
		}
	}
	if len(filters) == 0 {
		t.Fatalf("%s: no failregex", file)
	}
	return filters
}
