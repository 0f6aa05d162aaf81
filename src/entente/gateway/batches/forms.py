"""What differs between the batches of OpenAI and of Anthropic, in one table each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from entente.domain.batches import Result
from entente.domain.chat import Call, Surface
from entente.wire import (
    anthropic,
    anthropic_batches,
    openai,
    openai_batches,
    openai_responses,
    openai_stored,
    strict,
)
from entente.wire.embeddings import decode_embeddings
from entente.wire.media.requests import decode_json
from entente.wire.openai_completions import decode_completions


class Serving(msgspec.Struct, frozen=True):
    """How the requests of a route are read."""

    surface: Surface
    decode: Callable[[bytes], Call]
    check: Callable[[bytes, bool], None] | None = None
    """Refuses what the vendor would, for a client of Azure's or another one."""


def _chat(body: bytes) -> Call:
    """Read a chat request; answers of batches stand in their file and are not stored besides."""
    return openai_stored.without_store(openai.decode_chat(body))


def _media(surface: Surface) -> Serving:
    """Serve a surface whose requests in JSON are read by one function."""
    return Serving(surface, partial(decode_json, surface), _checked(surface))


def _checked(surface: Surface) -> Callable[[bytes, bool], None]:
    """Check a surface whose requests in JSON are checked by one function."""
    return lambda body, is_azures: strict.check_json(surface, body, is_azures=is_azures)


def _check_chat(body: bytes, is_azures: bool) -> None:
    strict.check_chat(body, is_azures=is_azures)


ROUTES: Final[Mapping[str, Serving]] = {
    "/v1/chat/completions": Serving(Surface.CHAT, _chat, _check_chat),
    "/v1/responses": Serving(
        Surface.RESPONSES,
        openai_responses.decode_responses,
        lambda body, _: strict.check_responses(body),
    ),
    "/v1/embeddings": Serving(Surface.EMBEDDINGS, decode_embeddings, _checked(Surface.EMBEDDINGS)),
    "/v1/completions": Serving(
        Surface.COMPLETIONS, decode_completions, _checked(Surface.COMPLETIONS)
    ),
    "/v1/moderations": _media(Surface.MODERATIONS),
    "/v1/images/generations": _media(Surface.IMAGE_GENERATIONS),
    "/v1/images/edits": _media(Surface.IMAGE_EDITS),
    "/v1/messages": Serving(
        Surface.MESSAGES, anthropic.decode_messages, lambda body, _: strict.check_messages(body)
    ),
}
"""What can be asked in a batch."""
MESSAGES: Final = "/v1/messages"
OPENAI_ROUTES: Final = tuple(route for route in ROUTES if route != MESSAGES)


class Form(msgspec.Struct, frozen=True):
    """How a kind of batch reads its lines and writes its results."""

    read_line: Callable[[bytes], tuple[str, bytes]]
    write_result: Callable[[Result, str], bytes]


BATCH: Final = "batch"
MESSAGE_BATCH: Final = "message_batch"
FORMS: Final[Mapping[str, Form]] = {
    BATCH: Form(openai_batches.read_line, openai_batches.write_result),
    MESSAGE_BATCH: Form(anthropic_batches.read_line, anthropic_batches.write_result),
}
"""By the kind of stored object."""
