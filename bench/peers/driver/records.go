package main

import (
	"crypto/rand"
	"encoding/binary"
)

// slabBytes is what the maker takes from the heap at once for records that a client keeps.
const slabBytes = 1 << 20

// maker builds the values of records. Each differs from the others in its first 8 bytes: its number, or in latency
// runs the time it is counted from.
type maker struct {
	template []byte
	slab     []byte
}

func newMaker(size int) *maker {
	m := &maker{template: make([]byte, size)}
	_, err := rand.Read(m.template)
	must(err)
	return m
}

// shared builds a value in memory that the next call overwrites: for clients that copy before they return.
func (m *maker) shared(number uint64) []byte {
	binary.LittleEndian.PutUint64(m.template, number)
	return m.template
}

// kept builds a value in memory of its own: for clients that hold on to it until it is acknowledged.
func (m *maker) kept(number uint64) []byte {
	size := len(m.template)
	if len(m.slab) < size {
		m.slab = make([]byte, max(slabBytes, size))
	}
	value := m.slab[:size:size]
	m.slab = m.slab[size:]
	copy(value, m.template)
	binary.LittleEndian.PutUint64(value, number)
	return value
}

// toucher reads each value as an application would at the least: its first and its last byte.
type toucher struct {
	total uint64
	count int
}

func (t *toucher) touch(value []byte) {
	t.total += uint64(value[0]) + uint64(value[len(value)-1])
	t.count++
}
