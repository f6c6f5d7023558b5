package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

const stallLimit = 5 * time.Second

// reader is one subscriber's count, alone on its cache line.
type reader struct {
	toucher
	seen atomic.Int64
	_    [5]int64
}

// fan holds the publisher to a window behind its slowest subscriber, so that nothing is dropped and the figure is what
// the broker sustains. It counts deliveries: messages times subscribers.
type fan struct {
	o       *options
	readers []reader
}

func newFan(o *options) *fan { return &fan{o: o, readers: make([]reader, o.subscribers)} }

func (f *fan) receive(index int, value []byte) {
	r := &f.readers[index]
	r.touch(value)
	r.seen.Store(int64(r.count))
}

func (f *fan) slowest() int64 {
	least := int64(1) << 62
	for i := range f.readers {
		least = min(least, f.readers[i].seen.Load())
	}
	return least
}

func (f *fan) run(send func(number uint64), flush func()) {
	start := time.Now()
	window := int64(f.o.window)
	for i := range int64(f.o.records) {
		send(uint64(i))
		if i%256 == 255 && i-f.slowest() > window {
			flush()
			for i-f.slowest() > window*3/4 {
				nanosleep(50 * time.Microsecond)
			}
		}
	}
	flush()
	f.waitForAll()
	report(f.o.records*f.o.subscribers, start, f.touched())
}

func (f *fan) waitForAll() {
	changed, last := time.Now(), int64(-1)
	for f.slowest() < int64(f.o.records) {
		if slowest := f.slowest(); slowest != last {
			last, changed = slowest, time.Now()
		} else if time.Since(changed) > stallLimit {
			must(fmt.Errorf("lost messages: the slowest subscriber has %d of %d", slowest, f.o.records))
		}
		nanosleep(100 * time.Microsecond)
	}
}

func (f *fan) touched() uint64 {
	total := uint64(0)
	for i := range f.readers {
		total += f.readers[i].total
	}
	return total
}
