package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
)

// A Client asks a running daemon.
type Client struct {
	socket string
	http   *http.Client
}

// ErrNotRunning says that no daemon answers at the socket.
var ErrNotRunning = errors.New("nftknockd is not running")

// A notRunningError is ErrNotRunning, and why.
type notRunningError struct {
	socket string
	err    error
}

func (e *notRunningError) Error() string {
	return fmt.Sprintf("%v: nobody answers at %s", ErrNotRunning, e.socket)
}
func (e *notRunningError) Unwrap() []error { return []error{ErrNotRunning, e.err} }

// NewClient returns a client for the daemon at a socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (c *Client) Status() (*status.Status, error) {
	var s status.Status
	return &s, c.ask(http.MethodGet, "status", nil, &s)
}

func (c *Client) Open(r Request) (*Result, error) {
	var result Result
	return &result, c.ask(http.MethodPost, "open", r, &result)
}

func (c *Client) Close(r Request) (*Result, error) {
	var result Result
	return &result, c.ask(http.MethodPost, "close", r, &result)
}

// Unmute has the daemon listen again to a source.
func (c *Client) Unmute(source string) (*Result, error) {
	var result Result
	return &result, c.ask(http.MethodPost, "unmute", Request{Source: source}, &result)
}

// Reload has the daemon read its configuration anew, and returns when that is in force.
func (c *Client) Reload() error {
	return c.ask(http.MethodPost, "reload", nil, &struct{}{})
}

// Watch calls see with each event until the context ends, the daemon does, or see returns
// an error. It calls ready when it has begun to watch.
func (c *Client) Watch(ctx context.Context, what Watch, ready func(), see func(event.Event) error) error {
	return c.events(ctx, what.query(), func(string) { ready() }, see)
}

// Follow is Watch for those who must not miss anything: it goes on after the event with an ID,
// or from [event.Now] on, with all that the daemon has, and says begun with the ID after which
// it begins. An event that says [event.Missed] stands for what the daemon does not have any more.
func (c *Client) Follow(ctx context.Context, after string, kinds []event.Kind, begun func(after string), see func(event.Event) error) error {
	query := url.Values{"after": {after}, "gaps": {"skip"}}
	for _, k := range kinds {
		query.Add("kind", string(k))
	}
	return c.events(ctx, query.Encode(), begun, see)
}

func (c *Client) events(ctx context.Context, query string, begun func(after string), see func(event.Event) error) error {
	answer, err := c.do(ctx, http.MethodGet, "events?"+query, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	begun(answer.Header.Get(PositionHeader))
	for lines := json.NewDecoder(answer.Body); ; {
		var e event.Event
		if err := lines.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("nftknockd has gone: %s was closed", c.socket)
		}
		if err := see(e); err != nil {
			return err
		}
	}
}

// Hooks returns the hooks of the configuration in force.
func (c *Client) Hooks() ([]config.Hook, error) {
	var wire Hooks
	if err := c.ask(http.MethodGet, "hooks", nil, &wire); err != nil {
		return nil, err
	}
	var hooks []config.Hook
	for _, h := range wire.Hooks {
		hooks = append(hooks, h.Config())
	}
	return hooks, nil
}

// Trial has the daemon try a configuration, and calls see with what it says of that. When
// the context ends the daemon takes the configuration back. One that has stopped, and so
// does not keep to the time, is killed: it starts with what was before.
func (c *Client) Trial(ctx context.Context, r TrialRequest, see func(TrialNews)) error {
	answer, err := c.do(ctx, http.MethodPost, "trial", r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	silent := time.AfterFunc(trialSilence, c.kill)
	defer silent.Stop()
	for lines := json.NewDecoder(answer.Body); ; {
		var news TrialNews
		if err := lines.Decode(&news); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted; what was before is in force again")
			}
			return errors.New("the daemon has ended: it starts with what was before")
		}
		silent.Reset(trialSilence)
		switch {
		case news.Failed != "":
			return errors.New(news.Failed)
		case news.Passed != nil:
			see(news)
			return nil
		}
		see(news)
	}
}

// trialSilence is how long a daemon may say nothing of a trial.
const trialSilence = 15 * time.Second

// kill ends the daemon that does not answer.
func (c *Client) kill() {
	conn, err := net.DialTimeout("unix", c.socket, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && who.Pid > 1 {
			unix.Kill(int(who.Pid), unix.SIGKILL)
		}
	})
}

// Trace asks what the daemon knows of a source.
func (c *Client) Trace(source string) (*status.Trace, error) {
	var t status.Trace
	return &t, c.ask(http.MethodGet, "trace?"+url.Values{"source": {source}}.Encode(), nil, &t)
}

// Fleet returns [fleet] of the configuration in force, and what is in the files that it names. The
// error is fs.ErrNotExist if there is none.
func (c *Client) Fleet() (f *config.Fleet, key, credentials config.Secret, err error) {
	var wire Fleet
	if err := c.ask(http.MethodGet, "fleet", nil, &wire); err != nil {
		if refused, ok := errors.AsType[*Error](err); ok && refused.Code == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return nil, "", "", err
	}
	f = &config.Fleet{URLs: wire.URLs, Group: wire.Group, Doors: wire.Doors, MaxGrant: time.Duration(wire.MaxGrant * float64(time.Second))}
	return f, config.Secret(wire.Key), config.Secret(wire.Credentials), nil
}

// Grants returns the grants of the doors that are shared.
func (c *Client) Grants() ([]status.Grant, error) {
	var grants []status.Grant
	return grants, c.ask(http.MethodGet, "fleet/grants", nil, &grants)
}

// Share has the daemon carry out what other gates have decided.
func (c *Client) Share(shared []grant.Shared) error {
	wire := make([]Shared, len(shared))
	for i, one := range shared {
		wire[i] = Shared{Door: one.Door, Source: one.Source, Gate: one.Gate, Revoked: one.Revoked}
		if one.Left != knock.Forever {
			left := one.Left.Seconds()
			wire[i].Left = &left
		}
	}
	return c.ask(http.MethodPost, "fleet/share", wire, &struct{}{})
}

// Spend has the daemon refuse what was used at other gates.
func (c *Client) Spend(spent []event.Spent) error {
	return c.ask(http.MethodPost, "fleet/spend", spent, &struct{}{})
}

// Report tells the daemon how the fleet is.
func (c *Client) Report(report status.Fleet) error {
	return c.ask(http.MethodPost, "fleet/report", report, &struct{}{})
}

// ask sends a request and reads its result.
func (c *Client) ask(method, what string, body, result any) error {
	// Longer than the daemon takes for the largest reload.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := c.do(ctx, method, what, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, what string, body any) (*http.Response, error) {
	var data bytes.Buffer
	if err := json.NewEncoder(&data).Encode(body); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://nftknockd/v1/"+what, &data)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, &notRunningError{c.socket, err}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w: run this as root, or as the user that nftknockd runs as", c.socket, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("asking nftknockd at %s: %w", c.socket, errors.Unwrap(err)) // without the made-up URL
	case answer.StatusCode == http.StatusOK:
		return answer, nil
	}
	defer answer.Body.Close()
	refused := &Error{Code: answer.StatusCode}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if json.Unmarshal(text, refused) != nil {
		refused.Text = fmt.Sprintf("nftknockd at %s: %s", c.socket, answer.Status)
	}
	return nil, refused
}
