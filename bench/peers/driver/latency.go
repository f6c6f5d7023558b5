package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	prSetTimerSlack = 29
	warmUp          = time.Second
	lastWait        = 15 * time.Second
)

func nowNs() int64 { return time.Now().UnixNano() }

// nanosleep is finer than time.Sleep, which rests on the runtime's poller.
func nanosleep(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil)
}

// pace calls send at a fixed rate, open loop. A message is counted from when it was due, always, so that neither a stall
// of the broker nor one of the sender is left out.
func pace(rate int, length time.Duration, send func(countedFrom uint64)) (start int64) {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0, 0, 0, 0)
	step := int64(time.Second) / int64(rate)
	count := int(length.Seconds() * float64(rate))
	start = nowNs() + int64(10*time.Millisecond)
	for i := range count {
		at := start + int64(i)*step
		if now := nowNs(); now < at {
			nanosleep(time.Duration(at - now))
		}
		send(uint64(at))
	}
	return start
}

// latencyRun is the reading side of a paced run: it throws the first second away.
type latencyRun struct {
	histogram *hdrhistogram.Histogram
	touched   toucher
	countFrom int64
	want      int
	done      chan struct{}
}

func newLatencyRun(o *options) *latencyRun {
	want := int(o.length.Seconds() * float64(o.rate))
	return &latencyRun{histogram: newHistogram(), want: want, done: make(chan struct{})}
}

func (l *latencyRun) receive(value []byte) {
	sent := int64(binary.LittleEndian.Uint64(value))
	if sent == 0 { // a message that opened the way before the clock started
		return
	}
	l.touched.touch(value)
	if l.touched.count == 1 {
		l.countFrom = sent + int64(warmUp)
	}
	if sent >= l.countFrom {
		_ = l.histogram.RecordValue(nowNs() - sent)
	}
	if l.touched.count == l.want {
		close(l.done)
	}
}

func (l *latencyRun) finish(start int64) {
	seconds := float64(nowNs()-start) / 1e9
	select {
	case <-l.done:
	case <-time.After(lastWait):
		must(fmt.Errorf("only %d of %d came", l.touched.count, l.want))
	}
	reportLatency(l.touched.count, seconds, l.touched.total, l.histogram)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}
