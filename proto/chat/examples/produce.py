#!/usr/bin/env python3
"""Writes one chat message into a room, as an edge would. Needs: pip install kafka-python-ng

    produce.py --kafka localhost:19092 --room lobby --sender robot "Good morning"
"""
import argparse
import hashlib
import os
import struct
import time

from kafka import KafkaProducer
from kafka.partitioner.default import murmur2


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, content):
    """A length-delimited protobuf field; proto3 leaves an empty one out."""
    return varint(number << 3 | 2) + varint(len(content)) + content if content else b""


def uuid7():
    """48 bits of milliseconds, version 7, variant 10, the rest random."""
    raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def idempotency_hash(room, sender, key):
    sha = hashlib.sha256()
    for part in (room, sender, key):
        sha.update(struct.pack(">I", len(part)) + part)
    return max(1, int.from_bytes(sha.digest()[:8], "big"))


def message(room, sender, body, content_type=b"text/plain;charset=utf-8", headers=(), key=b"", origin=b"produce.py"):
    """A chat.v1.Message, fields in the order of their numbers."""
    value = field(1, uuid7())
    if key:
        value += varint(2 << 3 | 1) + struct.pack("<Q", idempotency_hash(room, sender, key))
    value += field(3, room) + field(4, sender) + field(5, content_type)
    for name, text in headers:
        header = field(1, name) + field(2, text)
        value += varint(6 << 3 | 2) + varint(len(header)) + header
    return value + field(7, body) + field(8, key) + field(9, origin)


def main():
    arguments = argparse.ArgumentParser(description="Writes one chat message into a room.")
    arguments.add_argument("--kafka", default="localhost:9092")
    arguments.add_argument("--topic", default="chat.events.v1")
    arguments.add_argument("--partitions", type=int, default=12, help="as the edges' --partitions, not the topic's")
    arguments.add_argument("--room", required=True)
    arguments.add_argument("--sender", default="")
    arguments.add_argument("--key", default="", help="a repeat with the same key within two minutes is shown once")
    arguments.add_argument("body")
    given = arguments.parse_args()

    room = given.room.encode()
    producer = KafkaProducer(bootstrap_servers=given.kafka, acks="all")
    stored = producer.send(
        given.topic,
        key=room,
        value=message(room, given.sender.encode(), given.body.encode(), key=given.key.encode()),
        partition=(murmur2(room) & 0x7FFFFFFF) % given.partitions,
        headers=[("content-type", b"application/x-protobuf")],
    ).get(timeout=30)
    print(f"stored in partition {stored.partition} at offset {stored.offset}")


if __name__ == "__main__":
    main()
