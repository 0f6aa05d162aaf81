"""What every dialect says in its own form: a request for inference, and its answer.

A dialect in `wire` reads its bytes into these values and writes them out of these values;
so any dialect in meets any provider out. They are used only where the two differ: where
both speak the same dialect, the bytes go on as they are.

Everything is frozen, and nothing is in two places. JSON that nobody here has to understand
(the schema of a tool, the arguments of a call) stays JSON as text. Binary data stays base64.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from entente.domain.chat import Status
from entente.domain.usage import Usage


class Role(StrEnum):
    """Who speaks. A message of `TOOL` consists of tool results, and only such a one has them."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class CacheMark(StrEnum):
    """A mark behind a part: the prompt up to here is worth caching, for so long."""

    DEFAULT = "default"
    FIVE_MINUTES = "5m"
    ONE_HOUR = "1h"


# ---- where content comes from ----


class Inline(msgspec.Struct, frozen=True):
    """Content in the request itself."""

    media_type: str
    """Such as `image/png`."""
    data: str
    """Base64, without line breaks."""


class Link(msgspec.Struct, frozen=True):
    """Content that the provider fetches."""

    url: str


class StoredFile(msgspec.Struct, frozen=True):
    """A file that was uploaded before, by its id."""

    id: str


class PlainText(msgspec.Struct, frozen=True):
    """A document that is text."""

    text: str


Source: TypeAlias = Inline | Link | StoredFile | PlainText

# ---- parts of messages ----


class Text(msgspec.Struct, frozen=True, omit_defaults=True):
    """Text."""

    text: str
    cache: CacheMark | None = None


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image; its source is never `PlainText`."""

    source: Source
    detail: str | None = None
    """How closely to look: `low`, `high`, `auto`, or a vendor's newer word."""
    cache: CacheMark | None = None


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document such as a PDF."""

    source: Source
    name: str | None = None
    """Its title or file name."""
    context: str | None = None
    """What the model is told about it beside its content."""
    citations: bool = False
    """The answer is to cite it."""
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sound to listen to, in the request itself."""

    data: str
    """Base64."""
    format: str
    """`wav` or `mp3`."""


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model calls a tool."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it; usually an object, but a model can err."""
    cache: CacheMark | None = None


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool gave for the call with this id."""

    call_id: str
    parts: tuple[Text | Image | Document, ...]
    failed: bool = False
    cache: CacheMark | None = None


class Thinking(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model thought. The signature lets its vendor take it back unchanged.

    A vendor whose signatures could be taken for Anthropic's puts its name and a colon before
    them, so that a writer can tell which it may send back.
    """

    text: str
    signature: str | None = None


class RedactedThinking(msgspec.Struct, frozen=True):
    """What the model thought, encrypted by its vendor."""

    data: str


class Refusal(msgspec.Struct, frozen=True):
    """The model's own words of refusing."""

    text: str


Part: TypeAlias = (
    Text | Image | Document | Audio | ToolCall | ToolResult | Thinking | RedactedThinking | Refusal
)


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. Results of parallel calls are the parts of one message of `Role.TOOL`."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    """Who of several participants with the same role speaks."""


# ---- requests ----


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the client runs."""

    name: str
    description: str | None = None
    schema: bytes | None = None
    """JSON schema of its arguments as the client wrote it; None takes none."""
    strict: bool | None = None
    cache: CacheMark | None = None


class VendorTool(msgspec.Struct, frozen=True):
    """A tool that only its vendor knows (web search, a computer, a grammar)."""

    type: str
    definition: bytes
    """The JSON object as the client wrote it."""


class ToolMode(StrEnum):
    """Whether the model calls tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tools the model may or must call."""

    mode: ToolMode
    name: str | None = None
    """The one that it must call, for `NAMED`."""
    allowed: tuple[str, ...] | None = None
    """The only ones that count, of those that are defined; None for all."""


class JsonObject(msgspec.Struct, frozen=True):
    """The answer is a JSON object of any form."""


class JsonSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer is JSON of a schema."""

    schema: bytes
    """The JSON schema as the client wrote it."""
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are drawn; None is the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    """Sequences that end the answer, and are not part of it."""
    output_tokens_max: int | None = None
    choices: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    """How many likely tokens to tell for each place."""


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much the model thinks before it answers; what is None is left to it."""

    enabled: bool | None = None
    effort: str | None = None
    """`minimal`, `low`, `medium`, `high`, or a vendor's further word (`xhigh`, `max`)."""
    budget_tokens: int | None = None
    """An upper bound of the tokens of thought."""
    summary: str | None = None
    """How thoughts are shown: OpenAI's `auto`, `concise`, `detailed`."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for an answer to a conversation."""

    model: str
    messages: tuple[Message, ...]
    """The conversation with its system messages, in the client's order."""
    tools: tuple[Tool | VendorTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: at most one call in an answer."""
    response_format: JsonObject | JsonSchema | None = None
    """None is text."""
    sampling: Sampling = Sampling()
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    user: str | None = None
    """The client's own id of its user, for abuse reports."""
    service_tier: str | None = None
    """In OpenAI's words: `auto`, `default`, `flex`, `priority`."""
    cache: CacheMark | None = None
    """Cache as far as the vendor sees fit."""
    stream: bool = False
    others: tuple[str, ...] = ()
    """Names of the client's members that have no place here, and so are lost to any target."""


# ---- answers ----


class Stop(StrEnum):
    """Why a choice ended."""

    END = "end"
    LENGTH = "length"
    """The bound on output tokens."""
    CONTEXT = "context"
    """The model's context is full."""
    TOOL_CALLS = "tool_calls"
    STOP_SEQUENCE = "stop_sequence"
    FILTERED = "filtered"
    """A content filter cut it off."""
    REFUSAL = "refusal"
    """The vendor's safety checks, or the model, refused."""
    PAUSE = "pause"
    """The vendor interrupted a long turn; the client may send it back to go on."""


STATUSES: Final = {
    Stop.END: Status.COMPLETE,
    Stop.LENGTH: Status.LENGTH,
    Stop.CONTEXT: Status.LENGTH,
    Stop.TOOL_CALLS: Status.COMPLETE,
    Stop.STOP_SEQUENCE: Status.COMPLETE,
    Stop.FILTERED: Status.FILTERED,
    Stop.REFUSAL: Status.FILTERED,
    Stop.PAUSE: Status.COMPLETE,
}
"""How a request ended whose answer stopped so."""


class TokenLogprob(msgspec.Struct, frozen=True, omit_defaults=True):
    """How likely a token was."""

    token: str
    logprob: float
    """Natural logarithm."""
    octets: tuple[int, ...] | None = None
    """The token's UTF-8 bytes."""
    top: tuple[TokenLogprob, ...] = ()
    """The likeliest tokens in its place; these have no `top` of their own."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of those that were asked for."""

    index: int = 0
    parts: tuple[Part, ...]
    stop: Stop | None
    """None: the provider gave none, so the answer is not whole."""
    stop_sequence: str | None = None
    """The one that was matched, for `STOP_SEQUENCE`."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    refusal_logprobs: tuple[TokenLogprob, ...] | None = None


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole answer."""

    id: str
    """The provider's own id of it, "" where it has none."""
    model: str
    """The model that answered, as its provider calls it."""
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    """None is unknown, not zero."""
    created_s: int | None = None
    """Seconds since 1970."""
    service_tier: str | None = None
