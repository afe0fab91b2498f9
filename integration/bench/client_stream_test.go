package bench

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// BenchmarkClientStream measures what "nftknock proxy" costs a stream on loopback: the
// same transfer with a direct connection and through the proxy, in turn. The ratio is
// the speed through the proxy, in parts of the direct one. It says something on an idle
// machine only, and takes a processor for the proxy beside those of the two ends.
func BenchmarkClientStream(b *testing.B) {
	h := lab.NewHost(b, "host")
	const size = 512 << 20
	loopback := netip.MustParseAddr("127.0.0.1")

	proxy := func(port uint16) string { return fmt.Sprintf("%s proxy -d 0 %v %d 9", lab.Nftknock, loopback, port) }
	d := lab.StartSSHD(b, h, 22)
	direct := strings.Join(d.SSH(loopback, netip.AddrPortFrom(loopback, 22)), " ")
	for name, way := range map[string]string{
		"ssh":    fmt.Sprintf("-o 'ProxyCommand=%s'", proxy(22)),
		"fdpass": fmt.Sprintf("-o 'ProxyCommand=%s --fdpass' -o ProxyUseFdpass=yes", proxy(22)),
	} {
		through := way + " " + direct
		up := fmt.Sprintf("head -c %d /dev/zero | ssh %%s 'cat > /dev/null'", size)
		down := fmt.Sprintf("ssh %%s 'head -c %d /dev/zero' > /dev/null", size)
		compare(b, h, name+"/up", size, fmt.Sprintf(up, direct), fmt.Sprintf(up, through))
		compare(b, h, name+"/down", size, fmt.Sprintf(down, direct), fmt.Sprintf(down, through))
	}

	const write, read = "dd status=none if=/dev/zero bs=256k count=2048", "dd status=none of=/dev/null bs=256k"
	sink := serve(b, h, func(c net.Conn) { io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, make([]byte, 256<<10)) })
	compare(b, h, "raw/up", size, fmt.Sprintf("%s > /dev/tcp/%v/%d", write, loopback, sink), write+" | "+proxy(sink))
	source := serve(b, h, func(c net.Conn) {
		for chunk, n := make([]byte, 256<<10), 0; n < size; n += len(chunk) {
			c.Write(chunk)
		}
	})
	compare(b, h, "raw/down", size, fmt.Sprintf("%s < /dev/tcp/%v/%d", read, loopback, source), proxy(source)+" < /dev/null | "+read)
}

// compare runs two commands of bash that bring as many bytes.
func compare(b *testing.B, h *lab.Host, name string, size int, direct, through string) {
	b.Run(name, func(b *testing.B) {
		var took [2]time.Duration
		for b.Loop() {
			for i, line := range []string{direct, through} {
				start := time.Now()
				h.Run(b, "bash", "-o", "pipefail", "-c", line)
				took[i] += time.Since(start)
			}
		}
		b.ReportMetric(0, "ns/op")
		for i, what := range []string{"direct-MB/s", "proxy-MB/s"} {
			b.ReportMetric(float64(size)*float64(b.N)/took[i].Seconds()/1e6, what)
		}
		b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
	})
}

// serve answers each connection, one after the other, and returns the port.
func serve(b *testing.B, h *lab.Host, answer func(net.Conn)) uint16 {
	b.Helper()
	var l net.Listener
	err := h.In(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}
