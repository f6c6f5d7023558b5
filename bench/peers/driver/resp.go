package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
)

// resp is a Redis connection by hand, the least that a client can do: commands are encoded into a buffer, answers are
// read in place.
type resp struct {
	in  *bufio.Reader
	out *bufio.Writer
	// Scratch space of one command's lengths.
	digits []byte
}

func respConnect(o *options) *resp {
	connection, err := net.Dial("tcp", o.address)
	must(err)
	return &resp{bufio.NewReaderSize(connection, 1<<20), bufio.NewWriterSize(connection, 1<<17), make([]byte, 0, 24)}
}

func (r *resp) head(kind byte, n int) {
	r.digits = append(strconv.AppendInt(append(r.digits[:0], kind), int64(n), 10), '\r', '\n')
	_, err := r.out.Write(r.digits)
	must(err)
}

// command encodes one command behind those that wait to be flushed.
func (r *resp) command(name string, arguments ...[]byte) {
	r.head('*', 1+len(arguments))
	r.bulk([]byte(name))
	for _, argument := range arguments {
		r.bulk(argument)
	}
}

func (r *resp) bulk(content []byte) {
	r.head('$', len(content))
	_, err := r.out.Write(content)
	must(err)
	_, err = r.out.WriteString("\r\n")
	must(err)
}

func (r *resp) flush() { must(r.out.Flush()) }

// line reads a line without its end.
func (r *resp) line() []byte {
	line, err := r.in.ReadSlice('\n')
	must(err)
	if line[0] == '-' {
		must(fmt.Errorf("redis: %s", line))
	}
	return line[:len(line)-2]
}

// number reads the length of an array or of a string.
func (r *resp) number() int {
	n, err := strconv.Atoi(string(r.line()[1:]))
	must(err)
	return n
}

// content reads a string into the buffer, or into a larger one; nil is read as nil.
func (r *resp) content(buffer []byte) []byte {
	n := r.number()
	if n < 0 {
		return nil
	}
	if cap(buffer) < n+2 {
		buffer = make([]byte, n+2)
	}
	buffer = buffer[:n+2]
	_, err := io.ReadFull(r.in, buffer)
	must(err)
	return buffer[:n]
}

// skip throws away what comes, for connections whose answers say nothing.
func (r *resp) skip() { _, _ = io.Copy(io.Discard, r.in) }

// words are arguments that are text.
func words(texts ...string) [][]byte {
	arguments := make([][]byte, len(texts))
	for i, text := range texts {
		arguments[i] = []byte(text)
	}
	return arguments
}
