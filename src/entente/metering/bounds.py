"""Upper bounds of what a call can use, in time that does not grow with its tokens. Pure.

A token of every tokenizer in use stands for at least one byte of text, and the JSON
around a message is longer than what a chat template puts around it, so the length of
the body is a bound on its input tokens. What is only named by reference (an image's
address, a file's id), and a file, whose bytes say nothing of its tokens, counts at the
model's own bound. So does how long a recording is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.chat import Call, Surface
from entente.domain.usage import NOTHING, Usage

MS_PER_S: Final = 1000

_INPUT_CLASSES: Final = {Surface.TRANSCRIPTIONS: "audio_input", Surface.TRANSLATIONS: "audio_input"}
_OUTPUT_CLASSES: Final = {
    Surface.SPEECH: "audio_output",
    Surface.IMAGE_GENERATIONS: "image_output",
    Surface.IMAGE_EDITS: "image_output",
    Surface.IMAGE_VARIATIONS: "image_output",
}
"""Where tokens of a surface are no text."""
_MEASURED: Final = frozenset({*_INPUT_CLASSES, *_OUTPUT_CLASSES})
"""Surfaces that are counted otherwise as well."""


class Bound(msgspec.Struct, frozen=True):
    """The most that a call can use: tokens, and what is measured otherwise."""

    input_tokens: int
    output_tokens: int
    surface: Surface = Surface.CHAT
    """Says which kind of tokens they are."""
    measured: Usage = NOTHING
    """Has no tokens."""

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens

    def as_usage(self, output_tokens: int | None = None) -> Usage:
        """The bound as if it had all been used; or so many tokens of the output."""
        output = self.output_tokens if output_tokens is None else output_tokens
        surface = self.surface
        if surface not in _MEASURED:
            return Usage(input=self.input_tokens, output=output)
        tokens = {
            _INPUT_CLASSES.get(surface, "input"): self.input_tokens,
            _OUTPUT_CLASSES.get(surface, "output"): output,
        }
        return msgspec.structs.replace(self.measured, **tokens)


def bound(
    call: Call,
    *,
    output_tokens_max: int,
    attachment_tokens_max: int,
    context_tokens: int | None,
    audio_s_max: int = 0,
) -> Bound:
    """Give the bound of a call to a model with these limits.

    The context bounds each prompt, and each choice, of those that one call can have.
    """
    text = len(call.body) if call.text_bytes is None else call.text_bytes
    input_tokens = text + call.attachments * attachment_tokens_max
    if context_tokens is not None:
        input_tokens = min(input_tokens, context_tokens * call.prompts)
    asked = call.output_tokens_max
    per_choice = output_tokens_max if asked is None else asked
    if context_tokens is not None:
        per_choice = min(per_choice, context_tokens)
    measured = _measured(call, audio_s_max) if call.surface in _MEASURED else NOTHING
    return Bound(input_tokens, per_choice * call.choices, call.surface, measured)


def _measured(call: Call, audio_s_max: int) -> Usage:
    """Give the most of what is not counted in tokens, for a surface that has such a thing."""
    if call.surface in _INPUT_CLASSES:
        return Usage(audio_ms=audio_s_max * MS_PER_S)
    kind = _OUTPUT_CLASSES.get(call.surface)
    if kind is None:
        return NOTHING
    return (
        Usage(characters=call.characters) if kind == "audio_output" else Usage(images=call.choices)
    )
