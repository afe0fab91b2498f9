package lab

import (
	"context"
	"os"
	"testing"
)

// StartHooks starts what runs the hooks of a daemon, and returns when it does. Whoever starts
// it again with the same state goes on.
func StartHooks(t testing.TB, d *Daemon, state string) *Process {
	t.Helper()
	notify := ListenNotify(t)
	cmd := Command(context.Background(), t, Nftknockd, "hooks", "--socket", d.Socket, "--state", state)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	p := d.Host.StartCmd(t, cmd)
	Eventually(t, "hooks are run", func() bool { return HasLine(NextNotice(notify), "READY=1") })
	return p
}
