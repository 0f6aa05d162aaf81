"""What one dialect can say and another cannot, and what becomes of it.

A writer of requests never leaves anything out silently. What its dialect cannot express it
notes in `Losses`, which refuses the request or collects the names, as configured; the
caller puts the names into a response header.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from entente.domain.errors import InvalidParameter


class Feature(StrEnum):
    """What a target may not be able to express; the value is its name in the header.

    Where clients have one parameter for it, the name is that parameter's.
    """

    # content
    IMAGES = "images"
    IMAGE_URLS = "image_urls"
    """Images that the provider would have to fetch."""
    IMAGE_DETAIL = "image_detail"
    DOCUMENTS = "documents"
    DOCUMENT_URLS = "document_urls"
    DOCUMENT_CONTEXT = "document_context"
    FILE_IDS = "file_ids"
    """Files of another vendor's store."""
    AUDIO = "audio"
    CITATIONS = "citations"
    TOOL_RESULT_MEDIA = "tool_result_media"
    """Images and documents that a tool gave."""
    TOOL_ERRORS = "tool_errors"
    """The mark that a tool failed; its text goes on."""
    EARLIER_THINKING = "earlier_thinking"
    """Thoughts of earlier turns that the target did not think itself."""
    SYSTEM_POSITION = "system_position"
    """The place of a system message between others; it moves to the front."""
    NAMES = "name"
    """Names of participants."""
    CACHE_CONTROL = "cache_control"

    # tools
    VENDOR_TOOLS = "vendor_tools"
    STRICT_TOOLS = "strict_tools"
    ALLOWED_TOOLS = "allowed_tools"
    TOOL_CHOICE = "tool_choice"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"
    """Forbidding parallel calls."""
    TOOL_ARGUMENTS = "tool_arguments"
    """Arguments of an earlier call that are not a JSON object; they go on in a wrapper."""

    # form
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    VERBOSITY = "verbosity"

    # sampling
    TEMPERATURE = "temperature"
    """A temperature beyond the target's range; the nearest in range is sent."""
    TOP_P = "top_p"
    TOP_K = "top_k"
    SEED = "seed"
    FREQUENCY_PENALTY = "frequency_penalty"
    PRESENCE_PENALTY = "presence_penalty"
    STOP = "stop"
    """More stop sequences than the target takes; the first ones are sent."""
    N = "n"
    LOGPROBS = "logprobs"

    # thinking
    REASONING = "reasoning"
    REASONING_EFFORT = "reasoning_effort"
    """An effort the target has no word for; the nearest is sent."""
    REASONING_BUDGET = "reasoning_budget"
    """The exact budget of thought; the nearest effort is sent."""
    REASONING_SUMMARY = "reasoning_summary"

    # account
    USER = "user"
    SERVICE_TIER = "service_tier"


HINTS: Final[frozenset[str]] = frozenset(
    {
        Feature.CACHE_CONTROL,
        Feature.EARLIER_THINKING,
        Feature.IMAGE_DETAIL,
        Feature.REASONING_SUMMARY,
        Feature.SERVICE_TIER,
        Feature.STRICT_TOOLS,
        Feature.TOOL_ERRORS,
        Feature.USER,
        "context_management",
        "diagnostics",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "speed",
        "store",
        "thinking.display",
        "tools.input_examples",
    }
)
"""What changes cost, speed or bookkeeping, but not what is asked.

Left out it is named as anything else, but never a reason to refuse.
"""


NAME_CHARS_MAX: Final = 64
NAMES_MAX: Final = 32
"""No header names more; what comes beyond is lost with the rest."""
_NOT_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_.\[\]-]")


class OnLoss(StrEnum):
    """What to do with a request of which something cannot be expressed."""

    REFUSE = "refuse"
    DROP = "drop"


class Inexpressible(InvalidParameter):
    """What a client asked for cannot be said to the target, and must not be dropped.

    `name` is that of the feature, or a member of the client's; `place` is where it stands in
    chat completions, where that says more.
    """

    def __init__(self, name: str, place: str | None, target: str) -> None:
        """Keep what an error in another client's words needs."""
        shown = str(place or name)[:NAME_CHARS_MAX]
        message = (
            f"Unsupported parameter: '{shown}' cannot be expressed in the "
            f"{target} API, which serves this model."
        )
        super().__init__(message, param=shown, code="unsupported_parameter")
        self.name = name
        self.place = place
        self.target = target

    def at(self, place: str) -> Inexpressible:
        """Give the same for who calls it otherwise."""
        return Inexpressible(self.name, place, self.target)


class Losses:
    """What a writer could not express, in the order of noticing."""

    __slots__ = ("_found", "_on_loss", "_target")

    def __init__(self, target: str, on_loss: OnLoss) -> None:
        """Start for one request; `target` is the dialect's name in sentences."""
        self._target = target
        self._on_loss = on_loss
        self._found: dict[str, None] = {}

    def note(self, name: str, param: str | None = None) -> None:
        """Note a feature, or a member of the client's that nobody knows, as lost.

        `param` is its place in the request, where that says more than the name. Raises
        Inexpressible where losses are refused and the name is no hint. A name of the
        client's is kept only in letters that a header may have.
        """
        if self._on_loss is OnLoss.REFUSE and name not in HINTS:
            raise Inexpressible(name, param, self._target)
        if len(self._found) < NAMES_MAX:
            self._found[_NOT_IN_NAME.sub("_", name[:NAME_CHARS_MAX])] = None

    @property
    def names(self) -> tuple[str, ...]:
        """What was lost, each once."""
        return tuple(self._found)
