// The load driver of the peers suite, for brokers whose own load tool is missing, is slower than a program can be, or
// gives no latency at a fixed rate. It runs one piece of work and prints one line of JSON (report.go). Every record is
// built distinct and every value that comes is touched, as on Millrace's side.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// options of one run; not all of them concern every peer and every piece of work.
type options struct {
	work, address, topic, mode, kind    string
	records, size, subscribers, clients int
	partitions, rate, window, batch     int
	subEntry, prefetch                  int
	length                              time.Duration
}

func main() {
	if len(os.Args) < 2 {
		must(fmt.Errorf("usage: driver ready PROTOCOL ADDRESS | driver PEER -work WORK …"))
	}
	name := os.Args[1]
	if name == "ready" && len(os.Args) == 4 {
		ready(os.Args[2], os.Args[3])
		return
	}
	peers := map[string]func(*options){
		"kafka": kafka, "nats": nats, "rabbitmq": rabbitmq, "rabbitmq-queue": rabbitQueue, "redis": redis, "mosquitto": mosquitto, "floor": floor,
	}
	run, isKnown := peers[name]
	if !isKnown {
		must(fmt.Errorf("no peer %q", name))
	}
	run(parse(name, os.Args[2:]))
}

func parse(name string, arguments []string) *options {
	o := &options{}
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.StringVar(&o.work, "work", "", "what to do")
	flags.StringVar(&o.address, "address", "", "host:port")
	flags.StringVar(&o.topic, "topic", "bench", "topic, subject or stream")
	flags.StringVar(&o.mode, "mode", "", "a variant of the work")
	flags.StringVar(&o.kind, "kind", "classic", "a RabbitMQ queue's type")
	flags.IntVar(&o.records, "records", 1_000_000, "messages")
	flags.IntVar(&o.size, "size", 100, "bytes of a value, 8 or more")
	flags.IntVar(&o.subscribers, "subscribers", 1, "subscribers, each on a connection of its own")
	flags.IntVar(&o.clients, "clients", 1, "publishing or reading clients")
	flags.IntVar(&o.partitions, "partitions", 1, "partitions of the topic")
	flags.IntVar(&o.rate, "rate", 1000, "messages per second of a latency run")
	flags.IntVar(&o.window, "window", 10_000, "messages that may be without an answer")
	flags.IntVar(&o.batch, "batch", 500, "messages sent or asked for at once")
	flags.IntVar(&o.subEntry, "sub-entry", 1, "messages in one entry of a RabbitMQ stream")
	flags.IntVar(&o.prefetch, "prefetch", 100, "messages of a work queue that a reader may hold unacknowledged")
	flags.DurationVar(&o.length, "length", 8*time.Second, "length of a latency run")
	must(flags.Parse(arguments))
	return o
}

func unknownWork(o *options) { must(fmt.Errorf("no work %q", o.work)) }
