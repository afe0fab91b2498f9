package functional

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestMetrics fetches them from the socket, and from where the configuration says.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	d := lab.StartDaemon(t, s.Server, "[metrics]\nlisten = \"127.0.0.1:9722\"\n"+lab.SSHDoor)
	s.Knock(t, s.Source, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Source)
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)
	for _, test := range []struct {
		name string
		dial func() (net.Conn, error)
		want []string // how lines begin
		not  string
	}{
		{"socket", func() (net.Conn, error) { return net.Dial("unix", d.Socket) }, []string{
			`nftknock_build_info{`,
			`nftknock_granted_total{by="knock",door="ssh"} 1`,
			`nftknock_grants{door="ssh"} 1`,
			`nftknock_opening_seconds_count 1`,
			`nftknock_healthy 1`,
			`nftknock_log_messages_lost_total 0`,
			`nftknock_shut_packets_total{door="ssh"} `,
			`process_resident_memory_bytes `,
		}, s.Source.String()},
		{"tcp", func() (c net.Conn, err error) {
			err = s.Server.In(func() (err error) { c, err = net.Dial("tcp", "127.0.0.1:9722"); return err })
			return c, err
		}, []string{
			`nftknock_build_info{`,
			`nftknock_granted_total{by="knock",door="ssh"} 1`,
			`nftknock_grants{door="ssh"} 1`,
			`nftknock_healthy 1`,
		}, "packets_total"},
	} {
		c, err := test.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text := get(t, c, "/metrics")
		for _, line := range test.want {
			if !strings.Contains(text, "\n"+line) {
				t.Errorf("%s: there is no %s:\n%s", test.name, line, text)
			}
		}
		if strings.Contains(text, test.not) {
			t.Errorf("%s: there is %s:\n%s", test.name, test.not, text)
		}
	}
	var c net.Conn
	err := s.Server.In(func() (err error) { c, err = net.Dial("tcp", "127.0.0.1:9722"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text := get(t, c, "/v1/status"); strings.Contains(text, "doors") {
		t.Errorf("over TCP there is more than metrics: %s", text)
	}
}

// get fetches a page over a connection.
func get(t testing.TB, c net.Conn, path string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(lab.Timeout))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
