"""OpenAI's completions of plain text, the API that chat took the place of. Pure.

Servers that have it get the client's bytes. For a provider that can only chat the prompt
becomes a user's message, and its answer the text: what a completion of that prompt is there.
What only a model without a chat can do (continue a text to its suffix, repeat the prompt
with probabilities, read tokens) is refused.
"""

from entente.wire.openai_completions.answers import (
    CompletionStreamWriter as stream_writer,  # noqa: N813
)
from entente.wire.openai_completions.answers import write_answer
from entente.wire.openai_completions.requests import (
    decode_completions,
    encode_completions,
    read_request,
)

__all__ = [
    "decode_completions",
    "encode_completions",
    "read_request",
    "stream_writer",
    "write_answer",
]
