package control

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nftknock/cmd/nftknockd/internal/control"
)

// metrics counts what happens, and asks the gate for the rest when it is scraped.
type metrics struct {
	registry *prometheus.Registry
	letIn    *prometheus.CounterVec
	putOut   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	scans    prometheus.Counter
	amiss    prometheus.Counter
	opening  prometheus.Histogram
}

func newMetrics() *metrics {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		letIn:    vector("nftknock_let_in_total", "Sources let in, renewals included.", "door", "by"),
		putOut:   vector("nftknock_put_out_total", "Sources put out before their time was over.", "door", "by"),
		refused:  vector("nftknock_refused_total", "Attempts that were refused.", "door"),
		reloads:  vector("nftknock_reloads_total", "Reloads of the configuration.", "result"),
		scans:    counter("nftknock_scans_total", "Sources that were taken for scanners."),
		amiss:    counter("nftknock_amiss_total", "Times that the kernel did not hold what was decided."),
		opening: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "nftknock_opening_seconds",
			Help:    "From the last knock's arrival at the daemon until the kernel lets its source in.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 8), // 50 µs to 0.8 s
		}),
	}
	m.registry.MustRegister(
		m.letIn, m.putOut, m.refused, m.reloads, m.scans, m.amiss, m.opening,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, result := range []control.Kind{control.Reloaded, control.ReloadRefused} {
		m.reloads.WithLabelValues(string(result)) // an alert needs the 0 too
	}
	return m
}

// handler serves the metrics, those that it takes a look at the desk for among them.
func (m *metrics) handler(d *desk) http.Handler {
	m.registry.MustRegister(&gauges{d})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func (m *metrics) count(e control.Event) {
	switch e.Kind {
	case control.LetIn:
		m.letIn.WithLabelValues(e.Door, e.By).Inc()
	case control.PutOut:
		m.putOut.WithLabelValues(e.Door, e.By).Inc()
	case control.Refused:
		m.refused.WithLabelValues(e.Door).Inc()
	case control.Scan:
		m.scans.Inc()
	case control.Reloaded, control.ReloadRefused:
		m.reloads.WithLabelValues(string(e.Kind)).Inc()
	case control.Amiss:
		m.amiss.Inc()
	}
}

// gauges is what is looked up when it is asked for.
type gauges struct{ desk *desk }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	startedGauge  = gauge("nftknock_start_time_seconds", "When the daemon started, in seconds since 1970.")
	healthyGauge  = gauge("nftknock_healthy", "1 if the kernel holds what was decided and knocks are heard.")
	ownedGauge    = gauge("nftknock_table_owned", "1 if nobody else can change the table.")
	progressGauge = gauge("nftknock_in_progress", "Attempts that have begun and not succeeded.")
	limitGauge    = gauge("nftknock_in_progress_limit", "Attempts beyond which the oldest are forgotten: limits.sources.")
	mutedGauge    = gauge("nftknock_muted", "Sources that are not listened to, or were not lately.")
	lostCounter   = gauge("nftknock_log_messages_lost_total", "Messages of the kernel's packet log that did not arrive.")
	peopleGauge   = gauge("nftknock_people", "Sources that are let in at this moment.", "door")
	packetCounter = gauge("nftknock_packets_total", "Packets to a door's ports that were part of no connection.", "door", "verdict")
)

var gaugeDescs = []*prometheus.Desc{
	startedGauge, healthyGauge, ownedGauge, progressGauge, limitGauge, mutedGauge, lostCounter, peopleGauge, packetCounter,
}

func (*gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range gaugeDescs {
		ch <- d
	}
}

func (m *gauges) Collect(ch chan<- prometheus.Metric) {
	s, err := m.desk.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(healthyGauge, err)
		return
	}
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	send(startedGauge, prometheus.GaugeValue, float64(s.Daemon.Started.UnixNano())/1e9)
	send(healthyGauge, prometheus.GaugeValue, oneIf(s.Exists && s.Daemon.Amiss == ""))
	send(ownedGauge, prometheus.GaugeValue, oneIf(s.Owned))
	send(progressGauge, prometheus.GaugeValue, float64(s.Daemon.InProgress))
	send(limitGauge, prometheus.GaugeValue, float64(s.Daemon.Limit))
	send(mutedGauge, prometheus.GaugeValue, float64(s.Daemon.Muted))
	send(lostCounter, prometheus.CounterValue, float64(s.Daemon.MessagesLost))
	in := make(map[string]int)
	for _, p := range s.People {
		in[p.Door]++
	}
	for _, d := range s.Doors {
		send(peopleGauge, prometheus.GaugeValue, float64(in[d.Name]), d.Name)
		send(packetCounter, prometheus.CounterValue, float64(d.LetIn), d.Name, "let_in")
		send(packetCounter, prometheus.CounterValue, float64(d.Shut), d.Name, "shut")
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
