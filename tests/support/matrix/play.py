"""One cell of the matrix: a client asks a provider for something, and everything is checked.

That is: what the provider was asked, what the client was told, and what the ledger says.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

import msgspec

from entente.domain.chat import Status
from entente.domain.inference import STATUSES
from entente.domain.usage import TOKEN_CLASSES, Usage
from entente.ledger.model import Settlement
from tests.support.clients.client import OUTPUT_TOKENS_MAX, Client, Wish
from tests.support.matrix.bench import DROPS, RATES_NANO, Bench, Vendor
from tests.support.matrix.features import Feature, loss
from tests.support.server import Got
from tests.support.standins.scenes import SCENES, Asked, Break, Scene

BODY_FAILURES: Final = (502, 504)
"""What a whole answer that breaks off is, in every dialect."""


class Cell(StrEnum):
    """How a cell came out."""

    PASSES = "passes"
    REFUSED = "refused"
    NAMED = "named"
    """It passes, and says what was left out."""


class _Cell(msgspec.Struct):
    """What one cell is about."""

    bench: Bench
    client: Client
    vendor: Vendor
    feature: Feature

    @property
    def wish(self) -> Wish:
        return self.feature.wish

    @property
    def scene(self) -> Scene:
        return SCENES[self.wish.scene]

    def ask(self, suffix: str = "") -> tuple[Got, Settlement]:
        """Ask, and give the answer and the one settlement."""
        key = self.bench.key()
        model = self.vendor.name + suffix
        body = self.client.body(self.wish, model)
        data = json.dumps(body, ensure_ascii=False).encode()
        got = self.bench.post(self.client.path(model), self.client.headers(key.secret), data)
        settled = self.bench.settlement(key)
        self.client.check_headers(got.headers, settled.id)
        return got, settled

    def heard(self) -> int:
        """Count what the provider got so far."""
        return len(self.vendor.standin.requests) if self.vendor.standin else 0

    def refused(self) -> list[str]:
        """List what the provider did not take for a request so far."""
        return list(self.vendor.standin.refused) if self.vendor.standin else []

    def asked(self) -> Asked | None:
        """Give what the provider understood last; None for one that cannot be looked into."""
        standin = self.vendor.standin
        if standin is None:
            return None
        return standin.asked[-1]


def play(bench: Bench, client: Client, vendor: Vendor, feature: Feature) -> Cell:
    """Play a cell. Fails for anything that is not as it has to be."""
    cell = _Cell(bench, client, vendor, feature)
    if loss(feature, vendor.name) is None:
        _passes(cell)
        return Cell.PASSES
    if feature.hint:
        _passes(cell, dropped=feature.lost)
        return Cell.NAMED
    before = cell.heard()
    got, settled = cell.ask()
    assert got.status == 400, got.body
    wrong = client.wrong(got.body)
    assert wrong.kind == "invalid_request_error"
    named = client.lost(feature.lost)
    assert f"'{named}'" in wrong.message
    assert wrong.param in {named, None}
    assert cell.heard() == before, "nothing may be sent of what cannot be said"
    assert (settled.status, settled.usage, settled.cost_nano) == (Status.FAILED, Usage(), 0)
    _passes(cell, suffix=DROPS, dropped=feature.lost)
    return Cell.REFUSED


def _passes(cell: _Cell, *, suffix: str = "", dropped: str = "") -> None:
    """See that an answer comes, of a request that lacks nothing but what is named."""
    before, refused = cell.heard(), cell.refused()
    got, settled = cell.ask(suffix)
    assert cell.refused()[len(refused) :] == []
    assert got.headers.get("x-entente-dropped", "") == cell.client.lost(dropped), got.body
    asked = cell.asked()
    if asked is not None:
        assert cell.heard() == before + 1
        assert settled.attempts == 1
        _check_asked(cell, asked, dropped)
    assert settled.target == f"{cell.vendor.name}/{cell.vendor.target}"
    if cell.scene.status != 200:
        _check_error(cell, got, settled)
    elif cell.scene.breaks is not None and not cell.wish.stream:
        _check_half(cell, got, settled)
    elif cell.scene.breaks is not None:
        _check_broken_stream(cell, got, settled)
    else:
        _check_answer(cell, got, settled)


def _check_asked(cell: _Cell, asked: Asked, dropped: str) -> None:
    """Compare what the provider understood with what the client meant."""
    wish = cell.wish
    assert asked.stream is wish.stream
    said = wish.said
    if dropped == "image_urls":
        said = tuple(part for part in said if part[1] != "link")
    assert asked.said == said
    assert asked.system == (wish.system or "")
    assert asked.tools == (wish.tools if dropped else wish.tools or _own_tools(wish))
    choices = {None: None, "any": "any", "none": "none", "auto": "auto"}
    expected = choices.get(wish.choice, wish.choice)
    alone = expected or ("auto" if "parallel_tool_calls" in asked.settings else None)
    choice = asked.choice.lower() if asked.choice else None
    assert choice in {expected, alone}
    form = "object" if "response_format" in wish.settings else wish.form
    assert asked.form == (None if dropped == "json_object" else form)
    _check_settings(cell, asked.settings, dropped)


def _own_tools(wish: Wish) -> tuple[tuple[str, Any], ...]:
    """Give the vendor's own tools among those that the client names."""
    return tuple((tool.get("name", ""), tool["type"]) for tool in wish.extra.get("tools", ()))


def _check_settings(cell: _Cell, seen: dict[str, Any], dropped: str) -> None:
    """Compare the parameters. What was lost is not there, or bent into the provider's range."""
    settings = {"max_completion_tokens": OUTPUT_TOKENS_MAX, **cell.wish.settings}
    settings.pop("response_format", None)
    extra = cell.wish.extra
    if "top_k" in extra:
        settings["top_k"] = extra["top_k"]
    if "thinking" in extra:
        settings["max_completion_tokens"] = extra["max_tokens"]
        settings["thinking_budget"] = extra["thinking"]["budget_tokens"]
    if dropped == "temperature":
        settings["temperature"] = 1.0
    elif dropped == "reasoning_budget":
        del settings["thinking_budget"]
        assert seen.pop("reasoning_effort") == "low"
    else:
        settings.pop(dropped, None)
    if "stop" in settings:
        seen.pop("wants_stop_sequence", None)
    assert seen == settings


def _check_answer(cell: _Cell, got: Got, settled: Settlement) -> None:
    """Compare what the client was told with what the model did."""
    client, scene, wish = cell.client, cell.scene, cell.wish
    told = cell.bench.told[cell.vendor.name].tells(scene, stream=wish.stream)
    assert got.status == 200, got.body
    kind = "text/event-stream" if wish.stream else "application/json"
    assert got.headers["content-type"].partition(";")[0] == kind
    seen = client.read_stream(got.body) if wish.stream else client.read(got.body)
    assert seen.text == scene.text
    assert seen.thought == (told.thought if client.says_thoughts else "")
    assert [call[1:] for call in seen.calls] == [(c.name, c.arguments) for c in scene.calls]
    ids = [call[0] for call in seen.calls]
    assert len(set(ids)) == len(ids)
    assert all(ids)
    assert seen.stop == client.words[told.stop]
    assert seen.stop_sequence == (told.stop_sequence if client.says_stop_sequence else None)
    assert seen.usage == client.shown(told.usage)
    assert seen.choices == _choices(cell, got)
    assert seen.failure is None
    assert seen.model
    assert settled.status is STATUSES[told.stop]
    assert settled.usage == told.usage
    assert settled.estimated is False
    assert settled.upstream_status == 200
    _check_cost(settled)


def _choices(cell: _Cell, got: Got) -> int:
    asked = int(cell.wish.settings.get("n", 1))
    return 1 if got.headers.get("x-entente-dropped") == "n" else asked


def _check_cost(settled: Settlement) -> None:
    """See that each token costs what a token of its class costs, and no token costs twice."""
    counts = dict(zip(TOKEN_CLASSES, settled.usage.counts(), strict=True))
    assert settled.cost_nano == sum(RATES_NANO[name] * n for name, n in counts.items() if n)


def _check_error(cell: _Cell, got: Got, settled: Settlement) -> None:
    """See that a provider's error is one in the client's dialect, and costs nothing."""
    scene = cell.scene
    assert got.status == scene.status
    wrong = cell.client.wrong(got.body)
    if cell.vendor.standin is not None:
        assert wrong.message.startswith("The stand-in")
        expected = cell.client.kinds.get(scene.status)
        assert expected in {None, wrong.kind}
    assert (settled.status, settled.usage) == (Status.FAILED, Usage())
    assert (settled.cost_nano, settled.upstream_status) == (0, scene.status)


def _check_half(cell: _Cell, got: Got, settled: Settlement) -> None:
    """See that half of a whole answer is an error, and charged as what it may have been."""
    assert got.status in BODY_FAILURES
    assert cell.client.wrong(got.body).message
    assert settled.status is Status.FAILED
    assert settled.estimated
    _check_cost(settled)


def _check_broken_stream(cell: _Cell, got: Got, settled: Settlement) -> None:
    """See that a stream that breaks off says so, shows no end, and is charged for once."""
    assert got.status == 200
    seen = cell.client.read_stream(got.body)
    assert seen.failure
    assert seen.stop is None
    assert seen.text == cell.scene.text
    by_event = cell.scene.breaks is Break.EVENT
    if by_event and cell.vendor.standin is not None:
        assert "The stand-in breaks off." in seen.failure
    assert settled.status is (Status.FAILED if by_event else Status.TRUNCATED)
    counts = cell.bench.told[cell.vendor.name].counts_on_the_way
    assert settled.estimated is not counts
    pieces = len(cell.scene.texts) + sum(len(call.pieces) for call in cell.scene.calls)
    assert settled.usage.input_total >= cell.scene.usage.input_total
    assert settled.usage.output_total >= (1 if counts else pieces)
    _check_cost(settled)
