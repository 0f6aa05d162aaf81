"""OpenAI's chat completions, whole: both sides of the dialect in canonical values. Pure.

`wire.openai` reads of a request only what governs it and lets same-dialect bytes pass;
this package is for requests and answers that cross over into another dialect.

What has no place in an answer of this dialect is left out of it: signatures of thoughts,
and encrypted thoughts, which only their vendor can read. Thoughts in the clear are
`reasoning_content`, the name that most servers and clients use for them.
"""

from entente.wire.openai_chat.answers import read_answer, read_error, write_answer
from entente.wire.openai_chat.request_reader import read_request
from entente.wire.openai_chat.request_writer import write_request
from entente.wire.openai_chat.stream_reader import ChatStreamReader as stream_reader  # noqa: N813
from entente.wire.openai_chat.stream_writer import ChatStreamWriter as stream_writer  # noqa: N813

__all__ = [
    "read_answer",
    "read_error",
    "read_request",
    "stream_reader",
    "stream_writer",
    "write_answer",
    "write_request",
]
