# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skill ``repeat``: give back a text exactly.

Copying is the base of most other skills (quoting, extraction, tool arguments),
so the texts are as diverse as possible: prose, names, keys, code, emoji, mixed
scripts, quotation marks, line breaks.
"""

from __future__ import annotations

from random import Random

from . import words
from .types import Example, listed, single

_FRAMES: dict[str, list[str]] = {
    "en": [
        "Repeat: {t}",
        "Repeat exactly: {t}",
        "Repeat after me: {t}",
        "Repeat the following text exactly: {t}",
        "Repeat this text: {t}",
        "Please repeat: {t}",
        "Please repeat the following sentence: {t}",
        "Say: {t}",
        "Say exactly this: {t}",
        "Echo: {t}",
        "Echo this back: {t}",
        "Copy this text: {t}",
        "Repeat the following:\n{t}",
        "Repeat this:\n\n{t}",
        "Output exactly the following text and nothing else:\n{t}",
        "Reply with exactly this: {t}",
        "Answer only with: {t}",
        "repeat {t}",
        "Can you repeat this? {t}",
        "Write exactly: {t}",
        "Print this: {t}",
        "Repeat word for word: {t}",
        "Respond with the text: {t}",
        "Type this: {t}",
    ],
    "de": [
        "Wiederhole: {t}",
        "Wiederhole genau: {t}",
        "Wiederhole bitte: {t}",
        "Wiederhole den folgenden Text genau: {t}",
        "Sag: {t}",
        "Sage genau dies: {t}",
        "Bitte wiederhole den Satz: {t}",
        "Sprich mir nach: {t}",
        "Schreib genau: {t}",
        "Gib genau diesen Text aus: {t}",
        "Wiederhole diesen Text:\n{t}",
        "Antworte nur mit: {t}",
        "Wiederhole Wort für Wort: {t}",
        "Kannst du das wiederholen? {t}",
        "Gib wieder: {t}",
    ],
    "ar": [
        "كرر: {t}",
        "كرر النص التالي: {t}",
        "كرر بالضبط: {t}",
        "أعد كتابة: {t}",
        "من فضلك كرر: {t}",
        "قل: {t}",
        "كرر بعدي: {t}",
        "كرر هذه الجملة: {t}",
        "اكتب بالضبط: {t}",
        "كرر النص كما هو:\n{t}",
        "أجب فقط بهذا النص: {t}",
    ],
}

_SAY_BARE: dict[str, list[str]] = {
    "en": ["Say {t}", "Say {t}.", "say {t}", "Just say {t}", "Please say {t}"],
    "de": ["Sag {t}", "Sag bitte {t}", "sag mal {t}", "Sag einfach {t}"],
    "ar": ["قل {t}", "فقط قل {t}"],
}

_SAYABLE: dict[str, list[str]] = {
    "en": [
        "this is a test",
        "hello",
        "hi",
        "yes",
        "no",
        "ok",
        "hello world",
        "good morning",
        "it works",
        "thank you",
        "this is only a test",
        "ready",
        "pong",
        "test",
        "done",
    ],
    "de": [
        "hallo",
        "ja",
        "nein",
        "danke",
        "guten Morgen",
        "das ist ein Test",
        "hallo Welt",
        "es geht",
        "fertig",
        "Test",
    ],
    "ar": ["مرحبا", "نعم", "لا", "شكرا", "صباح الخير", "هذا اختبار", "أهلا وسهلا"],
}

_QUOTES: dict[str, list[tuple[str, str]]] = {
    "en": [('"', '"'), ("'", "'"), ("“", "”"), ("`", "`")],
    "de": [('"', '"'), ("„", "“"), ("'", "'"), ("»", "«")],
    "ar": [('"', '"'), ("«", "»")],
}

_EMOJI = listed("""
    😀 😂 🎉 🚀 👍 ❤️ 🔥 ✅ ⭐ 🌍 🍕 🐱 🐶 📎 ☕ → ✓ € £ © ° ½ 日本 中文 привет é ñ ç ł ø å""")


def _codeish(rng: Random) -> str:
    """A line that looks like code, a path, an address or JSON."""
    a, b = words.pseudo_word(rng, "en"), words.noise(rng, rng.randint(2, 8))
    n = rng.randint(0, 999)
    return rng.choice(
        (
            f"{a} = {n}",
            f"print('{a}')",
            f"https://{a}.com/{b}?q={n}",
            f"/{a}/{b}.txt",
            f'{{"{a}": {n}}}',
            f"{a}({b}, {n})",
            f"<{a}>{b}</{a}>",
            f"{a}::{b} -> {n};",
            f"if {a} > {n}: return {b}",
            f"SELECT {a} FROM {b} WHERE id = {n};",  # noqa: S608 (text, not a query)
            f"{a}_{b}[{n}]",
        )
    )


def mixed_text(rng: Random, lang: str, length: int) -> str:
    """About ``length`` pieces of diverse text: words, keys, numbers, emoji, code."""
    pieces: list[str] = []
    for _ in range(length):
        draw = rng.random()
        if draw < 0.35:
            pieces.append(words.pseudo_word(rng, lang))
        elif draw < 0.55:
            pieces.append(words.noun(rng, rng.choice(words.LANGS)))
        elif draw < 0.68:
            pieces.append(words.noise(rng, rng.randint(1, 9)))
        elif draw < 0.78:
            pieces.append(str(rng.randint(0, 10 ** rng.randint(1, 7))))
        elif draw < 0.86:
            pieces.append(rng.choice(_EMOJI))
        elif draw < 0.92:
            pieces.append(words.pseudo_word(rng, lang).upper())
        else:
            pieces.append(_codeish(rng))
    return rng.choice((" ", " ", " ", " ", ", ", "\n", "-", "  ")).join(pieces)


def free_text(rng: Random, lang: str) -> str:
    """A text worth repeating: prose most often, anything else at times."""
    draw = rng.random()
    if draw < 0.5:
        return words.sentence(rng, lang, rng.randint(3, 12))
    if draw < 0.8:
        text = words.sentence(rng, lang, rng.randint(1, 6)).rstrip(".!?؟")
        return text if rng.random() < 0.5 else text.lower()
    return mixed_text(rng, lang, rng.randint(1, 4))


def make(rng: Random, lang: str) -> Example:
    """One request to repeat a text; the answer is the text without its quotes."""
    draw = rng.random()
    if draw < 0.1:
        text = rng.choice(_SAYABLE[lang])
        frame = rng.choice(_SAY_BARE[lang] + _FRAMES[lang])
        prompt = frame.format(t=text)
        return single("repeat", lang, prompt, prompt, text)
    text = free_text(rng, lang).strip()
    frame = rng.choice(_FRAMES[lang])
    shown = text
    if rng.random() < 0.25 and not any(q in text for q in "\"'`„“”«»"):
        left, right = rng.choice(_QUOTES[lang])
        shown = left + text + right
    elif draw < 0.18 and "\n" not in text and len(text) < 40:
        frame = rng.choice(_SAY_BARE[lang][:1])
    return single("repeat", lang, text, frame.format(t=shown), text)
