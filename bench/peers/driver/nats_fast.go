package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	client "github.com/nats-io/nats.go"
)

const (
	fastAckEvery = 500
	fastAppend   = 1
	fastFirst    = 0
	fastLast     = 2
)

type fastAnswer struct {
	Type     string `json:"type"`
	Sequence int64  `json:"seq"`
	Stream   string `json:"stream"`
	Error    any    `json:"error"`
}

// natsFillFast uses the server's fast batch publishing (2.14 and later), which nats.go has no call for: one open batch,
// whose reply subjects carry its number and its kind; the server answers every 500 messages, and the last one in full.
func natsFillFast(o *options) {
	connection := natsConnect(o)
	defer connection.Close()
	inbox := client.NewInbox()
	var acked atomic.Int64
	done := make(chan struct{})
	_, err := connection.Subscribe(inbox+".>", func(message *client.Msg) {
		var answer fastAnswer
		must(json.Unmarshal(message.Data, &answer))
		switch {
		case answer.Type == "ack":
			acked.Store(answer.Sequence)
		case answer.Error == nil && answer.Stream != "":
			close(done)
		default:
			must(fmt.Errorf("fast batch: %s", message.Data))
		}
	})
	must(err)
	values := newMaker(o.size)
	prefix := fmt.Appendf(nil, "%s.b1.%d.fail.", inbox, fastAckEvery)
	for i := 1; i <= o.records; i++ {
		reply := fastReply(prefix, i, o.records)
		must(connection.PublishRequest(natsSubject, reply, values.shared(uint64(i-1))))
		if i == 1 { // the batch must be open before the rest comes
			must(connection.Flush())
		}
		for i%100 == 0 && int64(i)-acked.Load() > int64(o.window) {
			nanosleep(50 * time.Microsecond)
		}
	}
	<-done
}

func fastReply(prefix []byte, number, last int) string {
	kind := int64(fastAppend)
	if number == 1 {
		kind = fastFirst
	} else if number == last {
		kind = fastLast
	}
	reply := append(strconv.AppendInt(prefix, int64(number), 10), '.')
	return string(append(strconv.AppendInt(reply, kind, 10), ".$FI"...))
}
