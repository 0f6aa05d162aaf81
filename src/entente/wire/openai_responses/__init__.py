"""OpenAI's responses, whole: both sides of the dialect in canonical values. Pure.

`decode_responses` reads of a request only what governs it, and `ResponsesStream` lets the
bytes of a stream pass; the rest is for requests and answers that cross over from or into
another dialect.

What a response repeats of its request comes with its head: `head(call, ...)` makes one, and
any other `Head` stands for OpenAI's defaults. Thoughts are written as summaries; `thoughts`
says how their signatures travel. What hosted tools did has no place in canonical values.
The body of an error is that of chat completions.
"""

from entente.wire.openai_chat import read_error
from entente.wire.openai_responses.answer_reader import read_answer
from entente.wire.openai_responses.answer_writer import write_answer
from entente.wire.openai_responses.decode import (
    State,
    behind,
    decode_responses,
    encode_responses,
    input_items,
    state,
)
from entente.wire.openai_responses.faults import render, stream_error
from entente.wire.openai_responses.head import ResponsesHead, head
from entente.wire.openai_responses.passing import (
    ResponsesStream,
    Retelling,
    read_compaction,
    read_end,
    retelling,
)
from entente.wire.openai_responses.request_reader import read_request
from entente.wire.openai_responses.request_writer import write_request
from entente.wire.openai_responses.stream_reader import (
    ResponsesStreamReader as stream_reader,  # noqa: N813
)
from entente.wire.openai_responses.stream_writer import (
    ResponsesStreamWriter as stream_writer,  # noqa: N813
)

__all__ = [
    "ResponsesHead",
    "ResponsesStream",
    "Retelling",
    "State",
    "behind",
    "decode_responses",
    "encode_responses",
    "head",
    "input_items",
    "read_answer",
    "read_compaction",
    "read_end",
    "read_error",
    "read_request",
    "render",
    "retelling",
    "state",
    "stream_error",
    "stream_reader",
    "stream_writer",
    "write_answer",
    "write_request",
]
