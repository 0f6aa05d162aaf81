# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""The mix of skills, and what surrounds them.

Around an example there may be a system prompt, earlier turns, tools on offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from . import (
    arithmetic,
    chat,
    code,
    decline,
    extract,
    lists,
    passages,
    repeat,
    toolbox,
    tools,
    words,
)
from .types import Example, Infill, Turn, is_held_out

Maker = Callable[[Random, str], Example | Infill]


@dataclass(frozen=True)
class Skill:
    """A generator, its shares of the mix, and the languages it is evaluated in.

    ``weight`` is its share at first, ``later`` from ``LATER_FROM`` on: what is learnt fast
    makes room for what takes many examples. ``practice`` is a richer form for training only.
    """

    make: Maker
    weight: float
    later: float
    langs: tuple[str, ...] = words.LANGS
    practice: Maker | None = None


SKILLS: dict[str, Skill] = {
    "repeat": Skill(repeat.make, 2.5, 2.0),
    "chat": Skill(chat.make, 2.5, 2.5),
    "decline": Skill(decline.make, 2.5, 2.5),
    "arithmetic": Skill(arithmetic.make, 4.0, 5.0),
    "sort": Skill(lists.sort, 1.5, 3.5),
    "reverse": Skill(lists.reverse, 1.2, 2.5),
    "count": Skill(lists.count, 1.0, 0.3),
    "extract": Skill(extract.make, 3.0, 3.5),
    "passages": Skill(passages.make, 3.5, 2.5, practice=passages.make_several),
    "tool_call": Skill(tools.call, 3.5, 3.0),
    "tool_answer": Skill(tools.answer, 1.5, 2.5),
    "code": Skill(code.make, 1.5, 2.5, ("en",)),
}
LATER_FROM = 50_000
"""Examples of one stream after which the later shares count."""
COPY_FIRST = 3_000
COPY_SHARE = 0.5
LANG_WEIGHTS = {"en": 0.5, "de": 0.26, "ar": 0.24}

_SYSTEM: dict[str, list[str]] = {
    "en": [
        "You are a helpful assistant.",
        "You are a helpful assistant. Answer briefly.",
        "Be concise.",
        "You are entente-tiny.",
        "Answer in one sentence.",
        "You are a bot.",
        "You are a friendly and professional support agent for {n}. Always be polite.",
        "You are {n}, an AI assistant. Today is {d}.",
        "Respond in English.",
        "{s}",
        "{s} {s}",
        "You are an expert in {x}. Help the user with the {x}. {s}",
        "Current date: {d}",
        "You can use tools.",
        "You are a helpful assistant with access to tools.",
        "Use the tools when they help.",
        "# Rules\n- {s}\n- {s}\n- {s}",
    ],
    "de": [
        "Du bist ein hilfreicher Assistent.",
        "Antworte kurz.",
        "Antworte auf Deutsch.",
        "Du bist {n}, ein Assistent. Heute ist {d}.",
        "{s}",
        "{s} {s}",
        "You are a helpful assistant.",
        "Du hilfst bei Fragen zu {x}. {s}",
    ],
    "ar": [
        "أنت مساعد مفيد.",
        "أجب باختصار.",
        "أجب بالعربية.",
        "أنت {n}، مساعد ذكي.",
        "{s}",
        "You are a helpful assistant.",
        "{s} {s}",
    ],
}


def system_prompt(rng: Random, lang: str) -> str:
    """Some system prompt; the model is to read it and carry on."""
    pattern = rng.choice(_SYSTEM[lang])
    return pattern.format(
        n=words.first_name(rng, lang),
        d=words.date(rng, lang),
        x=words.noun(rng, lang),
        s=words.sentence(rng, lang, rng.randint(3, 12)),
    )


def pick_lang(rng: Random) -> str:
    """A language by its share."""
    return rng.choices(list(LANG_WEIGHTS), list(LANG_WEIGHTS.values()))[0]


def draw(rng: Random, skill: str, lang: str, held_out: bool) -> Example | Infill:
    """An instance of the skill from the wanted side of the split."""
    how = SKILLS[skill]
    make = how.make if held_out or how.practice is None else how.practice
    while True:
        made = make(rng, lang)
        if is_held_out(made.key) == held_out:
            return made


def _with_history(rng: Random, example: Example) -> Example:
    """Earlier questions and answers put before the example (not before tools)."""
    earlier: list[Turn] = []
    long = ("code", "passages", "tool_call", "tool_answer")
    chats = [name for name in SKILLS if name not in long]
    for _ in range(rng.choice((1, 1, 2))):
        lang = example.lang if rng.random() < 0.85 else pick_lang(rng)
        other = draw(rng, rng.choice(chats), lang, held_out=False)
        if isinstance(other, Example):
            earlier += other.turns
    start = 1 if example.turns[0].role == "system" else 0
    turns = (*example.turns[:start], *earlier, *example.turns[start:])
    return replace(example, turns=turns)


def _after_answer(rng: Random, example: Example) -> Example:
    """A tool's answer followed by a new question, tools still on offer."""
    lang = example.lang
    skill = rng.choice(("chat", "decline", "repeat", "tool_call"))
    if skill == "tool_call":
        uses = toolbox.shelf(rng, lang, 3)
        wanted = rng.choice(uses)
        names = {t.name for t in example.tools}
        if any(u.tool.name in names for u in uses):
            return example
        follow: tuple[Turn, ...] = (
            Turn("user", wanted.request),
            Turn("assistant", "", (wanted.tool.name, wanted.arguments)),
        )
        return replace(
            example, turns=example.turns + follow, tools=example.tools + tuple(u.tool for u in uses)
        )
    other = draw(rng, skill, lang, held_out=False)
    more = other.turns if isinstance(other, Example) else ()
    return replace(example, turns=example.turns + more)


def surround(rng: Random, example: Example) -> Example:
    """The example as it may stand in a real chat (for training only)."""
    if example.skill in ("chat", "decline", "repeat", "sort", "count", "extract"):
        idle_tools = {"chat": 0.1, "decline": 0.1}.get(example.skill, 0.03)
        if rng.random() < idle_tools:
            uses = toolbox.shelf(rng, example.lang, rng.choice((1, 1, 2)))
            example = replace(example, tools=tuple(u.tool for u in uses))
    if example.skill == "tool_answer" and rng.random() < 0.1:
        example = _after_answer(rng, example)
    elif rng.random() < 0.08:
        example = _with_history(rng, example)
    if example.turns[0].role != "system" and rng.random() < 0.15:
        lang = example.lang if rng.random() < 0.7 else "en"
        system = Turn("system", system_prompt(rng, lang))
        example = replace(example, turns=(system, *example.turns))
    return example


def training_stream(seed: int, start: int = 0) -> Iterator[Example | Infill]:
    """An endless, seeded stream of training examples; none of them is held out.

    ``start`` is the number of its first example, for a run that goes on with another.

    Half of the first ``COPY_FIRST`` examples are plain copying, on which the other
    skills build.
    """
    rng = Random(seed)
    names = list(SKILLS)
    first = [SKILLS[name].weight for name in names]
    later = [SKILLS[name].later for name in names]
    for number in count(start):
        skill = rng.choices(names, first if number < LATER_FROM else later)[0]
        if number < COPY_FIRST and rng.random() < COPY_SHARE:
            skill = "repeat"
        made = draw(rng, skill, pick_lang(rng), held_out=False)
        yield surround(rng, made) if isinstance(made, Example) else made


def held_out_set(seed: int, skill: str, lang: str, amount: int) -> list[Example | Infill]:
    """``amount`` distinct held-out instances of one skill in one language."""
    rng = Random(f"{seed}:{skill}:{lang}")
    found: dict[str, Example | Infill] = {}
    for _ in range(amount * 200):
        if len(found) == amount:
            break
        made = draw(rng, skill, lang, held_out=True)
        found.setdefault(made.key, made)
    return list(found.values())
