package demo

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
)

// stopLimit is how long the daemon may take to stop.
const stopLimit = 5 * time.Second

// A daemon is the real daemon, in this process.
type daemon struct {
	bus    *event.Bus
	cancel context.CancelFunc
	ended  chan error
}

func startDaemon(ctx context.Context, cfg *config.Config, state statedir.Dir, log *slog.Logger) (*daemon, error) {
	bus := event.NewBus()
	g, err := gate.New(cfg, gate.Deps{Log: log, Bus: bus, State: state})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &daemon{bus: bus, cancel: cancel, ended: make(chan error, 1)}
	go func() { d.ended <- g.Run(ctx) }()
	return d, nil
}

// stop ends the daemon, unless it has ended, and returns what it ended with.
func (d *daemon) stop() error {
	d.cancel()
	select {
	case err := <-d.ended:
		if err != nil {
			return fmt.Errorf("the daemon ended: %w", err)
		}
		return nil
	case <-time.After(stopLimit):
		return fmt.Errorf("the daemon did not stop within %s", stopLimit)
	}
}

// A logBuffer keeps what is logged until it is wanted.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) text() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

// greet serves a port of the server until ctx ends: it greets whoever connects,
// or sends a datagram, by the address it sees.
func greet(ctx context.Context, port knock.Port) error {
	address := fmt.Sprintf(":%d", port.Number)
	var listen net.ListenConfig
	if port.Proto == knock.UDP {
		conn, err := listen.ListenPacket(ctx, "udp", address)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		go greetDatagrams(conn)
		return nil
	}
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go greetConnections(listener)
	return nil
}

func greetConnections(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, greeting(conn.RemoteAddr()))
		conn.Close()
	}
}

func greetDatagrams(conn net.PacketConn) {
	var datagram [1]byte
	for {
		_, from, err := conn.ReadFrom(datagram[:])
		if err != nil {
			return
		}
		conn.WriteTo([]byte(greeting(from)), from)
	}
}

func greeting(to net.Addr) string {
	host, _, _ := net.SplitHostPort(to.String())
	return "welcome, " + host
}
