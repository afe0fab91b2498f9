package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"nftknock/integration/lab"
)

// TestAccounts has gates share by TLS and credentials. A gate that NATS refuses says why, and
// shares as soon as it is no longer refused.
func TestAccounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := exec.Command("go", "run", "./accounts", dir)
	make.Dir = filepath.Join("..", "nats")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	accounts := read(t, filepath.Join(dir, "accounts.conf"))
	ca, tls := certificates(t, dir)
	_, otherTLS := certificates(t, t.TempDir())
	server, creds := filepath.Join(dir, "server.conf"), filepath.Join(dir, "gate.creds")
	write(t, server, accounts+tls)
	write(t, creds, read(t, filepath.Join(dir, "user.creds")))
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2, Server: server, CA: ca, Fleet: fmt.Sprintf("credentials = %q\n", creds)})
	a, b := f.Gates[0], f.Gates[1]
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.1", "--for", "10m")
	lab.ExpectIn(t, "192.0.2.1", b)

	// Others' accounts, and times that are over.
	n := 1
	for _, name := range []string{"stranger", "expired"} {
		write(t, creds, read(t, filepath.Join(dir, name+".creds")))
		b.Daemon.Tell(t, "reload")
		expectReason(t, b, "authorization violation")
		n++
		source := fmt.Sprintf("192.0.2.%d", n)
		a.Daemon.Tell(t, "open", "ssh", source, "--for", "10m")
		if _, in := b.Grant(t, source); in {
			t.Errorf("%s: gate2 has heard of %s", name, source)
		}
		write(t, creds, read(t, filepath.Join(dir, "user.creds")))
		b.Daemon.Tell(t, "reload")
		lab.ExpectIn(t, source, b)
	}

	// A server that another authority vouches for.
	f.NATS[0].Stop(syscall.SIGKILL)
	write(t, server, accounts+otherTLS)
	f.StartNATS(t, 0)
	expectReason(t, b, "certificate signed by unknown authority")
	f.NATS[0].Stop(syscall.SIGKILL)
	expectReason(t, b, "connection refused")
	write(t, server, accounts+tls)
	f.StartNATS(t, 0)
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.9", "--for", "10m")
	lab.ExpectIn(t, "192.0.2.9", b)

	for _, line := range strings.Fields(read(t, creds)) {
		for _, g := range f.Gates {
			if len(line) > 40 && !strings.Contains(line, "---") && strings.Contains(g.Companion.Out.String()+g.Daemon.Out.String(), line) {
				t.Errorf("%s shows its credentials", g.Name())
			}
		}
	}
}

// TestNKey has gates show an nkey, which NATS refuses for a while.
func TestNKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, seedErr := user.Seed()
	public, err := user.PublicKey()
	if err != nil || seedErr != nil {
		t.Fatal(err, seedErr)
	}
	server, creds := filepath.Join(dir, "server.conf"), filepath.Join(dir, "gate.nk")
	write(t, creds, string(seed)+"\n")
	accepting := fmt.Sprintf("authorization { users = [ { nkey: %s } ] }\n", public)
	write(t, server, accepting)
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2, Server: server, Fleet: fmt.Sprintf("credentials = %q\n", creds)})
	a, b := f.Gates[0], f.Gates[1]
	f.NATS[0].Stop(syscall.SIGKILL)
	write(t, server, "authorization { users = [ { user: other, password: other } ] }\n")
	f.StartNATS(t, 0)
	expectReason(t, a, "nkeys not supported by the server")
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.1", "--for", "10m")
	f.NATS[0].Stop(syscall.SIGKILL)
	write(t, server, accepting)
	f.StartNATS(t, 0)
	lab.ExpectIn(t, "192.0.2.1", b)
}

// expectReason waits until the gate's status and its companion's log say why it is not connected.
func expectReason(t *testing.T, g *lab.Gate, reason string) {
	t.Helper()
	lab.Eventually(t, g.Name()+"'s status says: "+reason, func() bool {
		fleet := g.Daemon.Status(t).Daemon.Fleet
		return fleet != nil && !fleet.Connected && strings.Contains(strings.ToLower(fleet.Error), reason)
	})
	lab.ExpectWords(t, g.Name(), func() string { return strings.ToLower(g.Companion.Out.String()) }, reason)
}

// certificates makes an authority, and a certificate of NATS. It returns the authority's file
// and what makes NATS use the certificate.
func certificates(t *testing.T, dir string) (ca, config string) {
	t.Helper()
	authorityKey, authority := certificate(t, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil, filepath.Join(dir, "ca"))
	certificate(t, &x509.Certificate{
		IPAddresses: []net.IP{lab.BrokerAddr(1).AsSlice(), lab.BrokerAddr(2).AsSlice()},
	}, authorityKey, authority, filepath.Join(dir, "nats"))
	return filepath.Join(dir, "ca.pem"), fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n", filepath.Join(dir, "nats.pem"), filepath.Join(dir, "nats.key"))
}

// certificate writes a certificate to name.pem and its key to name.key; without a parent it is its own.
func certificate(t *testing.T, c *x509.Certificate, parentKey *ecdsa.PrivateKey, parent *x509.Certificate, name string) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: filepath.Base(name)}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parentKey, parent = key, c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return key, c
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
