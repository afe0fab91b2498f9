package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An SSHD is a real sshd, with one key that may log in.
type SSHD struct {
	Key string // the file of the client's private key

	server *Process
}

// StartSSHD runs sshd on the ports given, of all addresses of the host.
func StartSSHD(t testing.TB, h *Host, ports ...uint16) *SSHD {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"host_key", "user_key"} {
		h.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file(key))
	}

	var config strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&config, "Port %d\n", p)
	}
	fmt.Fprintf(&config, "HostKey %q\nAuthorizedKeysFile %q\n", file("host_key"), file("user_key.pub"))
	config.WriteString(`
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
`)
	write("sshd_config", config.String())

	// sshd wants a directory in /run, and refuses a root whose password is
	// locked, as it is where people use sudo. It gets a /run and a shadow
	// file of its own, and a root whose shell runs nothing when it starts: what people
	// have there may take seconds, or a lock.
	write("shadow", "root:*:::::::\n")
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	passwd := "root:x:0:0:root:" + dir + ":/bin/sh\n"
	for line := range strings.Lines(string(users)) {
		if !strings.HasPrefix(line, "root:") {
			passwd += line
		}
	}
	write("passwd", passwd)
	const script = `mount -t tmpfs none /run && mkdir /run/sshd && mount --bind "$0" /etc/shadow && mount --bind "$1" /etc/passwd && exec "$2" -D -e -f "$3"`
	program := Command(t.Context(), t, "sshd").Path
	cmd := Command(context.Background(), t, "sh", "-c", script, file("shadow"), file("passwd"), program, file("sshd_config"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	p := h.StartCmd(t, cmd)

	Eventually(t, "sshd listens", func() bool {
		if p.Ended() {
			t.Fatal("sshd has ended")
		}
		return strings.Count(p.Out.String(), "Server listening on") == 2*len(ports)
	})
	return &SSHD{file("user_key"), p}
}

// Log returns what it has logged so far.
func (d *SSHD) Log() string { return d.server.Out.String() }

// SSH is the command line of the real ssh, logging in from an address.
func (d *SSHD) SSH(from netip.Addr, to netip.AddrPort, remote ...string) []string {
	return append([]string{
		"-F", "none", "-i", d.Key, "-b", from.String(), "-p", strconv.Itoa(int(to.Port())),
		"-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", fmt.Sprintf("ConnectTimeout=%d", Timeout/time.Second),
		"root@" + to.Addr().String(),
	}, remote...)
}

// ExpectLogin logs in with ssh and runs a command.
func (s *Topology) ExpectLogin(t testing.TB, d *SSHD, from netip.Addr, port uint16) {
	t.Helper()
	out := s.Client.Run(t, "ssh", d.SSH(from, netip.AddrPortFrom(s.Addr, port), "echo $SSH_CONNECTION")...)
	// The address and port of the client, then those of the server.
	at := strings.Fields(out)
	if len(at) != 4 || at[0] != from.String() || at[2] != s.Addr.String() || at[3] != strconv.Itoa(int(port)) {
		t.Fatalf("logged in from %v to %v port %d, the server says: %q", from, s.Addr, port, out)
	}
}

// A Session is an ssh that stays logged in.
type Session struct {
	stdin io.Writer
	lines chan string
}

// LogIn starts a session, and returns when it is up.
func (s *Topology) LogIn(t testing.TB, d *SSHD, from netip.Addr, port uint16) *Session {
	t.Helper()
	cmd := Command(context.Background(), t, "ssh", d.SSH(from, netip.AddrPortFrom(s.Addr, port), "cat")...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, into := io.Pipe()
	cmd.Stdout = into
	p := s.Client.StartCmd(t, cmd)
	up := &Session{stdin, make(chan string, 16)}
	go func() {
		<-p.Done
		into.Close()
	}()
	go func() {
		defer close(up.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			up.lines <- in.Text()
		}
	}()
	up.ExpectEcho(t, "hello")
	return up
}

// ExpectEcho makes sure that the session is up: what is typed comes back.
func (up *Session) ExpectEcho(t testing.TB, text string) {
	t.Helper()
	if _, err := fmt.Fprintln(up.stdin, text); err != nil {
		t.Fatalf("the ssh session has ended: %v", err)
	}
	select {
	case line, ok := <-up.lines:
		if !ok || line != text {
			t.Fatalf("the ssh session answers %q to %q", line, text)
		}
	case <-time.After(Timeout):
		t.Fatalf("the ssh session has not answered for %v", Timeout)
	}
}
