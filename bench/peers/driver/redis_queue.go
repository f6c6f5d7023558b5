package main

import (
	"strconv"
	"time"
)

// redisQueue is a stream with a consumer group: a publisher adds, readers take and ack. It ends with the last ack's answer.
func redisQueue(o *options) {
	redisDelete(o)
	r := respConnect(o)
	r.command("XGROUP", words("CREATE", o.topic, "g", "0", "MKSTREAM")...)
	r.flush()
	r.line()
	tally := newTally(o.records)
	ended := make(chan struct{}, o.subscribers)
	for index := range o.subscribers {
		go redisWork(o, "c"+strconv.Itoa(index), tally, ended)
	}
	time.Sleep(redisSettle)
	start := time.Now()
	redisFill(o)
	for range o.subscribers {
		<-ended
	}
	report(o.records, start, tally.touched())
}

// redisWork acks each answer's entries with one command, which goes out with the next question: the quickest that a
// reader can do.
func redisWork(o *options, name string, tally *tally, ended chan<- struct{}) {
	r := &redisReader{respConnect(o), o, make([]byte, 0, 64), make([]byte, 0, o.size+64)}
	batch := strconv.Itoa(o.batch)
	next := words("GROUP", "g", name, "COUNT", batch, "BLOCK", "100", "STREAMS", o.topic, ">")
	var acks [][]byte
	for !tally.isWhole() || len(acks) > 0 {
		hasAcks := len(acks) > 0
		if hasAcks {
			r.command("XACK", append(words(o.topic, "g"), acks...)...)
			acks = acks[:0]
		}
		r.command("XREADGROUP", next...)
		r.flush()
		if hasAcks {
			r.line()
		}
		r.entriesWithIDs(func(id, value []byte) {
			tally.take(value)
			acks = append(acks, append([]byte(nil), id...))
		})
	}
	ended <- struct{}{}
}
