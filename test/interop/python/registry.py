"""Confluent's Python client, as it is, against Millrace's schema registry: REGISTRY_URL says where."""

import os

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

TICK = """{"type": "record", "name": "Tick", "namespace": "stock", "doc": "a price", "fields": [
  {"name": "symbol", "type": "string"}, {"name": "price", "type": "double"}]}"""
TICK_2 = """{"type": "record", "name": "Tick", "namespace": "stock", "fields": [
  {"name": "symbol", "type": "string"}, {"name": "price", "type": "double"},
  {"name": "volume", "type": ["null", "long"], "default": null}]}"""
BROKEN = TICK_2.replace('["null", "long"], "default": null', '"long"')
ORDER = """{"type": "record", "name": "Order", "namespace": "stock", "fields": [
  {"name": "tick", "type": "Tick"}, {"name": "count", "type": "int"}]}"""
ITEM = """{"title": "Item", "type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}"""


def connect():
    return SchemaRegistryClient({"url": os.environ["REGISTRY_URL"]})


def expect(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def fails(code, call):
    try:
        call()
    except SchemaRegistryError as error:
        expect(error.error_code, code)
        return str(error)
    raise AssertionError(f"nothing failed with {code}")


def round_trip(client):
    """Serialises with one version and deserialises with another; the id in front of the bytes says which wrote them."""
    context = SerializationContext("ticks", MessageField.VALUE)
    write = AvroSerializer(client, TICK)
    data = write({"symbol": "AAPL", "price": 190.5}, context)
    expect(data[0], 0)
    expect(int.from_bytes(data[1:5], "big"), client.get_latest_version("ticks-value").schema_id)
    expect(AvroDeserializer(client)(data, context), {"symbol": "AAPL", "price": 190.5})
    newer = AvroSerializer(client, TICK_2)({"symbol": "MSFT", "price": 1.0, "volume": 7}, context)
    expect(AvroDeserializer(client, TICK_2)(data, context), {"symbol": "AAPL", "price": 190.5, "volume": None})
    expect(AvroDeserializer(client, TICK)(newer, context), {"symbol": "MSFT", "price": 1.0})
    # The client remembers for a while which version was the latest.
    latest = AvroSerializer(connect(), None, conf={"auto.register.schemas": False, "use.latest.version": True})
    expect(latest({"symbol": "MSFT", "price": 1.0, "volume": 7}, context), newer)
    print("avro: written, read, and read with other versions")


def references(client):
    order = Schema(ORDER, "AVRO", [SchemaReference("stock.Tick", "ticks-value", 1)])
    context = SerializationContext("orders", MessageField.VALUE)
    value = {"tick": {"symbol": "AAPL", "price": 2.0}, "count": 3}
    expect(AvroDeserializer(client)(AvroSerializer(client, order)(value, context), context), value)
    fails(42206, lambda: client.delete_version("ticks-value", 1))
    print("references: resolved, and kept")


def json_schema(client):
    context = SerializationContext("items", MessageField.VALUE)
    data = JSONSerializer(ITEM, client)({"id": "I101"}, context)
    expect(JSONDeserializer(ITEM, schema_registry_client=client)(data, context), {"id": "I101"})
    print("json: written and read")


def administration(client):
    expect(client.get_subjects(), ["items-value", "orders-value", "ticks-value"])
    expect(client.get_versions("ticks-value"), [1, 2])
    first = client.get_version("ticks-value", 1)
    expect(client.get_schema(first.schema_id).schema_type, "AVRO")
    expect(client.lookup_schema("ticks-value", Schema(TICK, "AVRO")).version, 1)
    expect(client.register_schema("ticks-value", Schema(TICK, "AVRO")), first.schema_id)
    expect(client.test_compatibility("ticks-value", Schema(TICK_2, "AVRO")), True)
    expect(client.test_compatibility("ticks-value", Schema(BROKEN, "AVRO")), False)
    message = fails(409, lambda: client.register_schema("ticks-value", Schema(BROKEN, "AVRO")))
    assert "/fields/2" in message and '"volume"' in message, message
    expect(client.get_compatibility(), "BACKWARD")
    client.set_compatibility("ticks-value", "FULL_TRANSITIVE")
    expect(client.get_compatibility("ticks-value"), "FULL_TRANSITIVE")
    print("administration: listed, looked up, compared, configured")


def failures(client):
    fails(40401, lambda: client.get_versions("none"))
    fails(40402, lambda: client.get_version("ticks-value", 99))
    fails(40403, lambda: client.get_schema(9999))
    fails(42201, lambda: client.register_schema("bad-value", Schema("{", "AVRO")))
    fails(42201, lambda: client.register_schema("bad-value", Schema('syntax = "proto3";', "PROTOBUF")))
    fails(42203, lambda: client.set_compatibility("ticks-value", "SIDEWAYS"))
    expect(client.delete_subject("items-value"), [1])
    expect(client.delete_subject("items-value", permanent=True), [1])
    fails(40401, lambda: client.get_latest_version("items-value"))
    print("failures: told by their codes")


def main():
    client = connect()
    for part in (round_trip, references, json_schema, administration, failures):
        part(client)


main()
