"""Which provider has which endpoint beside conversations: read off the providers themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from entente.domain.chat import Surface
from entente.providers.anthropic import AnthropicProvider
from entente.providers.azure import IN_DEPLOYMENTS
from entente.providers.bedrock import BedrockProvider
from entente.providers.gemini import GeminiProvider
from entente.providers.local import LocalProvider
from entente.providers.presets import EVERY, PRESETS
from entente.providers.scripted import ScriptedProvider

KINDS: Final[Mapping[str, Collection[Surface]]] = {
    "OpenAI": EVERY,
    "Azure OpenAI": IN_DEPLOYMENTS,
    "Anthropic": AnthropicProvider.surfaces,
    "Gemini": GeminiProvider.surfaces,
    "Bedrock": BedrockProvider.surfaces,
    "built-in runtime": LocalProvider.surfaces,
    "scripted": ScriptedProvider.surfaces,
}
ENDPOINTS: Final = {
    Surface.COMPLETIONS: "completions",
    Surface.EMBEDDINGS: "embeddings",
    Surface.MODERATIONS: "moderations",
    Surface.TRANSCRIPTIONS: "audio transcriptions",
    Surface.TRANSLATIONS: "audio translations",
    Surface.SPEECH: "speech",
    Surface.IMAGE_GENERATIONS: "image generations",
    Surface.IMAGE_EDITS: "image edits",
    Surface.IMAGE_VARIATIONS: "image variations",
}
_HEAD: Final = (
    "## Other endpoints",
    "",
    "What is no conversation goes to providers that have the same endpoint, on OpenAI's and on",
    "Azure's paths alike. **yes**: the bytes pass. **translated**: the provider has it in a form",
    "of its own. **as chat**: plain prompts become a user's message. A model none of whose",
    "providers has an endpoint is refused there with 400.",
    "",
)


def lines() -> Iterator[str]:
    """Write the table of kinds, and that of presets."""
    yield from _HEAD
    yield from _table(KINDS)
    yield "Of the presets, as far as their servers' own documentation says:"
    yield ""
    yield from _table({f"`{name}`": preset.also for name, preset in PRESETS.items()}, across=False)


def _table(served: Mapping[str, Collection[Surface]], *, across: bool = True) -> Iterator[str]:
    """Write a table, with who serves across its head or down its side."""
    cells = {
        (name, surface): _cell(name, surface, surfaces)
        for name, surfaces in served.items()
        for surface in ENDPOINTS
    }
    heads = list(served) if across else list(ENDPOINTS.values())
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    if across:
        for surface, title in ENDPOINTS.items():
            yield f"| {title} | {' | '.join(cells[name, surface] for name in served)} |"
    else:
        for name in served:
            yield f"| {name} | {' | '.join(cells[name, surface] for surface in ENDPOINTS)} |"
    yield ""


def _cell(name: str, surface: Surface, surfaces: Collection[Surface]) -> str:
    if surface in surfaces:
        is_own = name in ("Gemini", "Bedrock")
        return "translated" if is_own else "yes"
    return "as chat" if surface is Surface.COMPLETIONS else "–"
