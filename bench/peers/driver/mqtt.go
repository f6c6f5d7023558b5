package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	mqttSettle    = 100 * time.Millisecond
	mqttPublish   = 0x30
	mqttSubscribe = 0x82
)

// mqtt is an MQTT 3.1.1 connection by hand, for messages of QoS 0.
type mqtt struct {
	net.Conn
	in *bufio.Reader
}

func mqttConnect(o *options, id string) *mqtt {
	connection, err := net.Dial("tcp", o.address)
	must(err)
	m := &mqtt{connection, bufio.NewReaderSize(connection, 1<<20)}
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	_, err = m.Write(append([]byte{0x10, byte(len(body))}, body...))
	must(err)
	answer := make([]byte, 4)
	_, err = io.ReadFull(m.in, answer)
	must(err)
	if answer[3] != 0 {
		must(fmt.Errorf("refused with code %d", answer[3]))
	}
	return m
}

// mqttPacket is the head of a PUBLISH of a value of so many bytes; the value follows it.
func mqttPacket(topic string, valueBytes int) []byte {
	packet := binary.AppendUvarint([]byte{mqttPublish}, uint64(2+len(topic)+valueBytes))
	packet = append(packet, 0, byte(len(topic)))
	return append(packet, topic...)
}

// subscribe hands over each value until the program ends.
func (m *mqtt) subscribe(o *options, topic string, receive func(value []byte)) {
	body := append([]byte{0, 1, 0, byte(len(topic))}, topic...)
	body = append(body, 0)
	_, err := m.Write(append([]byte{mqttSubscribe, byte(len(body))}, body...))
	must(err)
	_, err = io.ReadFull(m.in, make([]byte, 5))
	must(err)
	go func() {
		packet := make([]byte, o.size+256)
		for {
			kind, err := m.in.ReadByte()
			must(err)
			length, err := binary.ReadUvarint(m.in)
			must(err)
			_, err = io.ReadFull(m.in, packet[:length])
			must(err)
			if kind>>4 == mqttPublish>>4 {
				receive(packet[2+len(topic) : length])
			}
		}
	}()
}

func mosquitto(o *options) {
	publisher := mqttConnect(o, "publisher")
	go func() { _, _ = io.Copy(io.Discard, publisher.in) }()
	out := bufio.NewWriterSize(publisher, 1<<16)
	values := newMaker(o.size)
	switch o.work {
	case "fanout":
		run := newFan(o)
		for index := range o.subscribers {
			mqttConnect(o, fmt.Sprintf("s%d", index)).
				subscribe(o, "f", func(value []byte) { run.receive(index, value) })
		}
		head := mqttPacket("f", o.size)
		run.run(func(number uint64) { mqttSend(out, head, values.shared(number)) }, func() { must(out.Flush()) })
	case "latency":
		run := newLatencyRun(o)
		mqttConnect(o, "s").subscribe(o, "l", run.receive)
		head := mqttPacket("l", o.size)
		time.Sleep(mqttSettle)
		run.finish(pace(o.rate, o.length, func(at uint64) {
			mqttSend(out, head, values.shared(at))
			must(out.Flush())
		}))
	default:
		unknownWork(o)
	}
}

func mqttSend(out *bufio.Writer, head, value []byte) {
	_, err := out.Write(head)
	must(err)
	_, err = out.Write(value)
	must(err)
}
