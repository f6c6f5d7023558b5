package main

import (
	"bufio"
	"io"
	"net"
	"time"
)

// floor is the latency of a bare TCP echo at the same pace: what the machine and this driver themselves put under every
// latency figure.
func floor(o *options) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		connection, err := listener.Accept()
		must(err)
		// Plain interfaces keep io.Copy from splicing inside the kernel.
		_, _ = io.Copy(struct{ io.Writer }{connection}, struct{ io.Reader }{connection})
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	run := newLatencyRun(o)
	go func() {
		in := bufio.NewReaderSize(connection, 1<<20)
		value := make([]byte, o.size)
		for {
			_, err := io.ReadFull(in, value)
			must(err)
			run.receive(value)
		}
	}()
	values := newMaker(o.size)
	time.Sleep(100 * time.Millisecond)
	run.finish(pace(o.rate, o.length, func(at uint64) {
		_, err := connection.Write(values.shared(at))
		must(err)
	}))
}
