package main

import (
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/amqp"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/message"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/stream"
)

const (
	// The client's own default is 8 KiB, with which loopback carries 10,000 messages per second.
	rabbitSocketBytes = 1 << 20
	rabbitCredits     = 50
	rabbitSettle      = 200 * time.Millisecond
)

// rabbit is RabbitMQ over its stream protocol; queues are measured by PerfTest.
type rabbit struct {
	o           *options
	environment *stream.Environment
	confirmed   atomic.Int64
}

func newRabbit(o *options) *rabbit {
	host, portText, err := net.SplitHostPort(o.address)
	must(err)
	port, err := strconv.Atoi(portText)
	must(err)
	environment, err := stream.NewEnvironment(stream.NewEnvironmentOptions().SetHost(host).SetPort(port).
		SetUser("guest").SetPassword("guest").SetWriteBuffer(rabbitSocketBytes).SetReadBuffer(rabbitSocketBytes))
	must(err)
	return &rabbit{o: o, environment: environment}
}

func (r *rabbit) reset() {
	_ = r.environment.DeleteStream(r.o.topic) // there is none in the first run
	settings := &stream.StreamOptions{MaxSegmentSizeBytes: stream.ByteCapacity{}.MB(500)}
	must(r.environment.DeclareStream(r.o.topic, settings))
}

func (r *rabbit) producer() *stream.Producer {
	// The client loses a wake-up when its queue fills, so the queue is larger than the window.
	settings := stream.NewProducerOptions().SetBatchSize(r.o.batch).SetQueueSize(r.o.window + 10*r.o.batch)
	if r.o.subEntry > 1 {
		settings.SetSubEntrySize(r.o.subEntry).SetCompression(stream.Compression{}.None())
	}
	producer, err := r.environment.NewProducer(r.o.topic, settings)
	must(err)
	confirmations := producer.NotifyPublishConfirmation()
	go func() {
		for statuses := range confirmations {
			for _, status := range statuses {
				if !status.IsConfirmed() {
					must(fmt.Errorf("not confirmed: %w", status.GetError()))
				}
			}
			r.confirmed.Add(int64(len(statuses)))
		}
	}()
	return producer
}

// fill publishes the records, and returns once each is confirmed.
func (r *rabbit) fill() {
	producer := r.producer()
	values := newMaker(r.o.size)
	batch := make([]message.StreamMessage, 0, r.o.batch)
	for i := range r.o.records {
		batch = append(batch, amqp.NewMessage(values.kept(uint64(i))))
		if len(batch) < r.o.batch && i < r.o.records-1 {
			continue
		}
		must(producer.BatchSend(batch))
		batch = make([]message.StreamMessage, 0, r.o.batch)
		for int64(i)-r.confirmed.Load() > int64(r.o.window) {
			nanosleep(50 * time.Microsecond)
		}
	}
	for r.confirmed.Load() < int64(r.o.records) {
		nanosleep(100 * time.Microsecond)
	}
}

// read hands over each value from the stream's start until the program ends. The server checks no CRC for the reader;
// the client would, and is told to, as Millrace's client and Kafka's do.
func (r *rabbit) read(receive func(value []byte)) {
	settings := stream.NewConsumerOptions().SetOffset(stream.OffsetSpecification{}.First()).
		SetCRCCheck(r.o.mode != "unchecked").SetInitialCredits(rabbitCredits)
	_, err := r.environment.NewConsumer(r.o.topic, func(_ stream.ConsumerContext, m *amqp.Message) {
		receive(m.Data[0])
	}, settings)
	must(err)
}

// drain reads until it has the records; the channel gives the sum of the touched bytes.
func (r *rabbit) drain() chan uint64 {
	done := make(chan uint64, 1)
	var touched toucher
	r.read(func(value []byte) {
		touched.touch(value)
		if touched.count == r.o.records {
			done <- touched.total
		}
	})
	return done
}

// fanOut has every subscriber read the stream while a producer fills it.
func (r *rabbit) fanOut() {
	r.reset()
	dones := make([]chan uint64, r.o.subscribers)
	for i := range dones {
		dones[i] = newRabbit(r.o).drain()
	}
	time.Sleep(rabbitSettle)
	start := time.Now()
	r.fill()
	touched := uint64(0)
	for _, done := range dones {
		touched += <-done
	}
	report(r.o.records*r.o.subscribers, start, touched)
}

func (r *rabbit) latency() {
	r.reset()
	run := newLatencyRun(r.o)
	r.read(run.receive)
	producer := r.producer()
	time.Sleep(rabbitSettle)
	values := newMaker(r.o.size)
	run.finish(pace(r.o.rate, r.o.length, func(at uint64) {
		must(producer.Send(amqp.NewMessage(values.kept(at)))) // the client groups what waits
	}))
}

func rabbitmq(o *options) {
	r := newRabbit(o)
	switch o.work {
	case "produce":
		r.reset()
		start := time.Now()
		r.fill()
		report(o.records, start, 0)
	case "consume": // what the last produce left
		start := time.Now()
		report(o.records, start, <-r.drain())
	case "fanout":
		r.fanOut()
	case "latency":
		r.latency()
	default:
		unknownWork(o)
	}
}
