"""Reads the test vectors beside the specification with the client of this folder. Prints one line; exits 1 on a fault."""

import json
import pathlib
import sys

import millrace

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "src" / "protocol" / "vectors"


def load(name):
    return json.loads((FOLDER / name).read_text())


def content(blob):
    if blob is None:
        return None
    return blob["str"] if "str" in blob else bytes.fromhex(blob["bin"])


def raw_zstd(body):
    """The vectors' zstd frames hold one raw block, so that no library is needed (RFC 8878)."""
    if body[:4] != bytes.fromhex("28b52ffd") or body[4] != 0x20:
        raise millrace.Fault("decompress_failed")
    return body[9:]


def check_batches():
    for vector in load("batches.json"):
        data = bytes.fromhex(vector["hex"])
        header, span, records, taken = millrace.read_batch(data, raw_zstd)
        assert taken == len(data), vector["name"]
        assert header == vector["header"], vector["name"]
        assert span == vector["span"], vector["name"]
        wanted = [{**row, "key": content(row["key"]), "value": content(row["value"])} for row in vector["records"]]
        assert records == wanted, (vector["name"], records, wanted)
    for vector in load("bad-batches.json"):
        try:
            millrace.read_batch(bytes.fromhex(vector["hex"]), raw_zstd)
            raise AssertionError(f"{vector['name']}: accepted")
        except millrace.Fault as fault:
            assert fault.name == vector["error"], (vector["name"], fault.name)


def check_frames():
    for vector in load("frames.json"):
        data = bytes.fromhex(vector["hex"])
        assert data[0] == 0xC6 and int.from_bytes(data[1:5], "big") == len(data) - 5
        values, tail = millrace.split_content(data[5:])
        assert values == vector["content"], (vector["name"], values)
        batches = 0
        while tail:
            tail = tail[millrace.read_batch(tail)[3]:]
            batches += 1
        assert batches == vector["batches"], vector["name"]


def check_hashes():
    for vector in load("murmur2.json"):
        data = bytes.fromhex(vector["hex"])
        assert millrace.murmur2(data) == vector["hash"], vector["name"]
        for count, partition in vector["partitions"].items():
            assert millrace.partition_of(data, int(count)) == partition


def main():
    check_batches()
    check_frames()
    check_hashes()
    print("vectors: all read as stated")


if __name__ == "__main__":
    sys.exit(main())
