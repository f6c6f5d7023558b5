"""Produces and consumes on a running broker: MILLRACE_HOST and MILLRACE_PORT. Prints one line for each step."""

import os
import time

import millrace

PARTITIONS = 4
ROWS = 2_000


def connect():
    host = os.environ.get("MILLRACE_HOST", "127.0.0.1")
    return millrace.Connection(host, int(os.environ.get("MILLRACE_PORT", "7400")))


def produce_batches(link, topic, now):
    """Idempotent batches, keyed; returns what was sent by partition."""
    identity = link.request(millrace.PRODUCER_INIT, {})
    opened = link.request(millrace.PUBLISHER_OPEN, 1, {"topic": topic, **identity})
    assert opened["partitions"] == PARTITIONS, opened
    sent = {partition: [] for partition in range(PARTITIONS)}
    for index in range(ROWS):
        key = f"key-{index % 37}"
        partition = millrace.partition_of(key.encode(), PARTITIONS)
        sent[partition].append((now + index, key, f"value {index}", {"index": index}))
    correlations = {}
    for partition, rows in sent.items():
        for at in range(0, len(rows), 100):
            producer = (identity["producerId"], identity["producerEpoch"], at)
            chunk = rows[at:at + 100]
            batch = millrace.build_batch(chunk, min(row[0] for row in chunk), producer)
            correlations[link.publish(1, partition, batch, acks=3)] = (partition, at)
            if at == 0:
                first = (partition, batch)
    answers = link.await_acks(len(correlations))
    for correlation, (partition, at) in correlations.items():
        assert answers[correlation] == (partition, at, 3), (answers[correlation], partition, at)
    duplicate = link.publish(1, first[0], first[1], acks=2)
    answer = link.await_acks(1)[duplicate]
    assert answer[0] == first[0] and answer[1] in (0, None), answer
    return sent


def produce_singles(link, topic, sent):
    """Single records; the broker picks the partition by the key."""
    link.request(millrace.PUBLISHER_OPEN, 2, {"topic": topic})
    expected = {}
    for index in range(500):
        key = f"key-{index % 37}".encode()
        value = f"single {index}".encode()
        expected[link.publish_one(2, [None, key, value, None])] = millrace.partition_of(key, PARTITIONS)
    answers = link.await_acks(len(expected))
    for correlation, partition in expected.items():
        assert answers[correlation][0] == partition, (answers[correlation], partition)
        sent[partition].append((None, None, None, None))
    return len(expected)


def refusals(link, topic, sent):
    """A wrong CRC, a gap and a condition that does not hold come back typed, and the connection lives."""
    batch = bytearray(millrace.build_batch([(1, "k", "v", None)], 1))
    batch[-1] ^= 1
    for name, run in {
        "bad_crc": lambda: link.publish(2, 0, bytes(batch)),
        "offset_conflict": lambda: link.publish(2, 0, millrace.build_batch([(1, "k", "v", None)], 1), condition=10**9),
        "publisher_not_found": lambda: link.publish(77, 0, millrace.build_batch([(1, "k", "v", None)], 1)),
    }.items():
        run()
        try:
            link.await_acks(1)
            raise AssertionError(f"{name}: accepted")
        except millrace.Fault as fault:
            assert fault.name == name, (fault.name, name)
    try:
        link.request(millrace.TOPIC_DESCRIBE, {"name": topic + "-missing"})
        raise AssertionError("a missing topic was described")
    except millrace.Fault as fault:
        assert fault.name == "topic_not_found", fault.name


def consume(link, topic, sent):
    """Everything from the earliest offset: values, order, times and headers as sent."""
    records = link.consume(5, {"topic": topic, "from": "earliest", "until": "end"}, credit=65536)
    total = 0
    for (_, partition), rows in records.items():
        assert [row["offset"] for row in rows] == list(range(len(rows)))
        assert len(rows) == len(sent[partition]), (partition, len(rows), len(sent[partition]))
        for row, (timestamp, key, value, headers) in zip(rows, sent[partition]):
            if timestamp is not None:
                assert (row["timestamp"], row["key"], row["value"], row["headers"]) == (timestamp, key, value, headers)
            else:
                assert row["value"].startswith(b"single "), row
        total += len(rows)
    return total


def group(link, topic, total):
    """A group of one: joins, reads all partitions, commits, leaves."""
    name = topic + "-group"
    joined = link.request(
        millrace.SUBSCRIBE, 6, {"group": name, "topics": [topic], "from": "earliest", "creditBytes": 1 << 20}
    )
    sources, seen, generation = {}, {}, joined["generation"]
    while sum(seen.values()) < total:
        values, tail, size = link.next_event(millrace.ASSIGNMENT, millrace.DELIVER)
        if values[0] == millrace.ASSIGNMENT:
            generation = values[2]
            sources.update({row[0]: row for row in values[3]})
            continue
        while tail:
            _, span, rows, taken = millrace.read_batch(tail)
            tail = tail[taken:]
            seen[values[2]] = seen.get(values[2], 0) + len(rows)
        link.send(millrace.frame(millrace.FLOW, 6, size))
    assert len(sources) == PARTITIONS, sources
    offsets = [[topic, sources[source][2], count, "by python"] for source, count in seen.items()]
    member = {"group": name, "member": joined["member"], "generation": generation}
    link.request(millrace.COMMIT, {**member, "offsets": offsets})
    link.request(millrace.UNSUBSCRIBE, 6)
    rows = link.request(millrace.GROUP_OFFSETS, {"group": name})["offsets"]
    assert all(row[4] == 0 and row[3] == "by python" for row in rows), rows
    link.request(millrace.GROUP_DELETE, {"group": name})


def main():
    now = int(time.time() * 1000)
    topic = f"interop.python.{now}"
    link = connect()
    print(f"connected to {link.welcome['server']}, version {link.welcome['version']}")
    link.request(millrace.TOPIC_CREATE, {"name": topic, "partitions": PARTITIONS, "config": {}})
    sent = produce_batches(link, topic, now)
    print(f"published {ROWS} records in batches, idempotent, synced; a duplicate was recognised")
    print(f"published {produce_singles(link, topic, sent)} single records")
    refusals(link, topic, sent)
    print("bad publishes came back typed")
    total = consume(link, topic, sent)
    print(f"consumed {total} records, CRCs verified")
    group(link, topic, total)
    print("a group read, committed and left")
    link.request(millrace.TOPIC_DELETE, {"name": topic})
    link.close()


if __name__ == "__main__":
    main()
