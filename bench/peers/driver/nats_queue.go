package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const natsWorkSettle = time.Millisecond

// natsQueue is a stream that keeps messages until they are acked, with a durable pull consumer that several readers share.
// It ends when the server has taken the last ack.
func natsQueue(o *options) {
	ctx := context.Background()
	connection := natsConnect(o)
	js, err := jetstream.New(connection)
	must(err)
	_ = js.DeleteStream(ctx, natsStreamName) // there is none in the first run
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: natsStreamName, Subjects: []string{"s.>"}, Storage: jetstream.FileStorage, Replicas: 1,
		Retention: jetstream.WorkQueuePolicy, AllowBatchPublish: o.mode == "fast",
	})
	must(err)
	consumer, err := js.CreateConsumer(ctx, natsStreamName, jetstream.ConsumerConfig{
		Durable: "w", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: o.prefetch * o.subscribers,
	})
	must(err)
	tally := newTally(o.records)
	for range o.subscribers {
		natsWork(o, tally)
	}
	time.Sleep(natsSettle)
	start := time.Now()
	natsFill(o)
	<-tally.done
	for {
		info, err := consumer.Info(ctx)
		must(err)
		if info.NumAckPending == 0 && info.NumPending == 0 {
			break
		}
		time.Sleep(natsWorkSettle)
	}
	report(o.records, start, tally.touched())
}

// natsWork reads and acks on a connection of its own.
func natsWork(o *options, tally *tally) {
	ctx := context.Background()
	js, err := jetstream.New(natsConnect(o))
	must(err)
	consumer, err := js.Consumer(ctx, natsStreamName, "w")
	must(err)
	handle := func(message jetstream.Msg) {
		tally.take(message.Data())
		must(message.Ack())
	}
	_, err = consumer.Consume(handle, jetstream.PullMaxMessages(o.batch))
	must(err)
}
