"""A client of Millrace's protocol, written from src/protocol/README.md with the msgpack package and zlib only.

It is as small as the specification allows: blocking, one connection, one thread.
"""

import socket
import struct
import zlib

import msgpack

HEADER = 64
HEADS = {0: 0x9B, 1: 0xCF, 10: 0xCE, 15: 0xCE, 20: 0xCD, 23: 0xCE, 28: 0xCF, 37: 0xCE, 42: 0xCF, 51: 0xCD, 54: 0xCE, 59: 0xC6}
FIELDS = {
    "baseOffset": (2, ">Q"),
    "epoch": (11, ">I"),
    "crc": (16, ">I"),
    "attributes": (21, ">H"),
    "recordCount": (24, ">I"),
    "baseTimestamp": (29, ">Q"),
    "maxTimestampDelta": (38, ">I"),
    "producerId": (43, ">Q"),
    "producerEpoch": (52, ">H"),
    "baseSequence": (55, ">I"),
    "recordsBytes": (60, ">I"),
}
APPEND_TIME, CONTROL, SPARSE, ABSOLUTE = 1 << 10, 1 << 11, 1 << 13, 1 << 14

HELLO, PING, PONG, GOODBYE, OK, ERROR, PUBLISH, PUBLISH_ONE, FLOW = 1, 2, 3, 4, 5, 6, 10, 11, 12
ACK, NACK, CREDIT, DELIVER, SOURCE, SOURCE_END, DROPPED, ASSIGNMENT = 20, 21, 22, 23, 24, 25, 26, 27
TOPIC_CREATE, TOPIC_DESCRIBE, TOPIC_DELETE = 30, 32, 33
PUBLISHER_OPEN, PUBLISHER_CLOSE, PRODUCER_INIT, SUBSCRIBE, UNSUBSCRIBE = 40, 41, 42, 50, 51
COMMIT, RELEASE, GROUP_OFFSETS, GROUP_DELETE = 60, 62, 68, 67


class Fault(Exception):
    """An error of the protocol's catalogue."""

    def __init__(self, name, message=""):
        super().__init__(f"{name}: {message}")
        self.name = name


# Section 5: batches.


def crc_of(batch):
    return zlib.crc32(batch[20:], zlib.crc32(batch[:15]))


def build_batch(records, base_timestamp, producer=(0, 0, 0)):
    """records: [(timestamp, key, value, headers)], timestamps not before base_timestamp."""
    body = b"".join(msgpack.packb([ts - base_timestamp, key, value, headers]) for ts, key, value, headers in records)
    batch = bytearray(HEADER) + body
    for at, head in HEADS.items():
        batch[at] = head
    producer_id, producer_epoch, base_sequence = producer
    values = {
        "attributes": 1,
        "recordCount": len(records),
        "baseTimestamp": base_timestamp,
        "maxTimestampDelta": max(ts for ts, _, _, _ in records) - base_timestamp,
        "producerId": producer_id,
        "producerEpoch": producer_epoch,
        "baseSequence": base_sequence,
        "recordsBytes": len(body),
    }
    for name, value in values.items():
        at, form = FIELDS[name]
        struct.pack_into(form, batch, at, value)
    struct.pack_into(">I", batch, 16, crc_of(batch))
    return bytes(batch)


def read_header(data):
    if len(data) < HEADER:
        raise Fault("bad_batch", "fewer bytes than a header")
    for at, head in HEADS.items():
        if data[at] != head:
            raise Fault("bad_batch", f"byte {at}")
    header = {name: struct.unpack_from(form, data, at)[0] for name, (at, form) in FIELDS.items()}
    attributes = header["attributes"]
    compression = (attributes >> 4) & 7
    if attributes & 15 != 1 or compression > 1 or attributes >> 7 & 7 or attributes >> 15:
        raise Fault("bad_batch", "attributes")
    if compression and attributes & SPARSE:
        raise Fault("bad_batch", "compressed and sparse")
    if HEADER + header["recordsBytes"] > len(data):
        raise Fault("bad_batch", "cut")
    return header


def read_batch(data, decompress=None):
    """Reads the batch at the start of data. Returns (header, span, records, bytes taken)."""
    header = read_header(data)
    taken = HEADER + header["recordsBytes"]
    batch = data[:taken]
    if crc_of(batch) != header["crc"]:
        raise Fault("bad_crc")
    body = batch[HEADER:]
    attributes = header["attributes"]
    if attributes >> 4 & 7:
        if decompress is None:
            raise Fault("unsupported_feature", "zstd")
        body = decompress(body)
    span, positions = header["recordCount"], None
    if attributes & SPARSE:
        span, positions, body = read_bitmap(body)
    return header, span, read_records(header, body, positions), taken


def read_bitmap(body):
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(body)
    try:
        bitmap = unpacker.unpack()
    except Exception as error:
        raise Fault("bad_record", "no bitmap") from error
    if not isinstance(bitmap, bytes) or not bitmap or bitmap[0] > 7:
        raise Fault("bad_record", "no bitmap")
    span = (len(bitmap) - 1) * 8 - bitmap[0]
    if span < 0:
        raise Fault("bad_record", "no bitmap")
    positions = [i for i in range(span) if bitmap[1 + i // 8] & (0x80 >> i % 8)]
    return span, positions, body[unpacker.tell():]


def read_records(header, body, positions):
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=max(1, len(body)), strict_map_key=True)
    unpacker.feed(body)
    rows = []
    while unpacker.tell() < len(body):
        try:
            row = unpacker.unpack()
        except Exception as error:
            raise Fault("bad_record") from error
        if positions is not None and len(rows) >= len(positions):
            raise Fault("bad_record", "more records than bits")
        position = len(rows) if positions is None else positions[len(rows)]
        rows.append(record_of(header, row, position))
    if len(rows) != header["recordCount"]:
        raise Fault("record_count_mismatch")
    return rows


def record_of(header, row, position):
    if not isinstance(row, list) or len(row) != 4:
        raise Fault("bad_record", "no array of 4")
    stored, key, value, headers = row
    attributes, base = header["attributes"], header["baseTimestamp"]
    if isinstance(stored, bool) or not isinstance(stored, (int, type(None))) or (stored or 0) < 0:
        raise Fault("bad_record", "timestamp")
    if stored is None and not attributes & ABSOLUTE:
        raise Fault("bad_record", "nil timestamp")
    for content in (key, value):
        if not isinstance(content, (str, bytes, type(None))):
            raise Fault("bad_record", "key or value")
    if headers is not None:
        if not isinstance(headers, dict) or any(isinstance(v, (list, dict)) for v in headers.values()):
            raise Fault("bad_record", "headers")
    if stored is None or attributes & APPEND_TIME:
        timestamp = base
    else:
        timestamp = stored if attributes & ABSOLUTE else base + stored
    offset = header["baseOffset"] + position
    return {"offset": offset, "timestamp": timestamp, "key": key, "value": value, "headers": headers}


def murmur2(data):
    """Signed 32 bits, as Kafka's Java client computes it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = struct.unpack_from("<I", data, at)[0] * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    for index in range(len(tail) - 1, -1, -1):
        h ^= tail[index] << 8 * index
    if tail:
        h = h * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h & 0x80000000 else h


def partition_of(data, partitions):
    return (murmur2(data) & 0x7FFFFFFF) % partitions


# Section 1: frames.


def frame(*values, tail=b""):
    content = msgpack.packb(list(values)) + tail
    return b"\xc6" + struct.pack(">I", len(content)) + content


def split_content(content):
    """The array of a frame's content, and what stands behind it."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=max(1, len(content)))
    unpacker.feed(content)
    values = unpacker.unpack()
    if not isinstance(values, list) or not values or not isinstance(values[0], int):
        raise Fault("malformed_frame")
    return values, content[unpacker.tell():]


class Connection:
    """One session. Frames that are no answer are kept in `events`."""

    def __init__(self, host, port, namespace="default"):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.correlation = 0
        self.publish_correlation = 0
        self.events = []
        hello = {
            "version": [1, 1],
            "features": [],
            "client": "python interop",
            "namespace": namespace,
            "heartbeatMs": 10000,
            "auth": None,
        }
        self.welcome = self.request(HELLO, hello)
        self.credit = self.welcome["publishCreditBytes"]

    def send(self, data):
        self.socket.sendall(data)

    def read_bytes(self, count):
        while len(self.buffer) < count:
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                raise Fault("connection_lost")
            self.buffer += chunk
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def read_frame(self):
        """The next frame as (values, tail, bytes); PING and CREDIT are dealt with here."""
        while True:
            head = self.read_bytes(5)
            if head[0] != 0xC6:
                raise Fault("malformed_frame")
            content = self.read_bytes(struct.unpack(">I", head[1:])[0])
            values, tail = split_content(content)
            if values[0] == PING:
                self.send(frame(PONG, values[1]))
            elif values[0] == CREDIT:
                self.credit += values[1]
            elif values[0] != PONG:
                return values, tail, 5 + len(content)

    def request(self, op, *args):
        """Sends a request and returns its result; other frames are kept as events."""
        correlation = self.correlation
        self.correlation += 1
        self.send(frame(op, correlation, *args))
        while True:
            got = self.read_frame()
            values = got[0]
            if values[0] == OK and values[1] == correlation:
                return values[2]
            if values[0] == ERROR and values[1] == correlation:
                raise Fault(values[3], values[4])
            self.events.append(got)

    def next_event(self, *ops):
        for index, got in enumerate(self.events):
            if got[0][0] in ops:
                return self.events.pop(index)
        while True:
            got = self.read_frame()
            if got[0][0] in ops:
                return got
            self.events.append(got)

    def spend(self, data):
        """Waits for publish credit, then sends."""
        while self.credit < len(data):
            self.events.append(self.read_frame())
        self.credit -= len(data)
        self.send(data)

    def publish(self, pub, partition, batch, acks=2, condition=None):
        correlation = self.publish_correlation
        self.publish_correlation += 1
        self.spend(frame(PUBLISH, pub, correlation, partition, acks, condition, tail=batch))
        return correlation

    def publish_one(self, pub, record, partition=None, acks=2, sequence=None, condition=None):
        correlation = self.publish_correlation
        self.publish_correlation += 1
        self.spend(frame(PUBLISH_ONE, pub, correlation, partition, acks, sequence, condition, record))
        return correlation

    def await_acks(self, count):
        """{correlation: (partition, offset, level)} of the next `count` publishes; a NACK is raised."""
        answers = {}
        while len(answers) < count:
            values = self.next_event(ACK, NACK)[0]
            if values[0] == NACK:
                raise Fault(values[5], values[6])
            for at in range(1, len(values), 6):
                _, correlation, run, partition, base, level = values[at:at + 6]
                for index in range(run):
                    offset = None if base is None else base + index
                    answers[(correlation + index) & 0xFFFFFFFF] = (partition, offset, level)
        return answers

    def consume(self, sub, options, credit=1 << 20):
        """Reads a bounded subscription to its end: {(topic, partition): [record]}."""
        result = self.request(SUBSCRIBE, sub, {**options, "creditBytes": credit})
        sources = {row[0]: tuple(row[1:]) for row in result["sources"]}
        records = {(topic, partition): [] for topic, partition, _ in sources.values()}
        open_sources = set(sources)
        while open_sources:
            values, tail, size = self.next_event(DELIVER, SOURCE_END)
            if values[0] == SOURCE_END:
                if values[4] != 0:
                    raise Fault(f"code {values[4]}", values[5])
                open_sources.discard(values[2])
                continue
            topic, partition, start = sources[values[2]]
            while tail:
                header, _, rows, taken = read_batch(tail)
                tail = tail[taken:]
                if not header["attributes"] & CONTROL:
                    records[topic, partition] += [row for row in rows if row["offset"] >= start]
            self.send(frame(FLOW, sub, size))
        self.request(UNSUBSCRIBE, sub)
        return records

    def close(self):
        self.send(frame(GOODBYE, 0, "done"))
        self.socket.close()
