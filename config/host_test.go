package config

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

func TestReadHost(t *testing.T) {
	const (
		tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:8000 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 22222 1 0000000000000000 20 4 30 10 -1
`
		udp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 00000000000000000000000000000000:14E9 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 33333 2 0000000000000000 0
  102: 00000000000000000000000001000000:9000 00000000000000000000000001000000:0035 01 00000000:00000000 00:00000000 00000000     0        0 44444 2 0000000000000000 0
`
	)
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	tests := []struct {
		name string
		proc fstest.MapFS
		want Host
		err  string
	}{
		{
			name: "a host",
			proc: fstest.MapFS{
				"sys/net/ipv4/ip_local_port_range":     file("32768\t60999\n"),
				"sys/net/ipv4/ip_local_reserved_ports": file("40000-40001,51820\n"),
				"self/net/tcp":                         file(tcpTable),
				"self/net/udp6":                        file(udp6Table),
			},
			want: Host{32768, 60999, map[uint16]bool{51820: true, 40000: true, 40001: true}, map[knock.Port]bool{tcp(22): true, udp(5353): true}, nil},
		},
		{
			name: "a sandbox",
			proc: fstest.MapFS{},
			want: Host{Listening: map[knock.Port]bool{}},
		},
		{
			name: "not understood",
			proc: fstest.MapFS{
				"sys/net/ipv4/ip_local_port_range": file("many\n"),
				"self/net/tcp":                     file("heading\n0: 0000 0000 0A\n"),
				"self/net/tcp6":                    file(tcpTable),
			},
			want: Host{Listening: map[knock.Port]bool{tcp(22): true}},
			err: "/proc/sys/net/ipv4/ip_local_port_range: expected integer\n" +
				`/proc/self/net/tcp: strconv.ParseUint: parsing "": invalid syntax`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readHost(tt.proc)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Errorf("got error %q, want %q", text, tt.err)
			}
		})
	}
}
