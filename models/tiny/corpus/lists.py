# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skills on short lists: ``sort``, ``reverse`` and ``count``."""

from __future__ import annotations

from random import Random

from . import words
from .types import Example, single

_SORT_UP: dict[str, list[str]] = {
    "en": ["Sort these {k}: {l}", "Sort: {l}", "Sort the {k} {l}", "Sort the list: {l}",
           "Please sort these {k}: {l}", "Sort in ascending order: {l}", "sort {l}",
           "Sort the following {k}: {l}", "Put these {k} in order: {l}",
           "Can you sort these {k}? {l}", "Order these {k}: {l}"],
    "de": ["Sortiere: {l}", "Sortiere diese {k}: {l}", "Sortiere die {k} {l}",
           "Bitte sortiere diese {k}: {l}", "Sortiere aufsteigend: {l}",
           "Bringe diese {k} in die richtige Reihenfolge: {l}", "Ordne diese {k}: {l}"],
    "ar": ["رتب: {l}", "رتب هذه {k}: {l}", "رتب {k} التالية: {l}", "رتب تصاعديا: {l}",
           "من فضلك رتب هذه {k}: {l}"],
}
_SORT_DOWN: dict[str, list[str]] = {
    "en": ["Sort in descending order: {l}", "Sort these {k} from high to low: {l}",
           "Sort these {k} in descending order: {l}", "Sort descending: {l}"],
    "de": ["Sortiere absteigend: {l}", "Sortiere diese {k} absteigend: {l}"],
    "ar": ["رتب تنازليا: {l}", "رتب هذه {k} تنازليا: {l}"],
}
_SORT_WORDS: dict[str, list[str]] = {
    "en": ["Sort these {k} alphabetically: {l}", "Sort alphabetically: {l}",
           "Put these {k} in alphabetical order: {l}"],
    "de": ["Sortiere alphabetisch: {l}", "Sortiere diese {k} alphabetisch: {l}"],
    "ar": ["رتب أبجديا: {l}", "رتب هذه {k} أبجديا: {l}"],
}
_REVERSE: dict[str, list[str]] = {
    "en": ["Reverse this list: {l}", "Reverse the order: {l}", "Reverse: {l}",
           "Write this list backwards: {l}", "Reverse the order of these words: {l}"],
    "de": ["Kehre die Reihenfolge um: {l}", "Kehre diese Liste um: {l}",
           "Schreibe diese Liste rückwärts: {l}"],
    "ar": ["اعكس الترتيب: {l}", "اعكس هذه القائمة: {l}"],
}
_COUNT_TO: dict[str, list[str]] = {
    "en": ["Count from {a} to {b}", "Count from {a} to {b}.", "count from {a} to {b}",
           "Please count from {a} to {b}.", "Can you count from {a} to {b}?",
           "List the numbers from {a} to {b}", "Write the numbers from {a} to {b}."],
    "de": ["Zähle von {a} bis {b}", "Zähle von {a} bis {b}.", "zähl von {a} bis {b}",
           "Bitte zähle von {a} bis {b}.", "Kannst du von {a} bis {b} zählen?",
           "Nenne die Zahlen von {a} bis {b}."],
    "ar": ["عد من {a} إلى {b}", "عد من {a} إلى {b}.", "من فضلك عد من {a} إلى {b}",
           "اكتب الأرقام من {a} إلى {b}"],
}
_COUNT_ONE: dict[str, list[str]] = {
    "en": ["Count to {b}", "Count to {b}.", "count to {b}", "Please count to {b}",
           "Can you count to {b}?", "Count up to {b}."],
    "de": ["Zähle bis {b}", "Zähl bis {b}.", "Bitte zähle bis {b}."],
    "ar": ["عد إلى {b}", "عد حتى {b}"],
}
_COUNT_ITEMS: dict[str, list[str]] = {
    "en": ["How many {k} are in this list? {l}", "Count these {k}: {l}", "How many {k}: {l}",
           "How many items are in this list: {l}"],
    "de": ["Wie viele {k} sind in dieser Liste? {l}", "Wie viele {k}: {l}"],
    "ar": ["كم عدد {k} في هذه القائمة؟ {l}", "كم عدد {k}: {l}"],
}
_NUMBERS = {"en": "numbers", "de": "Zahlen", "ar": "الأرقام"}
_WORDS = {"en": "words", "de": "Wörter", "ar": "الكلمات"}
_FOLD = str.maketrans("äöüßأإآى", "aousاااي")


def alphabetical(word: str) -> str:
    """The sort key of a word: case, umlauts and hamza forms do not matter."""
    return word.lower().translate(_FOLD)


def _separator(rng: Random, lang: str) -> str:
    """How the user separates the items of a list."""
    return rng.choice((", ", ", ", ", ", words.COMMA[lang], " ", ",", "\n"))


def _numbers(rng: Random, low: int, high: int) -> list[str]:
    """Distinct small numbers as strings."""
    top = rng.choice((9, 20, 99, 99))
    size = min(rng.randint(low, high), top)
    return [str(n) for n in rng.sample(range(top + 1), size)]


def _word_list(rng: Random, lang: str, low: int, high: int, known: bool) -> list[str]:
    """Distinct words; names at times; invented words too unless ``known``."""
    source = rng.choice((words.NOUNS, words.NOUNS, words.NAMES, words.CITIES))[lang]
    picked = rng.sample(sorted(set(source)), rng.randint(low, high))
    if not known and rng.random() < 0.5:
        picked[rng.randrange(len(picked))] = words.pseudo_word(rng, lang)
    if lang == "en" and rng.random() < 0.7:
        picked = [w.lower() for w in picked]
    return picked


def sort(rng: Random, lang: str) -> Example:
    """Sort three to six numbers (both ways) or words (by the alphabet)."""
    numeric = rng.random() < 0.55
    if numeric:
        items = _numbers(rng, 3, 6)
        down = rng.random() < 0.3
        ordered = sorted(items, key=int, reverse=down)
        frames = _SORT_DOWN[lang] if down else _SORT_UP[lang]
    else:
        items = _word_list(rng, lang, 3, 5, known=True)
        items = list({alphabetical(w): w for w in items}.values())
        rng.shuffle(items)
        ordered = sorted(items, key=alphabetical)
        frames = _SORT_WORDS[lang] + _SORT_UP[lang]
    kind = (_NUMBERS if numeric else _WORDS)[lang]
    prompt = rng.choice(frames).format(k=kind, l=_separator(rng, lang).join(items))
    return single("sort", lang, "/".join(items), prompt, ", ".join(ordered))


def reverse(rng: Random, lang: str) -> Example:
    """Give a list back in the opposite order."""
    numeric = rng.random() < 0.4
    items = _numbers(rng, 3, 6) if numeric else _word_list(rng, lang, 3, 6, known=False)
    prompt = rng.choice(_REVERSE[lang]).format(l=_separator(rng, lang).join(items))
    return single("reverse", lang, "/".join(items), prompt, ", ".join(items[::-1]))


def count(rng: Random, lang: str) -> Example:
    """Count from one number to another, or count the items of a list."""
    if rng.random() < 0.3:
        numeric = rng.random() < 0.4
        items = _numbers(rng, 2, 8) if numeric else _word_list(rng, lang, 2, 8, known=False)
        kind = (_NUMBERS if numeric else _WORDS)[lang]
        prompt = rng.choice(_COUNT_ITEMS[lang]).format(k=kind, l=", ".join(items))
        return single("count", lang, "/".join(items), prompt, str(len(items)))
    if rng.random() < 0.35:
        start, end = 1, rng.randint(2, 40)
        prompt = rng.choice(_COUNT_ONE[lang]).format(b=end)
    else:
        start = 1 if rng.random() < 0.4 else rng.randint(0, 90)
        end = start + rng.randint(1, 30)
        if rng.random() < 0.12:
            start, end = end, max(0, end - 20)
        prompt = rng.choice(_COUNT_TO[lang]).format(a=start, b=end)
    step = 1 if end >= start else -1
    answer = ", ".join(str(n) for n in range(start, end + step, step))
    return single("count", lang, prompt, prompt, answer)
