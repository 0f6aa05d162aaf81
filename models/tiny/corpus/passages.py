# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skill ``passages``: cited question answering over short numbered passages.

The answer quotes the sentence that answers, followed by its number, or says that
the passages do not tell.

Half the time, another passage says the same about another subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from . import words
from .facts import FACTS, Fact
from .types import Example, Turn, is_held_out

NOT_SAID = {
    "en": "The passages do not say.",
    "de": "Die Abschnitte sagen dazu nichts.",
    "ar": "الفقرات لا تذكر ذلك.",
}

_INTROS: dict[str, list[str]] = {
    "en": ["Answer from the passages and cite the number.", "Passages:", "Sources:"],
    "de": ["Antworte aus den Abschnitten und nenne die Nummer.", "Abschnitte:", "Quellen:"],
    "ar": ["أجب من الفقرات واذكر الرقم.", "الفقرات:", "المصادر:"],
}
_LABELS: dict[str, list[str]] = {
    "en": ["Question: {q}", "{q}"],
    "de": ["Frage: {q}", "{q}"],
    "ar": ["السؤال: {q}", "{q}"],
}


def subject(rng: Random, lang: str) -> str:
    """What a statement is about: a thing, now and then with a quality."""
    thing = words.noun(rng, lang)
    if lang == "en" and rng.random() < 0.3:
        return f"{rng.choice(words.ADJECTIVES['en'])} {thing}"
    return thing


def value(rng: Random, lang: str, kind: str) -> str:
    """A made-up value of the given kind (see ``facts``)."""
    makers = {
        "city": lambda: words.city(rng, lang),
        "name": lambda: words.full_name(rng, lang),
        "num": lambda: str(rng.randint(1, 99)),
        "year": lambda: str(rng.randint(1800, 2035)),
        "hour": lambda: str(rng.randint(1, 12)),
        "day": lambda: rng.choice(words.DAYS[lang]),
        "date": lambda: words.date(rng, lang),
        "thing": lambda: words.noun(rng, lang),
        "code": lambda: words.code(rng),
    }
    return makers[kind]()


@dataclass(frozen=True)
class Statement:
    """A sentence in a passage and a question that it answers."""

    text: str
    key: str
    question: str


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def state(rng: Random, lang: str, fact: Fact, about: str) -> Statement:
    """The statement of a fact about the subject, with a question that it answers."""
    text = capital(fact.sentence.format(s=about, v=value(rng, lang, fact.kind)))
    question = rng.choice(fact.questions).format(s=about)
    return Statement(text, f"passages:{about}:{text}", question)


def _passages(rng: Random, lang: str, near: list[Statement]) -> list[Statement]:
    """Two to four passages of one statement each, the given ones among them."""
    size = max(rng.randint(2, 4), len(near))
    others = [
        state(rng, lang, rng.choice(FACTS[lang]), subject(rng, lang))
        for _ in range(size - len(near))
    ]
    found = [*near, *others]
    rng.shuffle(found)
    return found


def _render(found: list[Statement]) -> str:
    """The passages with their numbers, one a line."""
    return "\n".join(f"[{number}] {one.text}" for number, one in enumerate(found, start=1))


def _frame(rng: Random, lang: str, listing: str, question: str) -> tuple[Turn, ...]:
    """The passages and the question as system and user turns."""
    intro = rng.choice(_INTROS[lang])
    asked = rng.choice(_LABELS[lang]).format(q=question)
    if rng.random() < 0.2:
        return (Turn("system", f"{intro}\n{listing}"), Turn("user", question))
    return (Turn("user", f"{intro}\n{listing}\n\n{asked}"),)


def _build(rng: Random, lang: str, more: int) -> Example:
    """Passages with one question and up to ``more`` further ones after its answer."""
    fact, about = rng.choice(FACTS[lang]), subject(rng, lang)
    wanted = state(rng, lang, fact, about)
    near: list[Statement] = []
    if rng.random() < 0.5:
        near.append(state(rng, lang, fact, subject(rng, lang)))
    known = rng.random() > 0.1
    found = _passages(rng, lang, [*near, wanted] if known else near)
    where = {one.text: number for number, one in enumerate(found, start=1)}
    reply = f"{wanted.text} [{where[wanted.text]}]" if known else NOT_SAID[lang]
    turns = [*_frame(rng, lang, _render(found), wanted.question), Turn("assistant", reply)]
    rest = [one for one in found if one is not wanted and not is_held_out(one.key)]
    for other in rng.sample(rest, min(more, len(rest))):
        turns += [
            Turn("user", other.question),
            Turn("assistant", f"{other.text} [{where[other.text]}]"),
        ]
    return Example("passages", lang, wanted.key, tuple(turns))


def make(rng: Random, lang: str) -> Example:
    """A question over two to four passages; one in ten has no answer there."""
    return _build(rng, lang, more=0)


def make_several(rng: Random, lang: str) -> Example:
    """For training: the same with up to three more questions on the passages.

    So one reading of a long text teaches several answers.
    """
    return _build(rng, lang, more=rng.choice((0, 1, 2, 3)))
