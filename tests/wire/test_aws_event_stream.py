"""Event-stream framing against the SDK's decoder, over any split, and broken in every byte."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import UpstreamProtocolError
from entente.wire.aws_event_stream import (
    HEADERS_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    Decoder,
    HeaderValue,
    Message,
    encode,
)
from tests.kit.run import PROPERTY

# Written by hand from the format's description: three headers, and a payload of two bytes.
BY_HAND_HEADERS = (
    b"\x0b:event-type\x07\x00\x0cmessageStart"
    b"\x0d:content-type\x07\x00\x10application/json"
    b"\x0d:message-type\x07\x00\x05event"
)


def framed(headers: bytes, payload: bytes) -> bytes:
    """Frame what stands between the prelude and the last checksum."""
    lengths = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    start = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def test_a_message_by_hand() -> None:
    """Both ways, byte for byte."""
    message = Message(
        {
            ":event-type": "messageStart",
            ":content-type": "application/json",
            ":message-type": "event",
        },
        b"{}",
    )
    data = framed(BY_HAND_HEADERS, b"{}")
    assert encode(message) == data
    assert Decoder().feed(data) == [message]
    assert message.text(":event-type") == "messageStart"
    assert message.text(":exception-type") == ""


int64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
whole_ms = st.integers(min_value=0, max_value=4_000_000_000_000)
header_values = st.one_of(
    st.booleans(),
    int64,
    st.binary(max_size=300),
    st.text(max_size=100),
    whole_ms.map(lambda ms: datetime.fromtimestamp(ms // 1000, UTC)),
    st.uuids(),
)
header_names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40)
messages = st.builds(
    Message,
    st.dictionaries(header_names, header_values, max_size=6),
    st.binary(max_size=2000),
)


@PROPERTY
@given(st.lists(messages, max_size=5), st.randoms(use_true_random=False))
def test_any_messages_over_any_split(sent: list[Message], random: Any) -> None:
    """What was written is read, whatever pieces it comes in."""
    data = b"".join(map(encode, sent))
    decoder, got, at = Decoder(), [], 0
    while at < len(data):
        size = random.randint(1, 64)
        got += decoder.feed(data[at : at + size])
        at += size
    assert got == sent
    assert decoder.pending_bytes == 0


def plain(value: HeaderValue) -> object:
    """Give a header's value as the SDK gives it."""
    if isinstance(value, UUID):
        return value.bytes
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


@PROPERTY
@given(messages.filter(lambda message: len(message.payload) + len(message.headers) > 0))
def test_the_sdk_reads_the_same(message: Message) -> None:
    """Headers and payload, as the SDK's own decoder gives them."""
    buffer = EventStreamBuffer()
    buffer.add_data(encode(message))
    (theirs,) = list(buffer)
    assert theirs.headers == {name: plain(value) for name, value in message.headers.items()}
    assert theirs.payload == message.payload


@pytest.mark.parametrize("at", range(len(framed(BY_HAND_HEADERS, b"{}"))))
def test_no_byte_can_be_wrong(at: int) -> None:
    """A flipped bit anywhere is found; none makes the decoder wait for what cannot come."""
    data = bytearray(framed(BY_HAND_HEADERS, b"{}"))
    data[at] ^= 0x10
    with pytest.raises(UpstreamProtocolError, match="checksum"):
        Decoder().feed(bytes(data))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05ab",  # a name that is longer than the block
        b"\x01a",  # no type
        b"\x01a\x0a",  # a type that does not exist
        b"\x01a\x07\x00\x05abc",  # a value that is longer than the block
        b"\x01a\x07\x00\x02\xff\xff",  # text that is not UTF-8
        b"\x01\xff\x00",  # a name that is not UTF-8
        b"\x01a\x05\x00",  # half a number
        b"\x01a\x09\x00",  # half a UUID
        b"\x01a\x08\x7f" + b"\xff" * 7,  # a time that no calendar has
    ],
)
def test_headers_that_cannot_be_read(headers: bytes) -> None:
    """Each is refused, though its checksums are right."""
    with pytest.raises(UpstreamProtocolError, match="headers of a message"):
        Decoder().feed(framed(headers, b""))


@pytest.mark.parametrize(
    ("total", "headers_bytes", "reason"),
    [
        (MESSAGE_BYTES_MAX + 1, 0, "longer than AWS allows"),
        (2**32 - 1, 0, "longer than AWS allows"),
        (HEADERS_BYTES_MAX + 17, HEADERS_BYTES_MAX + 1, "longer than AWS allows"),
        (15, 0, "contradict"),
        (20, 5, "contradict"),
        (0, 0, "contradict"),
    ],
)
def test_lengths_are_checked_before_they_are_waited_for(
    total: int, headers_bytes: int, reason: str
) -> None:
    """A prelude alone is enough to refuse."""
    lengths = struct.pack(">II", total, headers_bytes)
    with pytest.raises(UpstreamProtocolError, match=reason):
        Decoder().feed(lengths + struct.pack(">I", crc32(lengths)))


def test_half_a_message_shows() -> None:
    """So that the end of the bytes can be told from the end of the stream."""
    data = framed(b"", b"payload")
    decoder = Decoder()
    assert decoder.feed(data[:-1]) == []
    assert decoder.pending_bytes == len(data) - 1
    assert decoder.feed(data[-1:]) == [Message({}, b"payload")]
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize(
    "message",
    [
        Message({"a": "x" * 70_000}),
        Message({"a": 2**63}),
        Message({"a" * 300: True}),
        Message({}, b"x" * (MESSAGE_BYTES_MAX - 15)),
        Message({f"h{number}": "x" * 60_000 for number in range(3)}),
    ],
)
def test_the_encoder_refuses_what_no_decoder_takes(message: Message) -> None:
    """Too long a value, number, name, payload or block."""
    with pytest.raises(ValueError, match=r"header|bounds|range"):
        encode(message)
