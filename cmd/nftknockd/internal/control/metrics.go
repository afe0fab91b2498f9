package control

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"nftknock/cmd/internal/build"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
)

// Metrics count what happens. The rest they ask the gate for when they are scraped.
//
// There are two views. The full one is for the control socket. The coarse one is for TCP,
// where any local user may read it: nothing in it moves with a single packet, because
// whoever can read a counter that does can find out, with packets from made-up sources,
// which ports are watched and in which order they open. What only an achieved grant moves
// is there with a delay.
type Metrics struct {
	granted  *prometheus.CounterVec
	revoked  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	scans    prometheus.Counter
	degraded prometheus.Counter
	opening  prometheus.Histogram
	build    prometheus.Gauge
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		granted:  vector("nftknock_granted_total", "Grants, renewals included.", "door", "by"),
		revoked:  vector("nftknock_revoked_total", "Grants that were revoked before their end.", "door", "by"),
		refused:  vector("nftknock_refused_total", "Attempts that were refused.", "door"),
		reloads:  vector("nftknock_reloads_total", "Reloads of the configuration.", "result"),
		scans:    counter("nftknock_scans_total", "Sources that were taken for scanners."),
		degraded: counter("nftknock_degraded_total", "Times that the kernel did not hold what was decided."),
		opening: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "nftknock_opening_seconds",
			Help:    "From the last knock's arrival at the daemon until the kernel lets its source in.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 8), // 50 µs to 0.8 s
		}),
		build: buildInfo(),
	}
	for _, result := range []event.Kind{event.Reloaded, event.ReloadRefused} {
		m.reloads.WithLabelValues(string(result)) // an alert needs the 0 too
	}
	return m
}

func buildInfo() prometheus.Gauge {
	b := build.Read()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nftknock_build_info", Help: "1, with what the daemon was built from as labels.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	g.Set(1)
	return g
}

// Count counts an event: a tap for [event.NewBus].
func (m *Metrics) Count(e event.Event) {
	switch e.Kind {
	case event.Granted:
		m.granted.WithLabelValues(e.Door, e.By).Inc()
		if e.Took > 0 {
			m.opening.Observe(e.Took.Seconds())
		}
	case event.Revoked:
		m.revoked.WithLabelValues(e.Door, e.By).Inc()
	case event.Refused:
		m.refused.WithLabelValues(e.Door).Inc()
	case event.Scan:
		m.scans.Inc()
	case event.Reloaded, event.ReloadRefused:
		m.reloads.WithLabelValues(string(e.Kind)).Inc()
	case event.Degraded:
		m.degraded.Inc()
	}
}

// Full serves all metrics.
func (m *Metrics) Full(backend Backend) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		m.build, m.granted, m.revoked, m.refused, m.reloads, m.scans, m.degraded, m.opening,
		&gauges{backend: backend, descs: slices.Concat(coarseGauges, grantGauges, fineGauges), collect: collectAll},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return handlerFor(r)
}

// delay is how old the grants of the coarse view may be.
const delay = time.Minute

// Coarse serves the metrics that tell nothing about single packets.
func (m *Metrics) Coarse(backend Backend) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		m.build, m.reloads, m.degraded,
		&gauges{backend: backend, descs: coarseGauges, collect: collectCoarse},
	)
	delayed := prometheus.NewRegistry()
	delayed.MustRegister(m.granted, m.revoked, &gauges{backend: backend, descs: grantGauges, collect: collectGrants})
	return handlerFor(prometheus.Gatherers{r, &snapshots{of: delayed}})
}

func handlerFor(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// snapshots are gathered anew no more often than once in delay.
type snapshots struct {
	of prometheus.Gatherer

	mu    sync.Mutex
	taken time.Time
	last  []*dto.MetricFamily
}

func (s *snapshots) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken.IsZero() || time.Since(s.taken) >= delay {
		var err error
		if s.last, err = s.of.Gather(); err != nil {
			return nil, err
		}
		s.taken = time.Now()
	}
	return s.last, nil
}

// gauges are looked up when they are asked for.
type gauges struct {
	backend Backend
	descs   []*prometheus.Desc
	collect func(*status.Status, sendFunc)
}

type sendFunc func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	startedGauge  = desc("nftknock_start_time_seconds", "When the daemon started, in seconds since 1970.")
	healthyGauge  = desc("nftknock_healthy", "1 if the kernel holds what was decided and knocks are heard.")
	lastGoodGauge = desc("nftknock_last_good", "1 if the last good configuration is in force, as the file cannot be.")
	ownedGauge    = desc("nftknock_table_owned", "1 if nobody else can change the table.")
	limitGauge    = desc("nftknock_in_progress_limit", "Attempts beyond which the oldest are forgotten: limits.sources.")

	grantsGauge = desc("nftknock_grants", "Sources that are let in.", "door")

	fleetGauge = desc("nftknock_fleet_connected", "1 if grants are shared with other gates now.")
	gatesGauge = desc("nftknock_fleet_gates", "Other gates of the group that live.")
	lagGauge   = desc("nftknock_fleet_lag_seconds", "How long the latest decision of another gate took from the bucket to here.")

	progressGauge = desc("nftknock_in_progress", "Attempts that have begun and not succeeded.")
	mutedGauge    = desc("nftknock_muted", "Sources that are not listened to.")
	lostCounter   = desc("nftknock_log_messages_lost_total", "Messages of the kernel's packet log that did not arrive.")
	spaCounter    = desc("nftknock_spa_refused_total", "Packets of single packet authorization that have opened nothing.", "reason")
	beganCounter  = desc("nftknock_granted_connections_total", "Connections and flows that a door has let in.", "door")
	shutCounter   = desc("nftknock_shut_packets_total", "Packets to a door's ports that no door let in.", "door")
)

var (
	coarseGauges = []*prometheus.Desc{startedGauge, healthyGauge, lastGoodGauge, ownedGauge, limitGauge}
	grantGauges  = []*prometheus.Desc{grantsGauge}
	fineGauges   = []*prometheus.Desc{fleetGauge, gatesGauge, lagGauge, progressGauge, mutedGauge, lostCounter, spaCounter, beganCounter, shutCounter}
)

func (m *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

func (m *gauges) Collect(ch chan<- prometheus.Metric) {
	s, err := m.backend.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(m.descs[0], err)
		return
	}
	m.collect(s, func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	})
}

func collectAll(s *status.Status, send sendFunc) {
	collectCoarse(s, send)
	collectGrants(s, send)
	if f := s.Daemon.Fleet; f != nil {
		send(fleetGauge, prometheus.GaugeValue, oneIf(f.Connected))
		send(gatesGauge, prometheus.GaugeValue, float64(len(f.Gates)))
		send(lagGauge, prometheus.GaugeValue, f.Lag)
	}
	send(progressGauge, prometheus.GaugeValue, float64(s.Daemon.InProgress))
	send(mutedGauge, prometheus.GaugeValue, float64(s.Daemon.Muted))
	send(lostCounter, prometheus.CounterValue, float64(s.Daemon.MessagesLost))
	for reason, n := range s.Daemon.SPARefused {
		send(spaCounter, prometheus.CounterValue, float64(n), reason)
	}
	for _, d := range s.Doors {
		send(beganCounter, prometheus.CounterValue, float64(d.Granted), d.Name)
		send(shutCounter, prometheus.CounterValue, float64(d.Shut), d.Name)
	}
}

func collectCoarse(s *status.Status, send sendFunc) {
	send(startedGauge, prometheus.GaugeValue, float64(s.Daemon.Started.UnixNano())/1e9)
	send(healthyGauge, prometheus.GaugeValue, oneIf(s.Exists && s.Daemon.Degraded == ""))
	send(lastGoodGauge, prometheus.GaugeValue, oneIf(s.Daemon.LastGood))
	send(ownedGauge, prometheus.GaugeValue, oneIf(s.Owned))
	send(limitGauge, prometheus.GaugeValue, float64(s.Daemon.Limit))
}

func collectGrants(s *status.Status, send sendFunc) {
	grants := make(map[string]int)
	for _, g := range s.Grants {
		grants[g.Door]++
	}
	for _, d := range s.Doors {
		send(grantsGauge, prometheus.GaugeValue, float64(grants[d.Name]), d.Name)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
