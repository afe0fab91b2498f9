package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/api"
)

// ListenAt makes the control socket of a daemon, unless the path is empty.
func ListenAt(path string) (net.Listener, error) {
	if path == "" {
		return nil, nil
	}
	if path == api.DefaultSocket {
		os.Mkdir(filepath.Dir(path), 0o700) // as systemd's RuntimeDirectory=; Listen says if it is missing
	}
	return Listen(path)
}

// listenMetrics listens at an address that need not be there yet (IP_FREEBIND in ip(7);
// Linux takes it for IPv6 too): the daemon may start before the network.
func listenMetrics(address netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		freebind := func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }
		if controlErr := c.Control(freebind); controlErr != nil {
			return controlErr
		}
		return err
	}}
	l, err := lc.Listen(context.Background(), "tcp", address.String())
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fmt.Errorf("%w: the unit's sandbox has no network: it takes nftknockd.service.d/metrics.conf too", err)
	}
	return l, err
}

// Servers are the servers of a daemon: the control socket's, and that of metrics on TCP.
type Servers []*running

// A running server.
type running struct {
	http  *http.Server
	end   context.CancelFunc // of what would not end by itself: event streams
	ended chan struct{}      // closed when the listener is
}

// Serve answers at a socket, unless it is nil, and shows metrics at an address, unless it
// is not valid. What cannot be served is logged: the doors are more important.
func Serve(backend Backend, metrics *Metrics, socket net.Listener, metricsAddress netip.AddrPort, log *slog.Logger) Servers {
	var servers Servers
	if socket != nil {
		servers = append(servers, start(NewServer(backend, metrics.Full(backend)), socket, log))
	}
	if !metricsAddress.IsValid() {
		return servers
	}
	l, err := listenMetrics(metricsAddress)
	if err != nil {
		log.Error("no metrics are shown", "error", err)
		return servers
	}
	return append(servers, start(NewMetricsServer(metrics.Coarse(backend)), l, log))
}

func start(s *http.Server, l net.Listener, log *slog.Logger) *running {
	ctx, cancel := context.WithCancel(context.Background())
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(Limit(l)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control server stopped", "address", l.Addr().String(), "error", err)
		}
	}()
	return &running{s, cancel, ended}
}

// Stop waits a little for answers that are being given, and until nothing listens.
func (s Servers) Stop() {
	for _, r := range s {
		r.end()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if r.http.Shutdown(ctx) != nil {
			r.http.Close()
		}
		cancel()
		<-r.ended
	}
}
