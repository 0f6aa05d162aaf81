# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skill ``passages``: cited question answering over short numbered passages.

The answer quotes the sentence that answers, followed by its number, or says that
the passages do not tell.

The distractors are chosen to hurt: the same statement about another subject, and
another statement about the same subject.
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
    "en": ["Answer from the passages and cite the number.", "Use only these passages:",
           "Answer the question using the numbered passages. Cite like [1].", "Passages:",
           "Context:", "Sources:", "Read the passages and answer.", "Documents:",
           ("Answer only from the passages below and cite them by number in square brackets. "
            "If the answer is not there, say so.")],
    "de": ["Antworte aus den Abschnitten und nenne die Nummer.", "Abschnitte:", "Kontext:",
           "Quellen:", "Beantworte die Frage mit den nummerierten Abschnitten. Zitiere mit [1].",
           "Nutze nur diese Abschnitte:"],
    "ar": ["أجب من الفقرات واذكر الرقم.", "الفقرات:", "السياق:", "المصادر:",
           "أجب عن السؤال من الفقرات المرقمة واذكر الرقم مثل [1]."],
}
_LABELS: dict[str, list[str]] = {
    "en": ["Question: {q}", "{q}", "Q: {q}", "Question:\n{q}", "My question: {q}"],
    "de": ["Frage: {q}", "{q}", "Meine Frage: {q}"],
    "ar": ["السؤال: {q}", "{q}", "سؤال: {q}"],
}
_MARKS = ("[{n}] {t}", "[{n}] {t}", "[{n}] {t}", "[{n}]: {t}", "{n}. {t}", "({n}) {t}",
          "[{n}] ({s}) {t}", "[{n}] {s}\n{t}", "[{n}]\n{t}")


def subject(rng: Random, lang: str) -> str:
    """What a statement is about, made up anew each time so that it must be copied."""
    draw = rng.random()
    if draw < 0.3:
        name = words.pseudo_word(rng, lang)
        return name if lang == "ar" else name.capitalize()
    if draw < 0.45:
        name = words.pseudo_word(rng, lang).capitalize()
        thing = words.noun(rng, lang)
        return {"en": f"{name} {thing}", "de": f"{name}-{thing}", "ar": f"{thing} {name}"}[lang]
    thing = words.noun(rng, lang)
    if draw < 0.7 and lang == "en":
        return f"{rng.choice(words.ADJECTIVES['en'])} {thing}"
    return thing


def value(rng: Random, lang: str, kind: str) -> str:
    """A made-up value of the given kind (see ``facts``)."""
    makers = {
        "city": lambda: words.city(rng, lang),
        "name": lambda: (words.full_name if rng.random() < 0.5 else words.first_name)(rng, lang),
        "num": lambda: str(rng.randint(1, 10 ** rng.randint(1, 4))),
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
    """A sentence in a passage; word salad has no question."""

    text: str
    key: str
    group: str = ""
    question: str = ""


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def state(rng: Random, lang: str, fact: Fact, about: str) -> Statement:
    """The statement of a fact about the subject, with a question that it answers."""
    text = capital(fact.sentence.format(s=about, v=value(rng, lang, fact.kind)))
    question = rng.choice(fact.questions).format(s=about)
    return Statement(text, f"passages:{about}:{text}", fact.group, question)


def _filler(rng: Random, lang: str) -> Statement:
    """A statement on something else or word salad."""
    if rng.random() < 0.75:
        return state(rng, lang, rng.choice(FACTS[lang]), subject(rng, lang))
    text = words.sentence(rng, lang, rng.randint(4, 12)).rstrip(".?!؟") + "."
    return Statement(text, text)


def _bodies(rng: Random, lang: str, near: list[Statement]) -> list[list[Statement]]:
    """One to eight passages of one to three statements, the given ones among them."""
    size = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8))
    most = rng.choice((1, 1, 1, 1, 2, 3))
    bodies = [[_filler(rng, lang) for _ in range(rng.randint(1, most))] for _ in range(size)]
    for extra in near:
        body = rng.choice(bodies)
        body.insert(rng.randint(0, len(body)), extra)
    return bodies


def _render(rng: Random, lang: str, bodies: list[list[Statement]]) -> str:
    """The passages with their numbers in one of several usual layouts."""
    mark = rng.choice(_MARKS)
    lines = []
    for number, body in enumerate(bodies, start=1):
        source = rng.choice((f"{words.pseudo_word(rng, 'en')}.pdf", words.noun(rng, lang)))
        text = " ".join(statement.text for statement in body)
        lines.append(mark.format(n=number, t=text, s=source))
    return rng.choice(("\n", "\n", "\n\n")).join(lines)


def _frame(rng: Random, lang: str, listing: str, question: str) -> tuple[Turn, ...]:
    """The passages and the question as system and user turns."""
    intro = rng.choice(_INTROS[lang])
    asked = rng.choice(_LABELS[lang]).format(q=question)
    draw = rng.random()
    if draw < 0.25:
        return (Turn("system", f"{intro}\n{listing}"), Turn("user", question))
    if draw < 0.35:
        return (Turn("system", intro), Turn("user", f"{listing}\n\n{asked}"))
    if draw < 0.5:
        return (Turn("user", f"{asked}\n\n{listing}"),)
    head = f"{intro}\n" if rng.random() < 0.75 else ""
    return (Turn("user", f"{head}{listing}\n\n{asked}"),)


def _build(rng: Random, lang: str, more: int) -> Example:
    """Passages with one question and up to ``more`` further ones after its answer."""
    fact, about = rng.choice(FACTS[lang]), subject(rng, lang)
    wanted = state(rng, lang, fact, about)
    near: list[Statement] = []
    if rng.random() < 0.6:
        near.append(state(rng, lang, fact, subject(rng, lang)))
    if rng.random() < 0.4:
        others = [f for f in FACTS[lang] if f.group != fact.group]
        near.append(state(rng, lang, rng.choice(others), about))
    known = rng.random() > 0.14
    bodies = _bodies(rng, lang, [*near, wanted] if known else near)
    where = {s.text: n for n, body in enumerate(bodies, start=1) for s in body}
    reply = f"{wanted.text} [{where[wanted.text]}]" if known else NOT_SAID[lang]
    turns = [*_frame(rng, lang, _render(rng, lang, bodies), wanted.question),
             Turn("assistant", reply)]
    rest = [s for body in bodies for s in body
            if s.question and s is not wanted and not is_held_out(s.key)]
    for other in rng.sample(rest, min(more, len(rest))):
        turns += [Turn("user", other.question),
                  Turn("assistant", f"{other.text} [{where[other.text]}]")]
    return Example("passages", lang, wanted.key, tuple(turns))


def make(rng: Random, lang: str) -> Example:
    """A question over one to eight passages; one in seven has no answer there."""
    return _build(rng, lang, more=0)


def make_several(rng: Random, lang: str) -> Example:
    """For training: the same with up to three more questions on the passages.

    So one reading of a long text teaches several answers.
    """
    return _build(rng, lang, more=rng.choice((0, 1, 2, 3)))
