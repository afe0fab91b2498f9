package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"
)

// A Journal is a file with the last events, from which the bus of the next daemon goes on.
// It is one JSON object a line: what the file is, then runs and events as they come. Each
// is written at once and by a goroutine of its own: nobody waits for the disk. What a
// daemon is killed with may be missing, and after a power failure the end of the file. When
// as many events were added as the bus keeps, the file is written anew.
type Journal struct {
	path    string
	replace func(path string, data []byte) error // writes a whole file or nothing
	log     *slog.Logger

	history history
	file    *os.File  // nil: it has to be written anew
	added   int       // events that are in the file, and perhaps no longer held
	retry   time.Time // when to try that again, after it has failed
	allowed float64   // events of strangers' that may be written now
	at      time.Time // when that was reckoned
}

// Strangers' events are written at once up to strangersBurst, then strangersRate a second:
// they can cause any number, and a disk wears out.
const (
	strangersBurst = 1000
	strangersRate  = 10

	journalFormat = 1
	journalRetry  = 10 * time.Second
)

// A journalLine says what the file is, or that a run begins, or what has happened.
type journalLine struct {
	Format           int    `json:"nftknockd_events,omitempty"` // journalFormat
	OursEvicted      uint64 `json:"ours_evicted,omitempty"`
	StrangersEvicted uint64 `json:"strangers_evicted,omitempty"`

	Seq   uint64 `json:"seq"` // of the event; otherwise of the last one before the line
	Run   string `json:"run,omitempty"`
	Event *Event `json:"event,omitempty"`
}

// OpenJournal reads the journal in a file, and begins another run in it. One that is damaged,
// or of another format, begins anew, which is logged. The function writes a whole file or
// nothing.
func OpenJournal(path string, replace func(path string, data []byte) error, log *slog.Logger) *Journal {
	j := &Journal{path: path, replace: replace, log: log, allowed: strangersBurst, at: time.Now()}
	data, err := os.ReadFile(path)
	var whole int
	if err == nil {
		whole, err = j.history.read(data)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the journal of events begins anew", "file", path, "error", err)
		}
		j.history = history{}
		j.history.begin(newRun())
		return j
	}
	j.added = bytes.Count(data, []byte("\n")) - len(j.history.ours.events) - len(j.history.strangers.events)
	j.history.begin(newRun())
	if j.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
		err = j.file.Truncate(int64(whole))
	}
	if err == nil {
		err = j.write(journalLine{Seq: j.history.seq, Run: j.history.runs[len(j.history.runs)-1].name})
	}
	if err != nil {
		j.close() // Record tries the whole file
	}
	return j
}

// NewBus returns a bus that goes on from what the journal holds. Its taps are as in [NewBus].
func (j *Journal) NewBus(taps ...func(Event)) *Bus { return newBus(j.history.clone(), taps) }

// recorded are the kinds of events that a journal holds.
var recorded = append(slices.Clone(Kinds), Used)

// Record writes the events of a bus until the context ends, and then all events from before.
func (j *Journal) Record(ctx context.Context, bus *Bus) error {
	events, err := bus.Resume(j.history.id(j.history.seq), recorded...)
	if err != nil {
		return err
	}
	defer events.Close()
	defer j.close()
	if j.file == nil {
		j.rewrite()
	}
	for {
		e, err := events.Next(ctx)
		switch {
		case err != nil:
			return nil
		case e.Kind == Missed: // the disk is slower than what happens
			j.log.Warn("some events are not recorded: too many came at once")
		case !e.Kind.byStrangers() || j.allow(time.Now()):
			j.add(e)
		}
	}
}

func (j *Journal) allow(now time.Time) bool {
	j.allowed = min(strangersBurst, j.allowed+strangersRate*max(0, now.Sub(j.at).Seconds()))
	j.at = now
	if j.allowed < 1 {
		return false
	}
	j.allowed--
	return true
}

// add writes an event.
func (j *Journal) add(e Event) {
	e.ID = ""
	j.history.add(e)
	j.added++
	if j.file == nil || j.added >= replay {
		j.rewrite()
		return
	}
	if err := j.write(journalLine{Seq: e.seq, Event: &e}); err != nil {
		j.fail(err)
	}
}

func (j *Journal) write(l journalLine) error {
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

func (j *Journal) close() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}

// fail leaves the file to a later rewrite. What is said is said once.
func (j *Journal) fail(err error) {
	if j.retry.IsZero() {
		j.log.Error("events are not recorded: hooks may miss some if the daemon restarts", "error", err)
	}
	j.close()
	j.retry = time.Now().Add(journalRetry)
}

// rewrite writes the file anew, with what is held.
func (j *Journal) rewrite() {
	if time.Now().Before(j.retry) {
		return
	}
	j.close()
	err := j.replace(j.path, j.history.marshal())
	if err == nil {
		j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	}
	if err != nil {
		j.fail(err)
		return
	}
	if !j.retry.IsZero() {
		j.log.Info("events are recorded again")
	}
	j.added, j.retry = 0, time.Time{}
}

// marshal returns the history as a file.
func (h *history) marshal() []byte {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	all := func(Kind) bool { return true } // those that only other gates are told, too
	begin := h.seq                         // before the events that are held
	if e, ok := h.after(0, all); ok {
		begin = e.seq - 1
	}
	lines.Encode(journalLine{Format: journalFormat, Seq: begin, OursEvicted: h.ours.evicted, StrangersEvicted: h.strangers.evicted})
	runs := h.runs
	for e, ok := h.after(0, all); ok; e, ok = h.after(e.seq, all) {
		for len(runs) > 0 && runs[0].after < e.seq {
			lines.Encode(journalLine{Seq: runs[0].after, Run: runs[0].name})
			runs = runs[1:]
		}
		lines.Encode(journalLine{Seq: e.seq, Event: &e})
	}
	for _, r := range runs {
		lines.Encode(journalLine{Seq: r.after, Run: r.name})
	}
	return out.Bytes()
}

// read reads what marshal and Record have written, and returns how long the whole lines are:
// one without an end was being written when the power failed.
func (h *history) read(data []byte) (whole int, err error) {
	whole = bytes.LastIndexByte(data, '\n') + 1
	number := 0
	for line := range bytes.Lines(data[:whole]) {
		number++
		var l journalLine
		if err := json.Unmarshal(line, &l); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
		if err := h.readLine(number, l); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if len(h.runs) == 0 {
		return 0, errors.New("no run is in it")
	}
	return whole, nil
}

func (h *history) readLine(number int, l journalLine) error {
	switch {
	case number == 1 && l.Format != journalFormat:
		return fmt.Errorf("not a journal of events of format %d", journalFormat)
	case number == 1:
		h.seq, h.ours.evicted, h.strangers.evicted = l.Seq, l.OursEvicted, l.StrangersEvicted
	case l.Run != "" && (len(h.runs) == 0 || l.Seq >= h.runs[len(h.runs)-1].after):
		h.runs = append(h.runs, run{l.Run, l.Seq})
	case l.Event != nil && l.Seq > h.seq && slices.Contains(recorded, l.Event.Kind) && len(h.runs) > 0:
		e := *l.Event
		e.seq = l.Seq
		h.add(e)
	default:
		return errors.New("neither a run nor an event, or not in order")
	}
	return nil
}
