"""Upper bounds of what a call can use, in time that does not grow with its tokens. Pure.

A token of every tokenizer in use stands for at least one byte of text, and the JSON
around a message is longer than what a chat template puts around it, so the length of
the body is a bound on its input tokens. What is only named by reference (an image's
address, a file's id) counts at the model's own bound.
"""

from __future__ import annotations

import msgspec

from entente.domain.chat import Call
from entente.domain.usage import Usage


class Bound(msgspec.Struct, frozen=True):
    """The most tokens that a call can use."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """Both."""
        return self.input_tokens + self.output_tokens

    def as_usage(self) -> Usage:
        """The bound as if it had all been used."""
        return Usage(input=self.input_tokens, output=self.output_tokens)


def bound(
    call: Call,
    *,
    output_tokens_max: int,
    attachment_tokens_max: int,
    context_tokens: int | None,
) -> Bound:
    """Give the bound of a call to a model with these limits."""
    input_tokens = len(call.body) + call.attachments * attachment_tokens_max
    if context_tokens is not None:
        input_tokens = min(input_tokens, context_tokens)
    asked = call.output_tokens_max
    per_choice = output_tokens_max if asked is None else asked
    if context_tokens is not None:
        per_choice = min(per_choice, context_tokens)
    return Bound(input_tokens, per_choice * call.choices)
