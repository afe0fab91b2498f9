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

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/control"
)

// addSocketFlag adds the flag of the commands that talk to the daemon, and of the one that is it.
func addSocketFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("socket", control.DefaultSocket, "control socket `PATH`")
}

// listenControl makes the control socket, unless the path is empty.
func listenControl(path string) (net.Listener, error) {
	if path == "" {
		return nil, nil
	}
	if path == control.DefaultSocket {
		os.Mkdir(filepath.Dir(path), 0o700) // what systemd's RuntimeDirectory= does; Listen tells if it cannot be
	}
	return control.Listen(path)
}

// listenMetrics listens where the configuration says. The address need not be there
// yet (IP_FREEBIND in ip(7); Linux takes it for IPv6 too): the daemon may start before
// the network.
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

// serveDesk answers at the control socket, if there is one, and shows metrics where the
// configuration says. It goes on without: the doors are more important.
func (g *gate) serveDesk(socket net.Listener, metricsAddress netip.AddrPort) {
	desk := &desk{gate: g}
	metrics := g.metrics.handler(desk)
	if socket != nil {
		g.servers = append(g.servers, startServer(control.NewServer(desk, metrics), socket, g.log))
	}
	if !metricsAddress.IsValid() {
		return
	}
	l, err := listenMetrics(metricsAddress)
	if err != nil {
		g.log.Error("no metrics are shown", "error", err)
		return
	}
	g.servers = append(g.servers, startServer(control.NewMetricsServer(metrics), l, g.log))
}

// A server is an HTTP server that runs.
type server struct {
	http *http.Server
	end  context.CancelFunc // of what would not end by itself: event streams
}

func startServer(s *http.Server, l net.Listener, log *slog.Logger) *server {
	ctx, cancel := context.WithCancel(context.Background())
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	go func() {
		if err := s.Serve(control.Limit(l)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("nobody is answered any more", "address", l.Addr().String(), "error", err)
		}
	}()
	return &server{s, cancel}
}

// stop waits a little for answers that are being given.
func (s *server) stop() {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}
