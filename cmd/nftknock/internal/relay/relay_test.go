//go:build unix

package relay

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// dialPeer returns a connection with something at its other end.
func dialPeer(t *testing.T, peer func(*net.TCPConn)) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		peer(c.(*net.TCPConn))
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-done })
	return c.(*net.TCPConn)
}

// The kinds of files that standard input and output can be: each returns the end for the
// program, and the end for the test.
var kinds = map[string]func(*testing.T) (in, feed, out, drain *os.File){
	"pipes": func(t *testing.T) (in, feed, out, drain *os.File) {
		in, feed = pipe(t)
		drain, out = pipe(t)
		return in, feed, out, drain
	},
	"sockets": func(t *testing.T) (in, feed, out, drain *os.File) {
		in, feed = socketpair(t)
		out, drain = socketpair(t)
		return in, feed, out, drain
	},
	"one socket": func(t *testing.T) (in, feed, out, drain *os.File) {
		ours, theirs := socketpair(t)
		return ours, theirs, ours, theirs
	},
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// As a program gets them: ends that wait.
	r.Fd()
	w.Fd()
	return r, w
}

func socketpair(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// endInput tells the program that there is no more to come.
func endInput(f *os.File, kind string) {
	if kind == "pipes" {
		f.Close()
		return
	}
	syscall.Shutdown(int(f.Fd()), syscall.SHUT_WR)
}

func someData(t *testing.T) []byte {
	t.Helper()
	data := make([]byte, 5<<20+7)
	rand.Read(data)
	return data
}

// The peer says something only after it has heard everything, and needs for that the
// end of standard input.
func TestRelayPassesOnTheEndOfInput(t *testing.T) {
	for kind, files := range kinds {
		t.Run(kind, func(t *testing.T) {
			data := someData(t)
			conn := dialPeer(t, func(c *net.TCPConn) {
				heard, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(heard, data) {
					t.Errorf("the peer has heard %d bytes, or others: %v", len(heard), err)
				}
				c.Write(heard)
			})
			in, feed, out, drain := files(t)
			go func() {
				feed.Write(data)
				endInput(feed, kind)
			}()
			ended := make(chan error, 1)
			go func() { ended <- Copy(conn, in, out) }()
			got, err := io.ReadAll(drain)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes have come back, or others: %v", len(got), err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// The peer has said everything before it hears anything, and standard input ends only
// when standard output has.
func TestRelayPassesOnTheEndOfThePeer(t *testing.T) {
	for kind, files := range kinds {
		t.Run(kind, func(t *testing.T) {
			data := someData(t)
			conn := dialPeer(t, func(c *net.TCPConn) {
				c.Write(data)
				c.CloseWrite()
				heard, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(heard, data) {
					t.Errorf("the peer has heard %d bytes, or others: %v", len(heard), err)
				}
			})
			in, feed, out, drain := files(t)
			ended := make(chan error, 1)
			go func() { ended <- Copy(conn, in, out) }()
			got, err := io.ReadAll(drain)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes have come, or others: %v", len(got), err)
			}
			feed.Write(data)
			endInput(feed, kind)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRelayFiles(t *testing.T) {
	dir := t.TempDir()
	data := someData(t)
	if err := os.WriteFile(filepath.Join(dir, "in"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	conn := dialPeer(t, func(c *net.TCPConn) { io.Copy(c, c) })
	if err := Copy(conn, in, out); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(out.Name()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes have come back, or others: %v", len(got), err)
	}
}

// A connection that is reset ends it, whether or not standard input does, and is told.
func TestRelayReset(t *testing.T) {
	for kind, files := range kinds {
		t.Run(kind, func(t *testing.T) {
			conn := dialPeer(t, func(c *net.TCPConn) {
				c.Read(make([]byte, 1))
				c.SetLinger(0)
			})
			in, feed, out, _ := files(t)
			defer feed.Close()
			feed.Write([]byte{1})
			if err := Copy(conn, in, out); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Whoever reads standard output may end first, as ssh does when it has logged out: there is
// nothing to complain about.
func TestRelayWithoutReader(t *testing.T) {
	for kind, files := range kinds {
		t.Run(kind, func(t *testing.T) {
			conn := dialPeer(t, func(c *net.TCPConn) {
				for {
					if _, err := c.Write(make([]byte, 1<<16)); err != nil {
						return
					}
				}
			})
			in, _, out, drain := files(t)
			drain.Close()
			if err := Copy(conn, in, out); err != nil {
				t.Error(err)
			}
			conn.Close()
		})
	}
}
