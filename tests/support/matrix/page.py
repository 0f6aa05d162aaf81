"""Writes `docs/dialects.md` from a run of the matrix: `python -m tests.support.matrix.page`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from tests.support.clients.anthropic_messages import AnthropicMessages
from tests.support.clients.azure_chat import AzureChat
from tests.support.clients.client import Client
from tests.support.clients.openai_chat import OpenAIChat
from tests.support.clients.openai_responses import OpenAIResponses
from tests.support.matrix import endpoints
from tests.support.matrix.bench import running, told_by
from tests.support.matrix.features import FEATURES, Feature, loss
from tests.support.matrix.play import Cell, play
from tests.support.standins.scenes import SCENES

CHAT: Final = OpenAIChat()
MESSAGES: Final = AnthropicMessages()
CLIENTS: Final[tuple[Client, ...]] = (CHAT, OpenAIResponses(), AzureChat(), MESSAGES)
"""Every dialect that clients may speak; a new one is a line here."""
PROVIDERS: Final = {
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "bedrock": "Bedrock",
    "scripted": "local",
}
KEYS: Final = 2 * len(CLIENTS) * len(PROVIDERS) * len(FEATURES)
PAGE: Final = Path(__file__).parents[3] / "docs" / "dialects.md"

Results: TypeAlias = Mapping[tuple[str, str, str], Cell]
"""By client, provider and feature."""

_HEAD: Final = """# Dialects

Any client meets any provider: what a client says in its dialect is said to the provider in the
provider's own, and so is the answer. Where both speak the same dialect, the bytes pass as they
are.

This page is written from a run of `tests/e2e/test_dialect_matrix.py`: one `entente serve`, a
stand-in for each vendor that takes nothing but the vendor's form and answers in it; every answer
and event is validated against the types of the vendor's own SDK, what the provider got is compared
with what the client meant, and each request has its one settlement, exact to the token.
`python -m tests.support.matrix.page` writes it again; a test fails when it is not true any more.

In a cell:

- **yes**: it arrives whole, at the provider and at the client.
- **`name`**: it cannot be said to this provider. A model with `unsupported = "refuse"`, which is
  the default, answers 400, names the parameter, and sends nothing. With `unsupported = "drop"` the
  request goes on without it, or with the nearest that can be said, and the header
  `x-entente-dropped` names it.
- **yes, names `name`**: it changes nothing of the answer, so the request goes on without it, and
  the header says so.

A client of responses meets OpenAI, and Azure's v1 surface, in its own dialect: bytes pass, hosted
tools, encrypted thoughts and whatever is new to us included. Every other provider is asked to chat,
as Azure's classic surface is in this run.

"local" is a provider inside Entente that speaks OpenAI's dialect, as the local runtime does.
Bedrock is asked for a Claude model; what other families take differs.

A stream that fails ends in the client's own error event, never in a stop reason or an end marker.
Its one settlement is `failed` where the provider said so, and `truncated` where its bytes just
ended. What a provider did not report is charged by what it sent, and marked as estimated.

A whole answer that does not say how it ended has no form in another dialect: it is a 502, settled
as `failed`, and charged for what the provider reported of it.
"""


def cells() -> list[tuple[Client, str, Feature]]:
    """Give every cell: client, provider and what is asked."""
    return [
        (client, provider, feature)
        for client in CLIENTS
        for provider in PROVIDERS
        for feature in FEATURES
        if client.name in feature.clients
    ]


def written(found: Results) -> str:
    """Write the page."""
    tables = [line for client in CLIENTS for line in _table(client, found)]
    return "\n".join([_HEAD, *tables, *endpoints.lines(), *_told(), *_reasons()]) + "\n"


def _table(client: Client, found: Results) -> Iterator[str]:
    """Write what one client gets from every provider."""
    yield f"## {client.name} in"
    yield ""
    yield f"| | {' | '.join(PROVIDERS.values())} |"
    yield "|---" * (len(PROVIDERS) + 1) + "|"
    for feature in FEATURES:
        if client.name not in feature.clients:
            continue
        cells = []
        lost = client.lost(feature.lost)
        for provider in PROVIDERS:
            match found[client.name, provider, feature.name]:
                case Cell.PASSES:
                    cells.append("yes")
                case Cell.NAMED:
                    cells.append(f"yes, names `{lost}`")
                case Cell.REFUSED:
                    cells.append(f"`{lost}`")
        yield f"| {feature.name} | {' | '.join(cells)} |"
    yield ""


def _told() -> Iterator[str]:
    """Write what of an answer each provider's API tells, by which the cells above are checked."""
    thinking, cached = SCENES["thinking"], SCENES["cached"]
    told = {name: told_by(name) for name in PROVIDERS}
    rows = {
        "thoughts": [bool(api.tells(thinking, stream=True).thought) for api in told.values()],
        "tokens of thoughts": [
            api.tells(cached, stream=True).usage.reasoning > 0 for api in told.values()
        ],
        "tokens read from a cache": [
            api.tells(cached, stream=True).usage.cache_read > 0 for api in told.values()
        ],
        "tokens written to a cache": [
            api.tells(cached, stream=True).usage.cache_write > 0 for api in told.values()
        ],
        "which stop sequence ended it": [
            api.tells(SCENES["stop_sequence"], stream=True).stop_sequence is not None
            for api in told.values()
        ],
    }
    yield "## What providers tell"
    yield ""
    yield from (
        "What a provider does not tell, no client is told: tokens of thoughts are then output,",
        "those written to a cache are input, and a stop sequence is a plain end. A client of",
        "OpenAI's dialect is never told which sequence it was.",
    )
    yield ""
    yield f"| | {' | '.join(PROVIDERS.values())} |"
    yield "|---" * (len(PROVIDERS) + 1) + "|"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join('yes' if cell else 'no' for cell in cells)} |"
    yield ""


def _reasons() -> Iterator[str]:
    """Write why something cannot be said somewhere."""
    yield "## Why not"
    yield ""
    yield "| | where | why |"
    yield "|---|---|---|"
    for feature in FEATURES:
        why: dict[str, list[str]] = {}
        for provider, title in PROVIDERS.items():
            lost = loss(feature, provider)
            if lost is not None:
                why.setdefault(lost, []).append(title)
        for reason, titles in why.items():
            yield f"| {feature.name} | {', '.join(titles)} | {reason} |"


def main() -> int:
    """Play the matrix and write the page."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), keys=KEYS) as bench:
        found = {
            (client.name, provider, feature.name): play(
                bench, client, bench.vendors[provider], feature
            )
            for client, provider, feature in cells()
        }
        PAGE.write_text(written(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
