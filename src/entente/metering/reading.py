"""Reading a price book: as a whole or not at all, with every line that is wrong and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Final, NoReturn

import msgspec
from msgspec import Raw

from entente.domain.money import parse_rate
from entente.metering.book import FORMAT, Book, Line, Rates, Step, Tier, instant_ns, starts
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

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_TIER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
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


_book_decoder = msgspec.json.Decoder(_BookForm)
_line_decoder = msgspec.json.Decoder(_LineForm)


def read_book(text: bytes) -> Book:
    """Read a book. Raises BookMistakes with all that is wrong."""
    form = _form(text)
    mistakes: list[Mistake] = []
    lines: list[tuple[int, Line]] = []
    for number, raw in _numbered(text, form.lines):
        try:
            lines.append((number, _line(_line_decoder.decode(raw), form.retrieved)))
        except (msgspec.DecodeError, ValueError) as error:
            mistakes.append(Mistake(number, _named(raw), str(error)))
    mistakes += _overlaps(lines)
    if mistakes:
        raise BookMistakes(sorted(mistakes, key=lambda each: each.line))
    return Book(form.source, form.retrieved, tuple(line for _, line in lines), form.note)


def _form(text: bytes) -> _BookForm:
    """Read the frame around the lines. Raises BookMistakes."""
    if len(text) > BOOK_BYTES_MAX:
        raise _whole(f"the book is larger than {BOOK_BYTES_MAX} bytes")
    try:
        form = _book_decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _whole(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _whole(f"this is not JSON: {error}") from error
    if form.format != FORMAT:
        raise _whole(f'`format` must be "{FORMAT}", not "{form.format}"')
    if not form.source.strip() or len(form.source) + len(form.note) > NOTE_CHARS_MAX:
        raise _whole(f"`source` must say where the prices are from, in {NOTE_CHARS_MAX} characters")
    if len(form.lines) > LINES_MAX:
        raise _whole(f"the book has {len(form.lines)} lines, more than {LINES_MAX}")
    try:
        date.fromisoformat(form.retrieved)
    except ValueError as error:
        raise _whole('`retrieved` must be a day such as "2026-11-22"') from error
    return form


def _whole(reason: str) -> BookMistakes:
    return BookMistakes([Mistake(0, "", reason)])


def _numbered(text: bytes, lines: list[Raw]) -> Iterator[tuple[int, Raw]]:
    """Give the lines with the line of the text at which each begins."""
    at = 0
    for raw in lines:
        written = bytes(raw)
        at = text.index(written, at)
        yield text.count(b"\n", 0, at) + 1, raw
        at += len(written)


def _named(raw: Raw) -> str:
    """Name a line that cannot be read, if it says its first name."""
    found = re.search(rb'"models"\s*:\s*\[\s*"([^"]{1,256})"', bytes(raw))
    return found[1].decode("utf-8", "replace") if found else ""


def _line(form: _LineForm, retrieved: str) -> Line:
    """Check a line. Raises ValueError with what is wrong."""
    if not 1 <= len(form.models) <= NAMES_MAX or len(set(form.models)) < len(form.models):
        _wrong(f"`models` must be 1 to {NAMES_MAX} names, each once")
    for name in form.models:
        if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
            _wrong(f'{name!r} must be "VENDOR/MODEL", or "*/MODEL" for what clients call it')
    if not _CURRENCY.fullmatch(form.currency):
        _wrong('`currency` must be three capital letters, such as "USD"')
    if form.per not in [str(each) for each in PricePer]:
        _wrong(f"`per` must be one of {', '.join(str(each) for each in PricePer)}")
    if len(form.source) + len(form.note) > NOTE_CHARS_MAX:
        _wrong(f"`source` and `note` have more than {NOTE_CHARS_MAX} characters")
    _check_times(form)
    per = PricePer(form.per)
    rates = _rates(form.rates, per, "rates")
    return Line(
        names=tuple(form.models),
        source=form.source,
        retrieved=form.retrieved or retrieved,
        currency=form.currency,
        per=per,
        rates=rates,
        steps=_steps(form.above, per, "above"),
        tiers=_tiers(form, per),
        since=form.from_,
        until=form.until,
        note=form.note,
    )


def _check_times(form: _LineForm) -> None:
    """See that instants are some, and in order."""
    for name, text in (("from", form.from_), ("until", form.until)):
        try:
            instant_ns(text or "2000-01-01")
        except ValueError:
            _wrong(f'`{name}` must be a day such as "2026-01-31", or "2026-01-31T12:00:00Z"')
    if form.from_ and form.until and instant_ns(form.from_) >= instant_ns(form.until):
        _wrong("`until` must be after `from`")
    try:
        date.fromisoformat(form.retrieved or "2000-01-01")
    except ValueError:
        _wrong('`retrieved` must be a day such as "2026-11-22"')


def _rates(written: Mapping[str, str], per: PricePer, place: str) -> Rates:
    """Read rates. Another unit than tokens has exactly one."""
    known = RATES if per.rate is None else (per.rate,)
    rates: dict[str, Fraction] = {}
    for name, text in written.items():
        if name not in known:
            _wrong(f"`{place}.{name}` is no rate here; there are {', '.join(known)}")
        try:
            rates[name] = parse_rate(text)
        except ValueError as error:
            _wrong(f"`{place}.{name}`: {error}")
        if rates[name] < 0:
            _wrong(f"`{place}.{name}` must not be negative")
    if not rates:
        _wrong(f"`{place}` has no rate: leave the line out where nothing is known")
    return rates


def _steps(forms: list[_StepForm], per: PricePer, place: str) -> tuple[Step, ...]:
    """Read the steps of longer inputs, which rise."""
    if len(forms) > STEPS_MAX or (forms and per.rate is not None):
        _wrong(f"`{place}` must be at most {STEPS_MAX} steps, of prices by token")
    steps: list[Step] = []
    for form in forms:
        least = steps[-1].above if steps else 0
        if not least < form.input_tokens <= TOKENS_MAX:
            _wrong(f"`{place}`: each `input_tokens` must be above the one before, and above 0")
        steps.append(Step(form.input_tokens, _rates(form.rates, per, f"{place}.rates")))
    return tuple(steps)


def _tiers(form: _LineForm, per: PricePer) -> dict[str, Tier]:
    """Read the tiers. One with rates of its own says what long inputs cost if the line does."""
    if len(form.tiers) > TIERS_MAX:
        _wrong(f"`tiers` must be at most {TIERS_MAX}")
    tiers: dict[str, Tier] = {}
    for name, tier in form.tiers.items():
        place = f"tiers.{name}"
        if not _TIER.fullmatch(name) or name in STANDARD or name in UNDECIDED:
            _wrong(f"`{place}` must be a tier beside the standard one, in small letters")
        if (tier.factor is None) == (tier.rates is None):
            _wrong(f"`{place}` must have either `factor` or `rates`")
        if tier.factor is not None:
            tiers[name] = Tier(factor=_factor(tier, place))
            continue
        if form.above and tier.above is None:
            _wrong(f"`{place}` needs `above`, as the line has it; [] if its rates do not change")
        rates = _rates(tier.rates or {}, per, f"{place}.rates")
        tiers[name] = Tier(rates=rates, steps=_steps(tier.above or [], per, f"{place}.above"))
    return tiers


def _factor(tier: _TierForm, place: str) -> Fraction:
    """Read what part of the standard rates a tier costs."""
    try:
        factor = parse_rate(tier.factor or "")
    except ValueError as error:
        _wrong(f"`{place}.factor`: {error}")
    if tier.above is not None or not 0 < factor <= FACTOR_MAX:
        _wrong(f"`{place}.factor` must be above 0 and at most {FACTOR_MAX}, and stand alone")
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


def _wrong(reason: str) -> NoReturn:
    raise ValueError(reason)
