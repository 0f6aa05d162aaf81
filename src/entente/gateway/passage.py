"""Which way a call goes to a provider, and its answer back to the client.

Where both speak the same dialect, bytes pass as they are, and are only followed. Where
they do not, request and answer cross over as the values of `domain.inference`. A new native
way is a row of `NATIVE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Final

from entente.domain.chat import Call, Front, Surface
from entente.domain.features import OnLoss
from entente.gateway.passages.base import Passage
from entente.gateway.passages.crossing import AzurePassage, Crossing
from entente.gateway.passages.native import ChatPassage, MessagesPassage, ResponsesPassage
from entente.gateway.sides import CHAT, PROVIDERS, client_side
from entente.providers.base import Provider
from entente.wire import azure_errors, azure_filters
from entente.wire.dialect import Written
from entente.wire.quirks import Quirks, adapt


def _for_azure(status: int, body: bytes, _request_id: str) -> bytes:
    """Say what a provider refused in OpenAI's form as Azure would."""
    return azure_errors.from_openai(status, body)


def _for_openai(status: int, body: bytes, _request_id: str) -> bytes:
    """Say what Azure refused as OpenAI would."""
    return azure_errors.for_openai(status, body)


_CHAT: Final = ChatPassage()
_RESPONSES: Final = ResponsesPassage()
NATIVE: Final[Mapping[tuple[Surface, Front, str], Passage]] = {
    (Surface.CHAT, Front.OPENAI, "openai"): _CHAT,
    (Surface.CHAT, Front.AZURE, "openai"): ChatPassage(_for_azure),
    (Surface.CHAT, Front.OPENAI, "azure"): AzurePassage(CHAT, PROVIDERS["azure"]),
    (Surface.CHAT, Front.AZURE, "azure"): _CHAT,
    (Surface.RESPONSES, Front.OPENAI, "openai"): _RESPONSES,
    (Surface.RESPONSES, Front.AZURE, "openai"): ResponsesPassage(_for_azure),
    (Surface.RESPONSES, Front.OPENAI, "azure"): ResponsesPassage(
        _for_openai, without=frozenset({azure_filters.CHECKS})
    ),
    (Surface.RESPONSES, Front.AZURE, "azure"): _RESPONSES,
    (Surface.MESSAGES, Front.OPENAI, "anthropic"): MessagesPassage(),
}
"""Ways that are no crossing, by surface, front and dialect, for providers with that surface."""


def adapted(
    written: Written, quirks: Quirks, target: str, on_loss: OnLoss, *, call: Call
) -> Written:
    """Make a request fit a server that differs from its dialect."""
    wording = client_side(call.surface, call.front).wording
    fitting = wording.write(partial(adapt, written.body, quirks, target=target, on_loss=on_loss))
    return Written(fitting.body, written.dropped + fitting.dropped)


def way_to(provider: Provider, surface: Surface, front: Front) -> Passage:
    """Give the way from a surface of a front to a provider."""
    dialect = provider.dialect
    native = NATIVE.get((surface, front, dialect)) if surface in provider.surfaces else None
    return native or _crossing(surface, front, dialect)


@cache
def _crossing(surface: Surface, front: Front, dialect: str) -> Passage:
    """Give the way between two dialects."""
    return Crossing(client_side(surface, front), PROVIDERS[dialect])
