package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

const redisSettle = 200 * time.Millisecond

var (
	anyID = []byte("*")
	field = []byte("d")
)

func redisDelete(o *options) {
	r := respConnect(o)
	r.command("DEL", []byte(o.topic))
	r.flush()
	r.line()
}

// redisFill adds the records in pipelines of a batch, and returns once each is answered.
func redisFill(o *options) {
	r := respConnect(o)
	var answered atomic.Int64
	done := make(chan struct{})
	go func() {
		id := make([]byte, 64)
		for range o.records {
			r.content(id)
			answered.Add(1)
		}
		close(done)
	}()
	values := newMaker(o.size)
	key := []byte(o.topic)
	for i := range o.records {
		r.command("XADD", key, anyID, field, values.shared(uint64(i)))
		if i%o.batch != o.batch-1 {
			continue
		}
		r.flush()
		for int64(i)-answered.Load() > int64(o.window) {
			nanosleep(20 * time.Microsecond)
		}
	}
	r.flush()
	<-done
}

// redisReader reads a stream from its start, a batch per XREAD.
type redisReader struct {
	*resp
	o         *options
	id, value []byte
}

func newRedisReader(o *options) *redisReader {
	return &redisReader{respConnect(o), o, make([]byte, 0, 64), make([]byte, 0, o.size+64)}
}

// read hands over each value until `count` have come; while the stream has no more it waits.
func (r *redisReader) read(count int, receive func(value []byte)) {
	last := []byte("0-0")
	batch := strconv.Itoa(r.o.batch)
	for got := 0; got < count; {
		arguments := words("COUNT", batch, "BLOCK", "5000", "STREAMS", r.o.topic)
		r.command("XREAD", append(arguments, last)...)
		r.flush()
		n := r.entries(receive)
		if n > 0 {
			last = append(last[:0], r.id...)
		}
		got += n
	}
}

// entries reads one answer to XREAD and leaves the last entry's id in r.id.
func (r *redisReader) entries(receive func(value []byte)) int {
	return r.entriesWithIDs(func(_, value []byte) { receive(value) })
}

func (r *redisReader) entriesWithIDs(receive func(id, value []byte)) int {
	if r.number() < 1 {
		return 0
	}
	r.number()         // the stream's name and its entries: two
	r.content(r.value) // its name
	n := r.number()
	for range n {
		r.number() // id and fields: two
		r.id = r.content(r.id)
		if fields := r.number(); fields != 2 {
			must(fmt.Errorf("an entry of %d fields", fields))
		}
		r.value = r.content(r.value)
		r.value = r.content(r.value)
		receive(r.id, r.value)
	}
	return n
}

func redisDrain(o *options) uint64 {
	var touched toucher
	newRedisReader(o).read(o.records, touched.touch)
	return touched.total
}

// redisFanStream has every subscriber read the stream while a producer fills it.
func redisFanStream(o *options) {
	redisDelete(o)
	totals := make(chan uint64, o.subscribers)
	for range o.subscribers {
		go func() { totals <- redisDrain(o) }()
	}
	time.Sleep(redisSettle)
	start := time.Now()
	redisFill(o)
	touched := uint64(0)
	for range o.subscribers {
		touched += <-totals
	}
	report(o.records*o.subscribers, start, touched)
}

// redisSubscribe hands over each message of a channel, which Redis stores nowhere.
func redisSubscribe(o *options, channel string, receive func(value []byte)) {
	r := respConnect(o)
	r.command("SUBSCRIBE", []byte(channel))
	r.flush()
	r.number()
	r.content(nil)
	r.content(nil)
	r.line()
	go func() {
		name, value := make([]byte, 64), make([]byte, o.size+64)
		for {
			r.number()
			r.content(name) // "message"
			r.content(name) // the channel
			receive(r.content(value))
		}
	}()
}

func redisFan(o *options) {
	run := newFan(o)
	for index := range o.subscribers {
		redisSubscribe(o, "f", func(value []byte) { run.receive(index, value) })
	}
	publisher := respConnect(o)
	go publisher.skip()
	values := newMaker(o.size)
	channel := []byte("f")
	run.run(func(number uint64) { publisher.command("PUBLISH", channel, values.shared(number)) }, publisher.flush)
}

// redisLatency paces a command that carries the value.
func redisLatency(o *options, run *latencyRun, name string, arguments ...[]byte) {
	publisher := respConnect(o)
	go publisher.skip()
	time.Sleep(redisSettle)
	values := newMaker(o.size)
	run.finish(pace(o.rate, o.length, func(at uint64) {
		publisher.command(name, append(arguments, values.shared(at))...)
		publisher.flush()
	}))
}

func redis(o *options) {
	switch o.work {
	case "produce":
		redisDelete(o)
		start := time.Now()
		redisFill(o)
		report(o.records, start, 0)
	case "consume": // what the last produce left
		start := time.Now()
		report(o.records, start, redisDrain(o))
	case "stream-fanout":
		redisFanStream(o)
	case "fanout":
		redisFan(o)
	case "queue":
		redisQueue(o)
	case "latency":
		run := newLatencyRun(o)
		redisSubscribe(o, "l", run.receive)
		redisLatency(o, run, "PUBLISH", []byte("l"))
	case "stream-latency":
		redisDelete(o)
		run := newLatencyRun(o)
		go newRedisReader(o).read(run.want, run.receive)
		redisLatency(o, run, "XADD", []byte(o.topic), anyID, field)
	default:
		unknownWork(o)
	}
}
