package control

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
)

// The alerts are rules that Prometheus understands, about metrics that there are.
func TestAlerts(t *testing.T) {
	if promtool, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.Command(promtool, "check", "rules", "../../alerts.yml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	data, err := os.ReadFile("../../alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	names := metricNames(t)
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%+v", rule)
			}
			for _, name := range regexp.MustCompile(`nftknock_\w+`).FindAllString(rule.Expr, -1) {
				if !names[strings.TrimSuffix(name, "_bucket")] {
					t.Errorf("%s: there is no metric %s", rule.Alert, name)
				}
			}
		}
	}
	if len(names) < 10 || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 5 {
		t.Errorf("%d metrics, %+v", len(names), file)
	}
}

// busyStatus is how a daemon is to which everything has happened.
func busyStatus() *status.Status {
	return &status.Status{
		Daemon: &status.Daemon{InProgress: 1, Muted: 1, MessagesLost: 1},
		Doors:  []status.Door{{Name: "ssh", Granted: 1, Shut: 1}},
		Grants: []status.Grant{{Door: "ssh"}},
	}
}

// metricNames returns what a daemon to which everything has happened shows.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	m := NewMetrics()
	for _, kind := range event.Kinds {
		m.Count(event.Event{Kind: kind, Door: "ssh", By: event.ByKnock})
	}
	return namesIn(scrape(m.Full(&fakeBackend{status: busyStatus()})))
}

func scrape(h http.Handler) string {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

func namesIn(text string) map[string]bool {
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+)`).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	return names
}

// Whoever may read the metrics on TCP does not learn what a packet of theirs has done.
func TestCoarseMetricsTellNothingOfPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := NewMetrics(), &fakeBackend{status: &status.Status{Daemon: new(status.Daemon), Doors: []status.Door{{Name: "ssh"}}}}
		coarse := m.Coarse(backend)
		before := scrape(coarse)
		backend.status = busyStatus()
		for _, kind := range []event.Kind{event.Granted, event.Revoked, event.Refused, event.Scan} {
			m.Count(event.Event{Kind: kind, Door: "ssh", By: event.ByKnock, Took: 1})
		}
		if after := scrape(coarse); after != before {
			t.Errorf("before\n%safter\n%s", before, after)
		}
		time.Sleep(delay)
		names := namesIn(scrape(coarse))
		for name, want := range map[string]bool{
			"nftknock_build_info": true, "nftknock_healthy": true, "nftknock_grants": true, "nftknock_granted_total": true,
			"nftknock_granted_connections_total": false, "nftknock_shut_packets_total": false, "nftknock_in_progress": false, "nftknock_muted": false, "nftknock_scans_total": false,
			"nftknock_refused_total": false, "nftknock_opening_seconds": false, "go_memstats_mallocs_total": false,
			"process_cpu_seconds_total": false,
		} {
			if names[name] != want {
				t.Errorf("%s: %v, want %v", name, names[name], want)
			}
		}
	})
}
