package main

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// tally is what the readers of a work queue share: each number may come once, and all must.
type tally struct {
	lock sync.Mutex
	seen []bool
	left int
	sum  toucher
	done chan struct{}
}

func newTally(records int) *tally {
	return &tally{seen: make([]bool, records), left: records, done: make(chan struct{})}
}

// take touches a value and takes down its number. It returns true for the last one to come.
func (t *tally) take(value []byte) bool {
	number := binary.LittleEndian.Uint64(value)
	t.lock.Lock()
	defer t.lock.Unlock()
	if number >= uint64(len(t.seen)) || t.seen[number] {
		must(fmt.Errorf("message %d came twice, or nobody sent it", number))
	}
	t.seen[number] = true
	t.sum.touch(value)
	t.left--
	if t.left == 0 {
		close(t.done)
	}
	return t.left == 0
}

func (t *tally) isWhole() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (t *tally) touched() uint64 { return t.sum.total }
