# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skills ``tool_call`` and ``tool_answer``.

The first is to pick one of several tools and fill in its arguments, the second to
answer from what the tool returned.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from . import toolbox, words
from .types import Example, Turn, listed

_RESULT = {"en": "Result of {n}: {r}", "de": "Ergebnis von {n}: {r}", "ar": "نتيجة {n}: {r}"}
_FAILED = {
    "en": "The tool {n} failed: {r}",
    "de": "Das Werkzeug {n} meldet einen Fehler: {r}",
    "ar": "فشلت الأداة {n}: {r}",
}
_KEYS = listed("""
    temperature condition city status id name price total count date result answer ok time wind
    humidity title user email value unit message currency rate stock""")


def _offer(rng: Random, lang: str) -> tuple[toolbox.Use, tuple[toolbox.Tool, ...]]:
    """One wanted tool among one to three on offer, in random order."""
    uses = toolbox.shelf(rng, lang, rng.choice((1, 2, 2, 3)))
    tools = [u.tool for u in uses]
    rng.shuffle(tools)
    return rng.choice(uses), tuple(tools)


def _call_turn(use: toolbox.Use) -> Turn:
    """The assistant's turn that calls the tool."""
    return Turn("assistant", "", (use.tool.name, use.arguments))


def call(rng: Random, lang: str) -> Example:
    """A request that one of the tools on offer can serve."""
    use, tools = _offer(rng, lang)
    key = f"tool_call:{use.request}"
    turns = (Turn("user", use.request), _call_turn(use))
    return Example("tool_call", lang, key, turns, tools)


def _scalar(rng: Random, lang: str) -> Any:
    """One value inside a tool's result."""
    return rng.choice(
        (
            rng.randint(0, 99),
            rng.randint(0, 99),
            words.noun(rng, lang),
            words.city(rng, lang),
            words.code(rng),
        )
    )


def _result(rng: Random, lang: str) -> tuple[str, str]:
    """What a tool returns and how the answer puts it.

    A flat JSON object is told as ``key: value`` pairs, a single line as it is.
    """
    if rng.random() < 0.6:
        data = {key: _scalar(rng, lang) for key in rng.sample(_KEYS, rng.randint(1, 3))}
        told = ", ".join(f"{key}: {value}" for key, value in data.items())
        return json.dumps(data, ensure_ascii=False), told
    line = words.sentence(rng, lang, rng.randint(2, 6))
    return line, line


def answer(rng: Random, lang: str) -> Example:
    """A tool was called and has answered (or failed): tell the user."""
    use, tools = _offer(rng, lang)
    shown, told = _result(rng, lang)
    frame = _RESULT[lang]
    if rng.random() < 0.12:
        told = words.sentence(rng, lang, rng.randint(1, 4))
        shown = f"error: {told}"
        frame = _FAILED[lang]
    turns = (
        Turn("user", use.request),
        _call_turn(use),
        Turn("tool", shown),
        Turn("assistant", frame.format(n=use.tool.name, r=told)),
    )
    key = f"tool_answer:{use.request}:{shown}"
    return Example("tool_answer", lang, key, turns, tools)
