package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

const rabbitVirtualHost = "/"

// rabbitChannel opens a channel on a connection of its own.
func rabbitChannel(o *options) *amqp091.Channel {
	connection, err := amqp091.DialConfig("amqp://guest:guest@"+o.address, amqp091.Config{Vhost: rabbitVirtualHost})
	must(err)
	channel, err := connection.Channel()
	must(err)
	return channel
}

// rabbitPublish sends persistent messages with so many unconfirmed, and returns once each is confirmed.
func rabbitPublish(o *options, channel *amqp091.Channel) {
	must(channel.Confirm(false))
	confirmations := channel.NotifyPublish(make(chan amqp091.Confirmation, 2*o.window))
	var confirmed atomic.Int64
	done := make(chan struct{})
	go func() {
		for range o.records {
			confirmation := <-confirmations
			if !confirmation.Ack {
				must(fmt.Errorf("message %d was not confirmed", confirmation.DeliveryTag))
			}
			confirmed.Add(1)
		}
		close(done)
	}()
	values := newMaker(o.size)
	ctx := context.Background()
	for i := range o.records {
		for int64(i)-confirmed.Load() >= int64(o.window) {
			nanosleep(20 * time.Microsecond)
		}
		message := amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: values.shared(uint64(i))}
		must(channel.PublishWithContext(ctx, "", o.topic, false, false, message))
	}
	<-done
}

// rabbitWork reads each body, counts each number once, and acks one by one, or whole batches where the mode says so.
func rabbitWork(o *options, tally *tally) {
	channel := rabbitChannel(o)
	must(channel.Qos(o.prefetch, 0, false))
	deliveries, err := channel.Consume(o.topic, "", false, false, false, false, nil)
	must(err)
	go func() {
		unacked := 0
		for delivery := range deliveries {
			isLast := tally.take(delivery.Body)
			unacked++
			if o.mode != "ranges" || unacked >= o.batch || isLast {
				must(delivery.Ack(o.mode == "ranges"))
				unacked = 0
			}
		}
	}()
}

// rabbitQueue is a durable classic queue with persistent messages, confirmed.
func rabbitQueue(o *options) {
	publisher := rabbitChannel(o)
	_, err := publisher.QueueDelete(o.topic, false, false, false)
	must(err)
	kind := amqp091.Table{"x-queue-type": o.kind}
	_, err = publisher.QueueDeclare(o.topic, true, false, false, false, kind)
	must(err)
	tally := newTally(o.records)
	for range o.subscribers {
		rabbitWork(o, tally)
	}
	time.Sleep(rabbitSettle)
	start := time.Now()
	go rabbitPublish(o, publisher)
	<-tally.done
	report(o.records, start, tally.touched())
}
