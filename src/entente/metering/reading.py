"""Reading a price book: as a whole or not at all, with everything that is wrong and where. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from itertools import islice, pairwise
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.money import parse_rate
from entente.metering.book import FORMAT, Book, Line, Rates, Step, Tier, instant_ns, starts
from entente.metering.faults import faults
from entente.metering.tariffs import STANDARD, UNDECIDED
from entente.metering.units import RATES, PricePer

BOOK_BYTES_MAX: Final = 16 * 1024 * 1024
LINES_MAX: Final = 20_000
NAMES_MAX: Final = 64
"""Of one line."""
NAME_CHARS_MAX: Final = 256
NOTE_CHARS_MAX: Final = 2048
STEPS_MAX: Final = 8
TIERS_MAX: Final = 8
FACTOR_MAX: Final = 100
TOKENS_MAX: Final = 10**9
FAULTS_MAX: Final = 64
"""That are looked for in one place."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_TIER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NO_DAY: Final = '`retrieved` must be a day such as "2026-11-22"'
_PERS: Final = tuple(str(each) for each in PricePer)
_NAME: Final = re.compile(r"(?:\*|[a-z0-9_]+)/[^\s\"]+")


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with a book. `line` counts from 1 in the text; 0 is the book as a whole."""

    line: int
    name: str
    reason: str

    def __str__(self) -> str:
        """Write it for people."""
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.name}{': ' if self.name else ''}{self.reason}"


class BookMistakes(ValueError):
    """A document is no price book; `mistakes` says why, line by line."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        """Take what is wrong, at least one thing."""
        super().__init__("\n".join(str(each) for each in mistakes))
        self.mistakes = mistakes


class _StepForm(msgspec.Struct, forbid_unknown_fields=True):
    input_tokens: int
    rates: dict[str, str]


class _TierForm(msgspec.Struct, forbid_unknown_fields=True):
    factor: str | None = None
    rates: dict[str, str] | None = None
    above: list[_StepForm] | None = None


class _LineForm(msgspec.Struct, forbid_unknown_fields=True):
    models: list[str]
    currency: str
    per: str
    rates: dict[str, str]
    source: str = ""
    retrieved: str = ""
    from_: str = msgspec.field(default="", name="from")
    until: str = ""
    above: list[_StepForm] = []
    tiers: dict[str, _TierForm] = {}
    note: str = ""


class _BookForm(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    source: str
    retrieved: str
    lines: list[Raw]
    note: str = ""


class _LinesForm(msgspec.Struct):
    lines: list[Raw] = []


_book_decoder = msgspec.json.Decoder(_BookForm)
_lines_decoder = msgspec.json.Decoder(_LinesForm)
_line_decoder = msgspec.json.Decoder(_LineForm)


def read_book(text: bytes) -> Book:
    """Read a book. Raises BookMistakes with all that is wrong."""
    form, found = _form(text)
    mistakes = [Mistake(0, "", reason) for reason in found]
    lines: list[tuple[int, Line]] = []
    for number, raw in _numbered(text, form.lines):
        line, found = _line(raw, form.retrieved)
        mistakes += [Mistake(number, _named(raw), reason) for reason in found]
        if line is not None:
            lines.append((number, line))
    mistakes += _overlaps(lines)
    if mistakes:
        raise BookMistakes(sorted(mistakes, key=lambda each: each.line))
    return Book(form.source, form.retrieved, tuple(line for _, line in lines), form.note)


def _form(text: bytes) -> tuple[_BookForm, list[str]]:
    """Read the frame around the lines, and what is wrong with it. Raises BookMistakes for none."""
    if len(text) > BOOK_BYTES_MAX:
        raise _no_book(f"the book is larger than {BOOK_BYTES_MAX} bytes")
    try:
        form = _book_decoder.decode(text)
    except msgspec.ValidationError as error:
        return _lines_alone(text, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_book(f"this is not JSON: {error}") from error
    if len(form.lines) > LINES_MAX:
        raise _no_book(f"the book has {len(form.lines)} lines, more than {LINES_MAX}")
    found: list[str] = []
    if form.format != FORMAT:
        found.append(f'`format` must be "{FORMAT}", not "{form.format}"')
    if not form.source.strip() or len(form.source) + len(form.note) > NOTE_CHARS_MAX:
        found.append(f"`source` must say where the prices are from, in {NOTE_CHARS_MAX} characters")
    if not _is_day(form.retrieved):
        found.append(_NO_DAY)
    return form, found


def _lines_alone(text: bytes, error: msgspec.ValidationError) -> tuple[_BookForm, list[str]]:
    """Give the lines of what is no book otherwise, and why it is none. Raises BookMistakes."""
    try:
        lines = _lines_decoder.decode(text).lines[:LINES_MAX]
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _no_book(str(error)) from error
    document = document | {"lines": []} if lines else document
    found = list(islice(faults(document, _BookForm), FAULTS_MAX))
    return _BookForm(format=FORMAT, source="", retrieved="", lines=lines), found or [str(error)]


def _no_book(reason: str) -> BookMistakes:
    return BookMistakes([Mistake(0, "", reason)])


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _numbered(text: bytes, lines: list[Raw]) -> Iterator[tuple[int, Raw]]:
    """Give the lines with the line of the text at which each begins."""
    number, counted, at = 1, 0, 0
    for raw in lines:
        written = bytes(raw)
        at = text.index(written, at)
        number += text.count(b"\n", counted, at)
        counted = at
        yield number, raw
        at += len(written)


def _named(raw: Raw) -> str:
    """Name a line that cannot be read, if it says its first name."""
    found = re.search(rb'"models"\s*:\s*\[\s*"([^"]{1,256})"', bytes(raw))
    return found[1].decode("utf-8", "replace") if found else ""


def _line(raw: Raw, retrieved: str) -> tuple[Line | None, list[str]]:
    """Read a line, or say all that is wrong with it."""
    try:
        form = _line_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return None, _faults_of(raw) or [str(error)]
    found = _check(form)
    if form.per not in _PERS:
        return None, [*found, f"`per` must be one of {', '.join(_PERS)}"]
    per = PricePer(form.per)
    line = Line(
        names=tuple(form.models),
        source=form.source,
        retrieved=form.retrieved or retrieved,
        currency=form.currency,
        per=per,
        rates=_rates(form.rates, per, "rates", found),
        steps=_steps(form.above, per, "above", found),
        tiers=_tiers(form, per, found),
        since=form.from_,
        until=form.until,
        note=form.note,
    )
    return (None if found else line), found


def _faults_of(raw: Raw) -> list[str]:
    """Say what keeps a line from having its form."""
    try:
        return list(islice(faults(msgspec.json.decode(raw), _LineForm), FAULTS_MAX))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _check(form: _LineForm) -> list[str]:
    """Say what is wrong with a line beside its rates."""
    found: list[str] = []
    if not 1 <= len(form.models) <= NAMES_MAX or len(set(form.models)) < len(form.models):
        found.append(f"`models` must be 1 to {NAMES_MAX} names, each once")
    found += [
        f'{name!r} must be "VENDOR/MODEL", or "*/MODEL" for what clients call it'
        for name in form.models[:NAMES_MAX]
        if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name)
    ]
    if not _CURRENCY.fullmatch(form.currency):
        found.append('`currency` must be three capital letters, such as "USD"')
    if len(form.source) + len(form.note) > NOTE_CHARS_MAX:
        found.append(f"`source` and `note` have more than {NOTE_CHARS_MAX} characters")
    return found + _check_times(form)


def _check_times(form: _LineForm) -> list[str]:
    """See that instants are some, and in order."""
    found: list[str] = []
    for name, text in (("from", form.from_), ("until", form.until)):
        try:
            instant_ns(text or "2000-01-01")
        except ValueError:
            found.append(f'`{name}` must be a day such as "2026-01-31", or "2026-01-31T12:00:00Z"')
    both = not found and form.from_ and form.until
    if both and instant_ns(form.from_) >= instant_ns(form.until):
        found.append("`until` must be after `from`")
    if form.retrieved and not _is_day(form.retrieved):
        found.append(_NO_DAY)
    return found


def _rates(written: Mapping[str, str], per: PricePer, place: str, found: list[str]) -> Rates:
    """Read rates; add to `found` what is wrong. Another unit than tokens has exactly one."""
    known = RATES if per.rate is None else (per.rate,)
    rates: dict[str, Fraction] = {}
    for name, text in islice(written.items(), FAULTS_MAX):
        if name not in known:
            found.append(f"`{place}.{name}` is no rate here; there are {', '.join(known)}")
            continue
        try:
            rates[name] = parse_rate(text)
        except ValueError as error:
            found.append(f"`{place}.{name}`: {error}")
            continue
        if rates[name] < 0:
            found.append(f"`{place}.{name}` must not be negative")
    if not written:
        found.append(f"`{place}` has no rate: leave the line out where nothing is known")
    return rates


def _steps(forms: list[_StepForm], per: PricePer, place: str, found: list[str]) -> tuple[Step, ...]:
    """Read the steps of longer inputs, which rise."""
    if len(forms) > STEPS_MAX or (forms and per.rate is not None):
        found.append(f"`{place}` must be at most {STEPS_MAX} steps, of prices by token")
        return ()
    steps: list[Step] = []
    for number, form in enumerate(forms):
        least = steps[-1].above if steps else 0
        where = f"{place}[{number}]"
        if not least < form.input_tokens <= TOKENS_MAX:
            found.append(f"`{where}.input_tokens` must be above the one before, and above 0")
        steps.append(Step(form.input_tokens, _rates(form.rates, per, f"{where}.rates", found)))
    return tuple(steps)


def _tiers(form: _LineForm, per: PricePer, found: list[str]) -> dict[str, Tier]:
    """Read the tiers. One with rates of its own says what long inputs cost if the line does."""
    if len(form.tiers) > TIERS_MAX:
        found.append(f"`tiers` must be at most {TIERS_MAX}")
        return {}
    tiers: dict[str, Tier] = {}
    for name, tier in form.tiers.items():
        place = f"tiers.{name}"
        if not _TIER.fullmatch(name) or name in STANDARD or name in UNDECIDED:
            found.append(f"`{place}` must be a tier beside the standard one, in small letters")
        if (tier.factor is None) == (tier.rates is None):
            found.append(f"`{place}` must have either `factor` or `rates`")
            continue
        if tier.factor is not None:
            tiers[name] = Tier(factor=_factor(tier, place, found))
            continue
        if form.above and tier.above is None:
            needs = "needs `above`, as the line has it; [] if its rates do not change"
            found.append(f"`{place}` {needs}")
        rates = _rates(tier.rates or {}, per, f"{place}.rates", found)
        steps = _steps(tier.above or [], per, f"{place}.above", found)
        tiers[name] = Tier(rates=rates, steps=steps)
    return tiers


def _factor(tier: _TierForm, place: str, found: list[str]) -> Fraction:
    """Read what part of the standard rates a tier costs."""
    try:
        factor = parse_rate(tier.factor or "")
    except ValueError as error:
        found.append(f"`{place}.factor`: {error}")
        return Fraction(1)
    if tier.above is not None or not 0 < factor <= FACTOR_MAX:
        found.append(f"`{place}.factor` must be above 0 and at most {FACTOR_MAX}, and stand alone")
    return factor


def _overlaps(lines: list[tuple[int, Line]]) -> Iterator[Mistake]:
    """Find lines that say at one instant what one name costs."""
    by_name: dict[str, list[tuple[int, Line]]] = {}
    for number, line in lines:
        for name in line.names:
            by_name.setdefault(name, []).append((number, line))
    for name, found in by_name.items():
        found.sort(key=lambda each: starts(each[1]))
        for (_, before), (number, after) in pairwise(found):
            if not before.until or instant_ns(before.until) > starts(after):
                since = f" from {after.since}" if after.since else ""
                yield Mistake(number, name, f"another line holds for it, too,{since}")
