package main

import (
	"context"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	natsStreamName = "S"
	natsSubject    = "s.x"
	natsSettle     = 200 * time.Millisecond
	natsStallWait  = 30 * time.Second
)

func natsConnect(o *options) *client.Conn {
	failed := func(_ *client.Conn, _ *client.Subscription, err error) { must(err) }
	connection, err := client.Connect("nats://"+o.address, client.ErrorHandler(failed))
	must(err)
	return connection
}

// natsStream makes an empty stream in file storage.
func natsStream(o *options) {
	ctx := context.Background()
	connection := natsConnect(o)
	defer connection.Close()
	js, err := jetstream.New(connection)
	must(err)
	_ = js.DeleteStream(ctx, natsStreamName) // there is none in the first run
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: natsStreamName, Subjects: []string{"s.>"}, Storage: jetstream.FileStorage, Replicas: 1,
		AllowBatchPublish: o.mode == "fast",
	})
	must(err)
}

// natsFill publishes the records, and returns once each is acknowledged.
func natsFill(o *options) {
	if o.mode == "fast" {
		natsFillFast(o)
		return
	}
	connection := natsConnect(o)
	defer connection.Close()
	js, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(o.window))
	must(err)
	values := newMaker(o.size)
	for i := range o.records {
		_, err := js.PublishAsync(natsSubject, values.kept(uint64(i)), jetstream.WithStallWait(natsStallWait))
		must(err)
	}
	<-js.PublishAsyncComplete()
}

// natsRead subscribes in order and hands over each value until the program ends.
func natsRead(o *options, receive func(value []byte)) {
	connection := natsConnect(o)
	if o.mode == "pull" {
		js, err := jetstream.New(connection)
		must(err)
		consumer, err := js.OrderedConsumer(context.Background(), natsStreamName, jetstream.OrderedConsumerConfig{})
		must(err)
		handle := func(message jetstream.Msg) { receive(message.Data()) }
		_, err = consumer.Consume(handle, jetstream.PullMaxMessages(o.batch))
		must(err)
		return
	}
	js, err := connection.JetStream()
	must(err)
	_, err = js.Subscribe(natsSubject, func(message *client.Msg) { receive(message.Data) }, client.OrderedConsumer())
	must(err)
}

// natsDrain reads until it has the records; the channel gives the sum of the touched bytes.
func natsDrain(o *options) chan uint64 {
	done := make(chan uint64, 1)
	var touched toucher
	natsRead(o, func(value []byte) {
		touched.touch(value)
		if touched.count == o.records {
			done <- touched.total
		}
	})
	return done
}

// natsFan publishes to subscribers of core NATS, which stores nothing.
func natsFan(o *options) {
	run := newFan(o)
	for index := range o.subscribers {
		connection := natsConnect(o)
		subscription, err := connection.Subscribe("f", func(message *client.Msg) { run.receive(index, message.Data) })
		must(err)
		must(subscription.SetPendingLimits(-1, -1))
		must(connection.Flush())
	}
	publisher := natsConnect(o)
	values := newMaker(o.size)
	run.run(func(number uint64) { must(publisher.Publish("f", values.shared(number))) },
		func() { must(publisher.Flush()) })
}

func natsLatency(o *options) {
	run := newLatencyRun(o)
	reader, publisher := natsConnect(o), natsConnect(o)
	_, err := reader.Subscribe("l", func(message *client.Msg) { run.receive(message.Data) })
	must(err)
	must(reader.Flush())
	values := newMaker(o.size)
	run.finish(pace(o.rate, o.length, func(at uint64) { must(publisher.Publish("l", values.shared(at))) }))
}

// natsStreamLatency is from the publish over the stream's file to an ordered consumer.
func natsStreamLatency(o *options) {
	natsStream(o)
	run := newLatencyRun(o)
	natsRead(o, run.receive)
	time.Sleep(natsSettle)
	js, err := jetstream.New(natsConnect(o))
	must(err)
	values := newMaker(o.size)
	run.finish(pace(o.rate, o.length, func(at uint64) {
		_, err := js.PublishAsync(natsSubject, values.kept(at))
		must(err)
	}))
}

func nats(o *options) {
	switch o.work {
	case "produce":
		natsStream(o)
		start := time.Now()
		natsFill(o)
		report(o.records, start, 0)
	case "consume": // what the last produce left
		start := time.Now()
		report(o.records, start, <-natsDrain(o))
	case "both":
		natsStream(o)
		done := natsDrain(o)
		time.Sleep(natsSettle)
		start := time.Now()
		natsFill(o)
		report(o.records, start, <-done)
	case "queue":
		natsQueue(o)
	case "fanout":
		natsFan(o)
	case "latency":
		natsLatency(o)
	case "stream-latency":
		natsStreamLatency(o)
	default:
		unknownWork(o)
	}
}
