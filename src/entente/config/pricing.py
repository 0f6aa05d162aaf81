"""What a price book calls the targets of the settings. Pure.

A vendor's price is only for what that vendor serves: a provider counts as one where it is
reached at the vendor's own address. Elsewhere somebody else's machine answers to the same name.
What a deployment of Azure's or a model of Bedrock's costs depends on where and how it runs,
which its name does not say. All of these need `priced_as`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entente.config.model import ProviderKind
from entente.providers.presets import PRESETS
from entente.providers.vendors import ANTHROPIC_URL, GEMINI_URL

if TYPE_CHECKING:
    from entente.config.model import Config, ProviderConfig

_OWN: Final = {
    ProviderKind.ANTHROPIC: ("anthropic", ANTHROPIC_URL),
    ProviderKind.GEMINI: ("gemini", GEMINI_URL),
}
_LOCAL: Final = "http://"
"""Services are reached by TLS; presets of this form are servers of one's own."""


def names_in_books(config: Config) -> dict[tuple[str, str], str]:
    """Give each target's name in a book, by model and target, as the ledger writes that."""
    names: dict[tuple[str, str], str] = {}
    for called, model in config.models.items():
        for target in model.targets:
            vendor = vendor_of(config.providers[target.provider])
            name = target.priced_as or (f"{vendor}/{target.model}" if vendor else "")
            if name:
                names[called, f"{target.provider}/{target.model}"] = name
    return names


def vendor_of(provider: ProviderConfig) -> str:
    """Say whose prices a provider has by its address alone; empty for nobody's."""
    url = (provider.base_url or "").rstrip("/")
    own = _OWN.get(provider.kind)
    if own is not None:
        return own[0] if url == own[1].rstrip("/") else ""
    if provider.kind is not ProviderKind.OPENAI or url.startswith(_LOCAL):
        return ""
    return next((name for name, each in PRESETS.items() if each.base_url.rstrip("/") == url), "")
