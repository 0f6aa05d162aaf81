"""What was lost of a request, in the words of who sent it.

Writers note features by one name each, and places as chat completions have them. A client
reads the name that its own dialect has; what has none (images, names of participants) keeps
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.features import Feature, Inexpressible
from entente.wire.dialect import Written


class Wording(msgspec.Struct, frozen=True):
    """How one dialect names what can be lost."""

    names: Mapping[str, str]
    are_places_its_own: bool = False
    """The places that writers give are those of this dialect."""

    def write(self, write: Callable[[], Written]) -> Written:
        """Give what was written. Raises InvalidParameter that names what the client said."""
        try:
            written = write()
        except Inexpressible as lost:
            raise lost.at(self._place(lost)) from None
        if not written.dropped:
            return written
        dropped = dict.fromkeys(self.names.get(name, name) for name in written.dropped)
        return Written(written.body, tuple(dropped))

    def _place(self, lost: Inexpressible) -> str:
        if self.are_places_its_own and lost.place is not None:
            return lost.place
        return self.names.get(lost.name, lost.name)


CHAT: Final = Wording(
    MappingProxyType(
        {
            Feature.JSON_OBJECT: "response_format",
            Feature.JSON_SCHEMA: "response_format",
            Feature.REASONING: "reasoning_effort",
            Feature.STRICT_TOOLS: "tools[].function.strict",
            Feature.VENDOR_TOOLS: "tools",
        }
    ),
    are_places_its_own=True,
)
RESPONSES: Final = Wording(
    MappingProxyType(
        {
            Feature.ALLOWED_TOOLS: "tool_choice",
            Feature.JSON_OBJECT: "text.format",
            Feature.JSON_SCHEMA: "text.format",
            Feature.LOGPROBS: "top_logprobs",
            Feature.REASONING_EFFORT: "reasoning.effort",
            Feature.REASONING_SUMMARY: "reasoning.summary",
            Feature.STRICT_TOOLS: "tools[].strict",
            Feature.USER: "safety_identifier",
            Feature.VENDOR_TOOLS: "tools",
            Feature.VERBOSITY: "text.verbosity",
        }
    )
)
MESSAGES: Final = Wording(
    MappingProxyType(
        {
            Feature.JSON_OBJECT: "output_config.format",
            Feature.JSON_SCHEMA: "output_config.format",
            Feature.PARALLEL_TOOL_CALLS: "tool_choice.disable_parallel_tool_use",
            Feature.REASONING: "thinking",
            Feature.REASONING_BUDGET: "thinking.budget_tokens",
            Feature.REASONING_EFFORT: "output_config.effort",
            Feature.REASONING_SUMMARY: "thinking.display",
            Feature.STOP: "stop_sequences",
            Feature.STRICT_TOOLS: "tools.strict",
            Feature.USER: "metadata.user_id",
            Feature.VENDOR_TOOLS: "tools",
        }
    )
)
