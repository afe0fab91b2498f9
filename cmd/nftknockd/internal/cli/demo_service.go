package cli

import (
	"context"
	"fmt"
	"net"

	"nftknock/knock"
)

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
