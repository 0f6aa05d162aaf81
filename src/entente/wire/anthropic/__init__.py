"""Anthropic's messages, whole: both sides of the dialect in canonical values. Pure.

`decode_messages` reads of a request only what governs it, and `MessagesStream` lets the
bytes of a stream pass; the rest is for requests and answers that cross over from or into
another dialect.

An answer of this dialect always has a usage; where it is not known, it says zero.
"""

from entente.wire.anthropic.answers import read_answer, read_error, write_answer
from entente.wire.anthropic.decode import decode_count_tokens, decode_messages, encode_messages
from entente.wire.anthropic.passing import MessagesStream
from entente.wire.anthropic.request_reader import read_request
from entente.wire.anthropic.request_writer import write_request
from entente.wire.anthropic.stream_reader import MessagesStreamReader as stream_reader  # noqa: N813
from entente.wire.anthropic.stream_writer import MessagesStreamWriter as stream_writer  # noqa: N813

__all__ = [
    "MessagesStream",
    "decode_count_tokens",
    "decode_messages",
    "encode_messages",
    "read_answer",
    "read_error",
    "read_request",
    "stream_reader",
    "stream_writer",
    "write_answer",
    "write_request",
]
