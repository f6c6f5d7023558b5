package main

import (
	"fmt"
	"net"
	"time"
)

const readyLimit = 60 * time.Second

// probes are first requests of each protocol that a server answers once it serves.
var probes = map[string]string{
	"nats":  "PING\r\n",
	"redis": "*1\r\n$4\r\nPING\r\n",
	"mqtt":  "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01r",
	"amqp":  "AMQP\x00\x00\x09\x01",
}

// ready returns once the server answers a request of its protocol: an open port is not enough.
func ready(protocol, address string) {
	ask := func() bool { return answers(protocol, address) }
	if protocol == "kafka" {
		ask = func() bool { return kafkaAnswers(address) }
	}
	for end := time.Now().Add(readyLimit); time.Now().Before(end); {
		if ask() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	must(fmt.Errorf("%s at %s is not ready after %s", protocol, address, readyLimit))
}

func answers(protocol, address string) bool {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := connection.Write([]byte(probes[protocol])); err != nil {
		return false
	}
	answer := make([]byte, 512)
	n, err := connection.Read(answer)
	isRefused := protocol == "redis" && answer[0] == '-' // still loading
	return err == nil && n > 0 && !isRefused
}
