package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
)

// A feed is what a client of /v1/events asks for.
type feed struct {
	kinds    []event.Kind
	source   netip.Prefix // not valid: everybody
	attempts bool
	after    string // the event to resume after, or now; empty: as far as the client keeps up
	skip     bool   // to go on, whatever is gone
}

func readFeed(query url.Values) (f feed, err error) {
	for _, name := range query["kind"] {
		if k := event.Kind(name); k != event.Used && !slices.Contains(event.Kinds, k) {
			return f, &api.Error{Code: http.StatusBadRequest, Text: fmt.Sprintf("no kind of event is called %q", name)}
		}
		f.kinds = append(f.kinds, event.Kind(name))
	}
	if query.Has("source") {
		source, err := grant.ParseSource(query.Get("source"))
		if err != nil {
			return f, err
		}
		f.source = source.Prefix
	}
	if query.Has("attempts") {
		if f.attempts, err = strconv.ParseBool(query.Get("attempts")); err != nil {
			return f, &api.Error{Code: http.StatusBadRequest, Text: "attempts: want true or false"}
		}
	}
	f.after, f.skip = query.Get("after"), query.Get("gaps") == "skip"
	switch {
	case query.Has("gaps") && (!f.skip || f.after == ""):
		return f, &api.Error{Code: http.StatusBadRequest, Text: "gaps: want skip, with after"}
	case query.Has("after") && f.after == "":
		return f, &api.Error{Code: http.StatusBadRequest, Text: "after: want the id of an event, or now"}
	case f.after != "" && f.attempts:
		return f, &api.Error{Code: http.StatusBadRequest, Text: "attempts: steps are not kept, and cannot be resumed: leave out after"}
	}
	return f, nil
}

// wants reports whether an event is about the source. Those that were missed may have been.
func (f *feed) wants(e *event.Event) bool {
	if !f.source.IsValid() || e.Kind == event.Missed || e.Kind == event.LeftOut {
		return true
	}
	if p, err := netip.ParsePrefix(e.Source); err == nil {
		return p.Overlaps(f.source)
	}
	a, err := netip.ParseAddr(e.Source)
	return err == nil && f.source.Contains(a.WithZone(""))
}

// events sends what happens, an object a line, until the client hangs up: to people what
// they keep up with; to a program that says after which event, or from now on, all of it.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	f, err := readFeed(r.URL.Query())
	if err != nil {
		answer(w, nil, err)
		return
	}
	next, position, end, err := s.subscribe(f)
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer end()
	extendDeadline(w, requestTimeout)
	w.Header().Set("Content-Type", "application/x-ndjson")
	if position != "" {
		w.Header().Set(api.PositionHeader, position)
	}
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	out.Flush() // the client knows now that it watches
	for {
		e, err := next(r.Context())
		if err != nil {
			return // a subscriber resumes, and is told then what is gone
		}
		if !f.wants(&e) {
			continue
		}
		out.SetWriteDeadline(time.Now().Add(requestTimeout))
		if lines.Encode(e) != nil || out.Flush() != nil {
			return
		}
	}
}

// subscribe returns where the events of a feed come from and begin, and what to call at the end.
func (s *server) subscribe(f feed) (next func(context.Context) (event.Event, error), position string, end func(), err error) {
	switch {
	case f.after != "":
		subscribe := s.backend.Subscribe
		if f.skip {
			subscribe = s.backend.Resume
		}
		events, err := subscribe(f.after, f.kinds...)
		if err != nil {
			return nil, "", nil, err
		}
		return events.Next, events.Position(), events.Close, nil
	case f.attempts:
		watcher, end, err := s.backend.Follow(f.source, f.kinds...)
		if err != nil {
			return nil, "", nil, err
		}
		return nextOf(watcher), "", end, nil
	}
	watcher, err := s.backend.Watch(f.kinds...)
	if err != nil {
		return nil, "", nil, err
	}
	return nextOf(watcher), "", watcher.Close, nil
}

func nextOf(w *event.Watcher) func(context.Context) (event.Event, error) {
	return func(ctx context.Context) (event.Event, error) {
		select {
		case e := <-w.Events():
			return e, nil
		case <-ctx.Done():
			return event.Event{}, ctx.Err()
		}
	}
}
