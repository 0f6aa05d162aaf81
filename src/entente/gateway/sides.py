"""What a client's dialect says in its own way, and what a provider's needs. Tables, no state.

A front is the vendor whose surface a client takes us for: it decides over errors, headers
and, at Azure, annotations. The surface decides over the form of bodies and streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec

from entente.domain.chat import Call, Front, Surface
from entente.domain.errors import EntenteError
from entente.gateway import wording
from entente.gateway.client import Headers
from entente.gateway.wording import Wording
from entente.policy.rules import Standing
from entente.wire import (
    anthropic,
    anthropic_errors,
    azure,
    azure_errors,
    azure_filters,
    azure_management_answers,
    bedrock,
    gemini,
    openai,
    openai_chat,
    openai_completions,
    openai_errors,
    openai_responses,
)
from entente.wire.carried import CLIENT_ID
from entente.wire.dialect import Head, Inbound, Outbound

NS_PER_S: Final = 1_000_000_000
SSE: Final = (b"text/event-stream",)
NOTHING: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Made(NamedTuple):
    """A request as we count it: its id, and when it was taken."""

    id: str
    at_ns: int


class Extras(Protocol):
    """Writes the headers that every answer of a front carries."""

    def __call__(
        self,
        request_id: str,
        *,
        model: str | None = None,
        carried: Mapping[bytes, bytes] = NOTHING,
        theirs: Mapping[bytes, bytes] = NOTHING,
    ) -> Headers:
        """Give them for a request, the model that it names and what of its headers was kept.

        `theirs` are the headers of the provider's answer, if there was one.
        """


class Annotator(Protocol):
    """Adds to a stream what a front expects in it."""

    def feed(self, block: bytes) -> bytes:
        """Take whole events; give what goes to the client."""


class ClientSide(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is spoken to."""

    codec: Inbound
    wording: Wording
    """How it names what is lost of a request."""
    head: Callable[[Call, Made], Head]
    """What an answer needs that the provider may not give."""
    error: Callable[[EntenteError, str], openai_errors.ErrorReply]
    """Our own error as an answer; the text is the id of the request."""
    stream_error: Callable[[EntenteError], bytes]
    """The event that ends a stream in failure."""
    refusal: Callable[[int, str, str], bytes]
    """The body of a provider's error: its status, its words, the id of the request."""
    standing: Callable[[Standing, int], Headers]
    """Where a key stands in a limit, at so many nanoseconds since 1970."""
    headers: Extras | None = None
    """What every answer carries besides."""
    annotate: Callable[[bytes], bytes] | None = None
    """Adds to a whole answer what the front expects in it."""
    annotator: Callable[[], Annotator] | None = None
    """The same for a stream."""


class ProviderSide(msgspec.Struct, frozen=True):
    """How a provider is spoken to."""

    codec: Outbound
    surface: Surface
    """What it is asked as."""
    stream_types: tuple[bytes, ...] = SSE
    """Content types, or their beginnings, of its streams."""


def _head(call: Call, made: Made) -> Head:
    return Head(
        id=made.id,
        model=call.model,
        created_s=made.at_ns // NS_PER_S,
        include_usage=call.wants_usage,
    )


def _responses_head(call: Call, made: Made) -> Head:
    created_s = made.at_ns // NS_PER_S
    return openai_responses.head(call, id=made.id, created_s=created_s, stored=call.stored)


def _openai_standing(standing: Standing, _: int) -> Headers:
    unit = standing.unit.encode()
    return (
        (b"x-ratelimit-limit-" + unit, b"%d" % standing.limit),
        (b"x-ratelimit-remaining-" + unit, b"%d" % standing.remaining),
        (b"x-ratelimit-reset-" + unit, openai.duration(standing.reset_ms).encode()),
    )


def _azure_standing(standing: Standing, _: int) -> Headers:
    return azure.rate_limit_headers(
        standing.unit,
        limit=standing.limit,
        remaining=standing.remaining,
        reset_ms=standing.reset_ms,
    )


def _anthropic_standing(standing: Standing, now_ns: int) -> Headers:
    return anthropic_errors.rate_limit_headers(
        standing.unit,
        limit=standing.limit,
        remaining=standing.remaining,
        reset_ms=standing.reset_ms,
        now_ns=now_ns,
    )


def _anthropic_extras(request_id: str, **_: object) -> Headers:
    return ((b"request-id", request_id.encode()),)


def _azure_extras(
    request_id: str,
    *,
    model: str | None = None,
    carried: Mapping[bytes, bytes] = NOTHING,
    theirs: Mapping[bytes, bytes] = NOTHING,
) -> Headers:
    return azure.answer_headers(
        request_id, deployment=model, client_request_id=carried.get(CLIENT_ID), theirs=theirs
    )


def _management_extras(request_id: str, **_: object) -> Headers:
    return ((b"x-ms-request-id", azure.guid(request_id).encode()),)


CHAT: Final = ClientSide(
    codec=openai_chat,
    wording=wording.CHAT,
    head=_head,
    error=lambda error, _: openai_errors.render(error),
    stream_error=openai.stream_error,
    refusal=lambda status, words, _: openai_errors.passed_on(status, words),
    standing=_openai_standing,
)
RESPONSES: Final = msgspec.structs.replace(
    CHAT,
    codec=openai_responses,
    wording=wording.RESPONSES,
    head=_responses_head,
    error=lambda error, _: openai_responses.render(error),
    stream_error=openai_responses.stream_error,
)
MESSAGES: Final = ClientSide(
    codec=anthropic,
    wording=wording.MESSAGES,
    head=_head,
    error=anthropic_errors.render,
    stream_error=anthropic_errors.stream_error,
    refusal=anthropic_errors.passed_on,
    standing=_anthropic_standing,
    headers=_anthropic_extras,
)
COMPLETIONS: Final = msgspec.structs.replace(CHAT, codec=openai_completions)
MANAGEMENT: Final = msgspec.structs.replace(
    CHAT,
    error=lambda error, _: azure_management_answers.render(error),
    headers=_management_extras,
)
_OPENAI_SIDES: Final = {
    Surface.MESSAGES: MESSAGES,
    Surface.RESPONSES: RESPONSES,
    Surface.COMPLETIONS: COMPLETIONS,
    Surface.MANAGEMENT: MANAGEMENT,
}


def _as_azure(side: ClientSide) -> ClientSide:
    return msgspec.structs.replace(
        side,
        error=lambda error, _: azure_errors.render(error),
        refusal=lambda status, words, _: azure_errors.passed_on(status, words),
        standing=_azure_standing,
        headers=_azure_extras,
        annotate=azure_filters.annotate,
        annotator=azure_filters.AnnotatedStream,
    )


_AZURE: Final = msgspec.structs.replace(_as_azure(CHAT), annotate=None, annotator=None)
"""Where there is no text of a model's to say anything about."""
_AZURE_SIDES: Final = {
    Surface.CHAT: _as_azure(CHAT),
    Surface.RESPONSES: _as_azure(RESPONSES),
    Surface.COMPLETIONS: _as_azure(COMPLETIONS),
}

PROVIDERS: Final[Mapping[str, ProviderSide]] = {
    "openai": ProviderSide(openai_chat, Surface.CHAT),
    "azure": ProviderSide(openai_chat, Surface.CHAT),
    "anthropic": ProviderSide(anthropic, Surface.MESSAGES),
    "gemini": ProviderSide(gemini, Surface.CHAT),
    "bedrock": ProviderSide(bedrock, Surface.CHAT, (b"application/vnd.amazon.eventstream",)),
}
"""By the name of the dialect."""


def client_side(surface: Surface, front: Front = Front.OPENAI) -> ClientSide:
    """Say how clients of a surface of a front are spoken to."""
    if front is Front.AZURE:
        return _AZURE_SIDES.get(surface, _AZURE)
    return _OPENAI_SIDES.get(surface, CHAT)
