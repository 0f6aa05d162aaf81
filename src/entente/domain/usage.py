"""What a request used, in token classes that do not overlap.

OpenAI's `prompt_tokens` contains the cached ones and its `completion_tokens` the
reasoning ones; Anthropic's do not. Each dialect's decoder splits them, so that
from here on a token is in exactly one class and a sum is a sum.

Some APIs count otherwise: speech by the characters that it says, transcription by the time
that it hears, pictures one by one. These are measures beside the tokens, not more of them,
and a price is for one or the other.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens by class, each counted in one class only; and what is measured otherwise."""

    input: int = 0
    """Input text that was neither read from nor written to a cache."""
    cache_read: int = 0
    cache_write: int = 0
    """Written to a cache that keeps it for the usual, short time."""
    cache_write_1h: int = 0
    """Written to a cache that keeps it for an hour, which costs more."""
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    """Output text that people see, tool calls included."""
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    audio_ms: int = 0
    """Milliseconds of sound that went in."""
    characters: int = 0
    """Characters that were to be spoken."""
    images: int = 0
    """Pictures that were made."""

    def counts(self) -> tuple[int, ...]:
        """Tokens by class, in the order of `TOKEN_CLASSES`."""
        return msgspec.structs.astuple(self)[:_TOKENS]

    @property
    def input_total(self) -> int:
        """All tokens that went in."""
        cached = self.cache_read + self.cache_write + self.cache_write_1h
        return self.input + cached + self.audio_input + self.image_input

    @property
    def output_total(self) -> int:
        """All tokens that came out."""
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def total(self) -> int:
        """All tokens."""
        return sum(self.counts())


INPUT_CLASSES: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "image_input",
)
OUTPUT_CLASSES: Final = ("output", "reasoning", "audio_output", "image_output")
TOKEN_CLASSES: Final = (*INPUT_CLASSES, *OUTPUT_CLASSES)
"""In the order of `Usage`'s fields."""
MEASURES: Final = ("audio_ms", "characters", "images")
"""The fields behind them."""
_TOKENS: Final = len(TOKEN_CLASSES)

NOTHING: Final = Usage()
"""Known to be zero. Unknown usage is `None` wherever a `Usage` is optional."""
