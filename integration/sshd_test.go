package integration

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

// An sshd is a real sshd, with one key that may log in.
type sshd struct {
	key string // the file of the client's private key
}

// startSSHD runs sshd on the ports given, of all addresses of the host.
func startSSHD(t testing.TB, h *host, ports ...uint16) *sshd {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"host_key", "user_key"} {
		h.run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file(key))
	}

	var config strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&config, "Port %d\n", p)
	}
	fmt.Fprintf(&config, "HostKey %s\nAuthorizedKeysFile %s\n", file("host_key"), file("user_key.pub"))
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
	// file of its own.
	write("shadow", "root:*:::::::\n")
	const script = `mount -t tmpfs none /run && mkdir /run/sshd && mount --bind "$0" /etc/shadow && exec "$1" -D -e -f "$2"`
	program := command(t.Context(), t, "sshd").Path
	cmd := command(context.Background(), t, "sh", "-c", script, file("shadow"), program, file("sshd_config"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	p := h.startCmd(t, cmd)

	eventually(t, "sshd listens", func() bool {
		if p.ended() {
			t.Fatal("sshd has ended")
		}
		return strings.Count(p.out.String(), "Server listening on") == 2*len(ports)
	})
	return &sshd{file("user_key")}
}

// ssh is the command line of the real ssh, logging in from an address.
func (d *sshd) ssh(from netip.Addr, to netip.AddrPort, remote ...string) []string {
	return append([]string{
		"-F", "none", "-i", d.key, "-b", from.String(), "-p", strconv.Itoa(int(to.Port())),
		"-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", fmt.Sprintf("ConnectTimeout=%d", aWhile/time.Second),
		"root@" + to.Addr().String(),
	}, remote...)
}

// expectLogin logs in with ssh and runs a command.
func (s *site) expectLogin(t testing.TB, d *sshd, from netip.Addr, port uint16) {
	t.Helper()
	out := s.client.run(t, "ssh", d.ssh(from, netip.AddrPortFrom(s.addr, port), "echo $SSH_CONNECTION")...)
	// The address and port of the client, then those of the server.
	at := strings.Fields(out)
	if len(at) != 4 || at[0] != from.String() || at[2] != s.addr.String() || at[3] != strconv.Itoa(int(port)) {
		t.Fatalf("logged in from %v to %v port %d, the server says: %q", from, s.addr, port, out)
	}
}

// A session is an ssh that stays logged in.
type session struct {
	stdin io.Writer
	lines chan string
}

// logIn starts a session, and returns when it is up.
func (s *site) logIn(t testing.TB, d *sshd, from netip.Addr, port uint16) *session {
	t.Helper()
	cmd := command(context.Background(), t, "ssh", d.ssh(from, netip.AddrPortFrom(s.addr, port), "cat")...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, into := io.Pipe()
	cmd.Stdout = into
	p := s.client.startCmd(t, cmd)
	up := &session{stdin, make(chan string, 16)}
	go func() {
		<-p.done
		into.Close()
	}()
	go func() {
		defer close(up.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			up.lines <- in.Text()
		}
	}()
	up.expectEcho(t, "hello")
	return up
}

// expectEcho makes sure that the session is up: what is typed comes back.
func (up *session) expectEcho(t testing.TB, text string) {
	t.Helper()
	if _, err := fmt.Fprintln(up.stdin, text); err != nil {
		t.Fatalf("the ssh session has ended: %v", err)
	}
	select {
	case line, ok := <-up.lines:
		if !ok || line != text {
			t.Fatalf("the ssh session answers %q to %q", line, text)
		}
	case <-time.After(aWhile):
		t.Fatalf("the ssh session has not answered for %v", aWhile)
	}
}
