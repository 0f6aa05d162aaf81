"""Which way a call goes to a provider, and its answer back to the client.

Where both speak the same dialect, bytes pass as they are, and are only followed. Where
they do not, request and answer cross over as the values of `domain.inference`. A new native
way is a row of `NATIVE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final, TypeAlias

from entente.domain.chat import Call, Front, Surface
from entente.domain.errors import OperationNotSupported
from entente.domain.features import OnLoss
from entente.gateway.passages.base import Passage
from entente.gateway.passages.compaction import CompactionPassage
from entente.gateway.passages.completions import AzureCompletions, CompletionsPassage
from entente.gateway.passages.crossing import AzurePassage, Crossing
from entente.gateway.passages.media import (
    OPERATIONS,
    EmbeddingsCrossing,
    EmbeddingsPassage,
    MediaPassage,
)
from entente.gateway.passages.native import (
    ChatPassage,
    MessagesPassage,
    ResponsesPassage,
    as_it_is,
)
from entente.gateway.sides import CHAT, PROVIDERS, client_side
from entente.providers.base import Provider
from entente.wire import azure_errors, azure_filters
from entente.wire.bedrock import embeddings as bedrock_embeddings
from entente.wire.dialect import Written
from entente.wire.gemini import embeddings as gemini_embeddings
from entente.wire.quirks import Quirks, adapt

Refusal: TypeAlias = Callable[[int, bytes, str], bytes]
_Way: TypeAlias = tuple[Surface, Front, str]


def _for_azure(status: int, body: bytes, _request_id: str) -> bytes:
    """Say what a provider refused in OpenAI's form as Azure would."""
    return azure_errors.from_openai(status, body)


def _for_openai(status: int, body: bytes, _request_id: str) -> bytes:
    """Say what Azure refused as OpenAI would."""
    return azure_errors.for_openai(status, body)


def _media(front: Front, dialect: str, refusal: Refusal) -> dict[_Way, Passage]:
    """Give the ways of the surfaces that are no conversation, which are all alike."""
    ways: dict[_Way, Passage] = {
        (surface, front, dialect): MediaPassage(surface, refusal) for surface in OPERATIONS
    }
    return ways | {(Surface.EMBEDDINGS, front, dialect): EmbeddingsPassage(refusal)}


def _embedders(front: Front) -> dict[_Way, Passage]:
    """Give the ways to providers that have embeddings in a form of their own."""
    refusal = client_side(Surface.EMBEDDINGS, front).refusal
    return {
        (Surface.EMBEDDINGS, front, "gemini"): EmbeddingsCrossing(gemini_embeddings, refusal),
        (Surface.EMBEDDINGS, front, "bedrock"): EmbeddingsCrossing(bedrock_embeddings, refusal),
    }


_CHAT: Final = ChatPassage()
_RESPONSES: Final = ResponsesPassage()
_COMPLETIONS: Final = CompletionsPassage()
NATIVE: Final[Mapping[_Way, Passage]] = {
    **_media(Front.OPENAI, "openai", as_it_is),
    **_media(Front.AZURE, "openai", _for_azure),
    **_media(Front.OPENAI, "azure", _for_openai),
    **_media(Front.AZURE, "azure", as_it_is),
    **_embedders(Front.OPENAI),
    **_embedders(Front.AZURE),
    (Surface.COMPLETIONS, Front.OPENAI, "openai"): _COMPLETIONS,
    (Surface.COMPLETIONS, Front.AZURE, "openai"): CompletionsPassage(_for_azure),
    (Surface.COMPLETIONS, Front.OPENAI, "azure"): AzureCompletions(_for_openai),
    (Surface.COMPLETIONS, Front.AZURE, "azure"): _COMPLETIONS,
    (Surface.CHAT, Front.OPENAI, "openai"): _CHAT,
    (Surface.CHAT, Front.AZURE, "openai"): ChatPassage(_for_azure),
    (Surface.CHAT, Front.OPENAI, "azure"): AzurePassage(CHAT, PROVIDERS["azure"]),
    (Surface.CHAT, Front.AZURE, "azure"): _CHAT,
    (Surface.COMPACTION, Front.OPENAI, "openai"): CompactionPassage(as_it_is),
    (Surface.COMPACTION, Front.AZURE, "openai"): CompactionPassage(_for_azure),
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


def way_to(provider: Provider, call: Call) -> Passage:
    """Give the way of a call to a provider.

    Raises OperationNotSupported where there is none: the provider does not have the surface,
    and nothing else can stand in for it.
    """
    surface, front, dialect = call.surface, call.front, provider.dialect
    native = NATIVE.get((surface, front, dialect)) if surface in provider.surfaces else None
    if native is None and surface in OPERATIONS:
        raise OperationNotSupported(OPERATIONS[surface], call.model)
    return native or _crossing(surface, front, dialect)


@cache
def _crossing(surface: Surface, front: Front, dialect: str) -> Passage:
    """Give the way between two dialects of conversation."""
    return Crossing(client_side(surface, front), PROVIDERS[dialect])
