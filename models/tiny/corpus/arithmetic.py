# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skill ``arithmetic``: small sums and an honest refusal of anything bigger.

It knows sums and differences of numbers up to 20, and the small multiplication table.

The answer repeats the task in a fixed form (``7 + 8 = 15``), which is easier to read
and easier to learn.  There are too few pairs of numbers to hold some out, so what is
held out is wordings of the tasks.
"""

from __future__ import annotations

from random import Random

from .types import Example, single

_FRAMES: dict[str, list[str]] = {
    "en": [
        "What is {e}?",
        "what is {e}",
        "What's {e}?",
        "Calculate {e}",
        "Calculate {e}.",
        "Compute {e}",
        "{e}",
        "{e} =",
        "{e}=?",
        "How much is {e}?",
        "Solve {e}",
        "Please calculate {e}.",
        "Tell me {e}",
        "Can you work out {e}?",
        "{e} = ?",
        "What does {e} equal?",
    ],
    "de": [
        "Was ist {e}?",
        "was ist {e}",
        "Wie viel ist {e}?",
        "Berechne {e}",
        "Rechne {e}",
        "Rechne {e} aus.",
        "{e} = ?",
        "Was ergibt {e}?",
        "Bitte berechne {e}.",
        "Wieviel ist {e}?",
    ],
    "ar": [
        "ما هو {e}؟",
        "كم يساوي {e}؟",
        "احسب {e}",
        "ما ناتج {e}؟",
        "كم {e}؟",
        "{e} = ؟",
        "من فضلك احسب {e}",
    ],
}
_SIGNS: dict[str, dict[str, list[str]]] = {
    "+": {"en": ["+", "+", "+", "plus"], "de": ["+", "+", "+", "plus"], "ar": ["+", "+", "زائد"]},
    "-": {"en": ["-", "-", "-", "minus"], "de": ["-", "-", "-", "minus"], "ar": ["-", "-", "ناقص"]},
    "*": {
        "en": ["*", "x", "times", "×"],
        "de": ["*", "x", "mal", "×"],
        "ar": ["*", "×", "في", "ضرب"],
    },
    "/": {"en": ["/", "divided by"], "de": ["/", "geteilt durch"], "ar": ["/", "على"]},
}
TOO_BIG = {
    "en": "That is too hard for me. I can add and subtract numbers up to 20 and multiply up to 10.",
    "de": "Das ist mir zu schwer. Ich kann Zahlen bis 20 addieren und subtrahieren "
    "und bis 10 malnehmen.",
    "ar": "هذا صعب علي. أستطيع جمع وطرح الأعداد حتى 20 والضرب حتى 10.",
}


def _expression(rng: Random, lang: str, a: int, sign: str, b: int) -> str:
    """The task as a user might type it, with or without spaces."""
    shown = rng.choice(_SIGNS[sign][lang])
    if len(shown) == 1 and rng.random() < 0.4:
        return f"{a}{shown}{b}"
    return f"{a} {shown} {b}"


def _operands(rng: Random, sign: str) -> tuple[int, int]:
    """Two numbers within the range that the skill covers."""
    if sign == "*":
        return rng.randint(0, 10), rng.randint(0, 10)
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    if sign == "-" and a < b:
        a, b = b, a
    return a, b


def _refusal(rng: Random, lang: str) -> Example:
    """A task out of range: bigger numbers, division, long chains."""
    sign = rng.choice("+-**/")
    if sign == "/":
        a, b = rng.randint(1, 200), rng.randint(1, 20)
    elif sign == "*":
        a, b = rng.randint(11, 9999), rng.randint(2, 9999)
    else:
        a, b = rng.randint(21, 10 ** rng.randint(2, 5)), rng.randint(1, 9999)
    if rng.random() < 0.5 and sign in "+*":
        a, b = b, a
    expression = _expression(rng, lang, a, sign, b)
    if rng.random() < 0.15:
        expression += f" {rng.choice('+-*')} {rng.randint(1, 99)}"
    prompt = rng.choice(_FRAMES[lang]).format(e=expression)
    return single("arithmetic", lang, prompt, prompt, TOO_BIG[lang])


def make(rng: Random, lang: str) -> Example:
    """One small task, or (one in eight) one that is too big."""
    if rng.random() < 0.12:
        return _refusal(rng, lang)
    sign = rng.choice("+++---**")
    a, b = _operands(rng, sign)
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    prompt = rng.choice(_FRAMES[lang]).format(e=_expression(rng, lang, a, sign, b))
    return single("arithmetic", lang, prompt, prompt, f"{a} {sign} {b} = {result}")
