"""Reads a chat request as far as a script can look at it or answer it.

A request that OpenAI would not take is refused with OpenAI's error, so that a gateway
that damages a body is found out.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

CHOICES_MAX: Final = 128
TOP_LOGPROBS_MAX: Final = 20

_Bound = Annotated[int, msgspec.Meta(ge=1)]


class _Part(msgspec.Struct, frozen=True):
    """A part of a message's content; only text is looked at."""

    type: str
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    """A message of the conversation."""

    role: str
    content: str | tuple[_Part, ...] | None = None

    def text(self) -> str:
        """Give the text of all parts, one per line."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.type == "text")


class _Named(msgspec.Struct, frozen=True):
    """A function or custom tool."""

    name: str


class _Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call."""

    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    """Options of a stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a chat request that change the answer; null is as good as absent."""

    model: str
    messages: Annotated[tuple[_Message, ...], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=CHOICES_MAX)] | None = None
    max_tokens: _Bound | None = None
    max_completion_tokens: _Bound | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=TOP_LOGPROBS_MAX)] | None = None
    tools: tuple[_Tool, ...] | None = None
    service_tier: str | None = None

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        """Whether the stream shall carry its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def tier(self) -> str:
        """The tier that it is served in: the one that is asked for, where one is."""
        return self.service_tier if self.service_tier not in (None, "auto") else "default"

    @property
    def pieces_max(self) -> int | None:
        """The tighter of the two token bounds per choice."""
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)

    @property
    def last_role(self) -> str:
        """The role of the last message."""
        return self.messages[-1].role

    def last_user_text(self) -> str:
        """Give the text of the last user message, "" where there is none."""
        return next((m.text() for m in reversed(self.messages) if m.role == "user"), "")

    def words(self) -> int:
        """Count the words of all messages, as whitespace separates them."""
        return sum(len(message.text().split()) for message in self.messages)

    def offers(self, tool: str) -> bool:
        """Tell whether a tool of this name is offered."""
        named = (offer.function or offer.custom for offer in self.tools or ())
        return any(one is not None and one.name == tool for one in named)


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def decode_request(body: bytes) -> ChatRequest:
    """Read the body. Raises ValueError with a sentence for the error's `message`."""
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        message = f"The scripted provider cannot read the request: {error}."
        raise ValueError(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"We could not parse the JSON body of your request. ({error})"
        raise ValueError(message) from error
