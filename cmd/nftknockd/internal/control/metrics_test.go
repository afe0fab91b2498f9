package control

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nftknock/cmd/nftknockd/internal/control"
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

// metricNames returns what a daemon to which everything has happened shows.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	g := newGate(slog.New(slog.DiscardHandler), stateDir(t.TempDir()), func(string) {})
	for _, kind := range control.Kinds {
		g.publish(control.Event{Kind: kind, Door: "ssh", By: control.ByKnock})
	}
	names := make(map[string]bool)
	families, err := g.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, d := range gaugeDescs {
		names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	return names
}
