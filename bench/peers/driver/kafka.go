package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaLinger       = 5 * time.Millisecond
	kafkaBufferedMax  = 200_000
	kafkaFetchBytes   = 4 << 20
	kafkaSettle       = 500 * time.Millisecond
	recordsAtOnce     = 512
	recordsOfOneShare = 4096
)

func kafkaAnswers(address string) bool {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	return err == nil && len(metadata.Brokers) > 0
}

// kafkaTopic makes or deletes the topic.
func kafkaTopic(o *options, isMaking bool) {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.address))
	must(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if isMaking {
		deleteDelayMs := "100"
		settings := map[string]*string{"file.delete.delay.ms": &deleteDelayMs}
		_, err = admin.CreateTopic(ctx, int32(o.partitions), 1, settings, o.topic)
	} else {
		_, err = admin.DeleteTopics(ctx, o.topic)
	}
	must(err)
}

func kafkaProducer(o *options, linger time.Duration) *kgo.Client {
	settings := []kgo.Opt{kgo.SeedBrokers(o.address), kgo.DefaultProduceTopic(o.topic), kgo.ProducerLinger(linger),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(kafkaBufferedMax),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if o.mode != "all" { // the client's default is acks=all with idempotence
		settings = append(settings, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(settings...)
	must(err)
	must(client.Ping(context.Background()))
	return client
}

// kafkaConsumer reads every `of`-th partition from the topic's start.
func kafkaConsumer(o *options, share, of int) *kgo.Client {
	from := map[int32]kgo.Offset{}
	for partition := share; partition < o.partitions; partition += of {
		from[int32(partition)] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.address), kgo.FetchMaxPartitionBytes(kafkaFetchBytes),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: from}))
	must(err)
	return client
}

// kafkaFill produces the records, and returns once each is acknowledged.
func kafkaFill(o *options) {
	var clients sync.WaitGroup
	for index := range o.clients {
		clients.Add(1)
		go func() {
			defer clients.Done()
			kafkaFillShare(o, index)
		}()
	}
	clients.Wait()
}

func kafkaFillShare(o *options, index int) {
	ctx := context.Background()
	client := kafkaProducer(o, kafkaLinger)
	defer client.Close()
	values := newMaker(o.size)
	var acked atomic.Int64
	done := func(_ *kgo.Record, err error) {
		must(err)
		acked.Add(1)
	}
	var slab []kgo.Record
	sent := 0
	for i := index; i < o.records; i += o.clients {
		if len(slab) == 0 {
			slab = make([]kgo.Record, recordsAtOnce)
		}
		record := &slab[0]
		slab = slab[1:]
		record.Value = values.kept(uint64(i))
		record.Partition = int32(i / recordsOfOneShare % o.partitions)
		client.Produce(ctx, record, done)
		sent++
	}
	must(client.Flush(ctx))
	if int(acked.Load()) != sent {
		must(fmt.Errorf("%d of %d acknowledged", acked.Load(), sent))
	}
}

// kafkaDrain reads until the readers together have the records; it returns the sum of the touched bytes.
func kafkaDrain(o *options, readers int) uint64 {
	var count atomic.Int64
	var touched atomic.Uint64
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	for index := range readers {
		clients.Add(1)
		go func() {
			defer clients.Done()
			client := kafkaConsumer(o, index, readers)
			defer client.Close()
			kafkaRead(ctx, client, func(seen toucher, isEnd bool) {
				if isEnd {
					touched.Add(seen.total)
				} else if count.Add(int64(seen.count)) >= int64(o.records) {
					cancel()
				}
			})
		}()
	}
	clients.Wait()
	return touched.Load()
}

// kafkaRead hands over the count of each poll, and what was touched at the end.
func kafkaRead(ctx context.Context, client *kgo.Client, saw func(seen toucher, isEnd bool)) {
	var all toucher
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors := fetches.Errors(); len(errors) > 0 {
			must(errors[0].Err)
		}
		before := all.count
		fetches.EachRecord(func(record *kgo.Record) { all.touch(record.Value) })
		saw(toucher{count: all.count - before}, false)
	}
	saw(all, true)
}

// kafkaFan has every subscriber read all partitions, with so many clients, while producers fill the topic.
func kafkaFan(o *options) {
	totals := make(chan uint64, o.subscribers)
	for range o.subscribers {
		go func() { totals <- kafkaDrain(o, o.clients) }()
	}
	time.Sleep(kafkaSettle)
	start := time.Now()
	kafkaFill(o)
	touched := uint64(0)
	for range o.subscribers {
		touched += <-totals
	}
	report(o.records*o.subscribers, start, touched)
}

func kafkaLatency(o *options) {
	ctx := context.Background()
	producer, consumer := kafkaProducer(o, 0), kafkaConsumer(o, 0, 1)
	run := newLatencyRun(o)
	go func() {
		for {
			consumer.PollFetches(ctx).EachRecord(func(record *kgo.Record) { run.receive(record.Value) })
		}
	}()
	must(producer.ProduceSync(ctx, &kgo.Record{Value: make([]byte, o.size)}).FirstErr())
	time.Sleep(kafkaSettle)
	values := newMaker(o.size)
	failed := func(_ *kgo.Record, err error) { must(err) }
	run.finish(pace(o.rate, o.length, func(at uint64) {
		producer.Produce(ctx, &kgo.Record{Value: values.kept(at)}, failed)
	}))
}

func kafka(o *options) {
	switch o.work {
	case "create":
		kafkaTopic(o, true)
	case "delete":
		kafkaTopic(o, false)
	case "produce":
		start := time.Now()
		kafkaFill(o)
		report(o.records, start, 0)
	case "consume":
		start := time.Now()
		report(o.records, start, kafkaDrain(o, o.clients))
	case "fanout":
		kafkaFan(o)
	case "latency":
		kafkaLatency(o)
	default:
		unknownWork(o)
	}
}
