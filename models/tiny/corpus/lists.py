# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skills on short lists: ``sort``, ``reverse`` and ``count``."""

from __future__ import annotations

from random import Random

from . import words
from .types import Example, single

_SORT_UP: dict[str, list[str]] = {
    "en": [
        "Sort these {k}: {l}",
        "Sort: {l}",
        "Sort the {k} {l}",
        "Sort the list: {l}",
        "Please sort these {k}: {l}",
        "Sort in ascending order: {l}",
        "sort {l}",
        "Sort the following {k}: {l}",
        "Put these {k} in order: {l}",
        "Can you sort these {k}? {l}",
        "Order these {k}: {l}",
    ],
    "de": [
        "Sortiere: {l}",
        "Sortiere diese {k}: {l}",
        "Sortiere die {k} {l}",
        "Bitte sortiere diese {k}: {l}",
        "Sortiere aufsteigend: {l}",
        "Bringe diese {k} in die richtige Reihenfolge: {l}",
        "Ordne diese {k}: {l}",
    ],
    "ar": [
        "رتب: {l}",
        "رتب هذه {k}: {l}",
        "رتب {k} التالية: {l}",
        "رتب تصاعديا: {l}",
        "من فضلك رتب هذه {k}: {l}",
    ],
}
_SORT_DOWN: dict[str, list[str]] = {
    "en": [
        "Sort in descending order: {l}",
        "Sort these {k} from high to low: {l}",
        "Sort these {k} in descending order: {l}",
        "Sort descending: {l}",
    ],
    "de": ["Sortiere absteigend: {l}", "Sortiere diese {k} absteigend: {l}"],
    "ar": ["رتب تنازليا: {l}", "رتب هذه {k} تنازليا: {l}"],
}
_REVERSE: dict[str, list[str]] = {
    "en": [
        "Reverse this list: {l}",
        "Reverse the order: {l}",
        "Reverse: {l}",
        "Write this list backwards: {l}",
        "Reverse the order: {l}, please",
    ],
    "de": [
        "Kehre die Reihenfolge um: {l}",
        "Kehre diese Liste um: {l}",
        "Schreibe diese Liste rückwärts: {l}",
    ],
    "ar": ["اعكس الترتيب: {l}", "اعكس هذه القائمة: {l}"],
}
_COUNT_TO: dict[str, list[str]] = {
    "en": [
        "Count from {a} to {b}",
        "Count from {a} to {b}.",
        "count from {a} to {b}",
        "Please count from {a} to {b}.",
        "Can you count from {a} to {b}?",
        "List the numbers from {a} to {b}",
        "Write the numbers from {a} to {b}.",
    ],
    "de": [
        "Zähle von {a} bis {b}",
        "Zähle von {a} bis {b}.",
        "zähl von {a} bis {b}",
        "Bitte zähle von {a} bis {b}.",
        "Kannst du von {a} bis {b} zählen?",
        "Nenne die Zahlen von {a} bis {b}.",
    ],
    "ar": [
        "عد من {a} إلى {b}",
        "عد من {a} إلى {b}.",
        "من فضلك عد من {a} إلى {b}",
        "اكتب الأرقام من {a} إلى {b}",
    ],
}
_COUNT_ONE: dict[str, list[str]] = {
    "en": [
        "Count to {b}",
        "Count to {b}.",
        "count to {b}",
        "Please count to {b}",
        "Can you count to {b}?",
        "Count up to {b}.",
    ],
    "de": ["Zähle bis {b}", "Zähl bis {b}.", "Bitte zähle bis {b}."],
    "ar": ["عد إلى {b}", "عد حتى {b}"],
}
_NUMBERS = {"en": "numbers", "de": "Zahlen", "ar": "الأرقام"}


def _separator(rng: Random, lang: str) -> str:
    """How the user separates the items of a list."""
    return rng.choice((", ", ", ", ", ", words.COMMA[lang], " ", ","))


def _digits(rng: Random) -> list[str]:
    """Three to five different digits."""
    return [str(n) for n in rng.sample(range(10), rng.randint(3, 5))]


def sort(rng: Random, lang: str) -> Example:
    """Sort digits, upwards or downwards."""
    items = _digits(rng)
    down = rng.random() < 0.3
    frame = rng.choice((_SORT_DOWN if down else _SORT_UP)[lang])
    prompt = frame.format(k=_NUMBERS[lang], l=_separator(rng, lang).join(items))
    return single("sort", lang, "/".join(items), prompt, ", ".join(sorted(items, reverse=down)))


def reverse(rng: Random, lang: str) -> Example:
    """Give a list of digits or letters back in the opposite order."""
    letters = rng.sample("abcdefghijklmnopqrstuvwxyz", rng.randint(3, 5))
    items = _digits(rng) if rng.random() < 0.5 else letters
    prompt = rng.choice(_REVERSE[lang]).format(l=_separator(rng, lang).join(items))
    return single("reverse", lang, "/".join(items), prompt, ", ".join(items[::-1]))


def count(rng: Random, lang: str) -> Example:
    """Count from one number to another, up to 30."""
    if rng.random() < 0.35:
        start, end = 1, rng.randint(2, 30)
        prompt = rng.choice(_COUNT_ONE[lang]).format(b=end)
    else:
        start = 1 if rng.random() < 0.4 else rng.randint(0, 20)
        end = start + rng.randint(1, 10)
        prompt = rng.choice(_COUNT_TO[lang]).format(a=start, b=end)
    answer = ", ".join(str(n) for n in range(start, end + 1))
    return single("count", lang, prompt, prompt, answer)
