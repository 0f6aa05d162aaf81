"""Facts that the ledger does not have, as people write them: one JSON object a line.

    {"id": "a1", "at": "2026-05-01", "event": "agi", "verdict": "declared", "by": "lab"}
    {"id": "c1", "at": "2026-05-01", "contribution": "K1", "amount": "2e9", "form": "cash"}
    {"id": "i1", "at": "2026-05-01", "company": "group", "holder": "lab", "security": "common",
     "units": "1000"}
    {"id": "q1", "at": "2026-05-01", "asset": "EUR", "currency": "USD", "rate": "1.08"}
    {"id": "x1", "at": "2026-05-01", "of": "m1", "amount": "9.50", "reason": "credit note 12"}
    {"id": "m1", "at": "2026-05-01", "amount": "12.50", "currency": "USD",
     "say": {"kind": "invoice"}, "counts": {"seats": 40}}

`at` is when it counts, `known` when we learnt it (at once, without it); both are a day in the
agreement's zone or an instant. What a line is follows from what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Annotated, Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.log import (
    FACTS_MAX,
    AnyFact,
    Attested,
    Attribute,
    Contributed,
    Corrected,
    Issued,
    Measured,
    Quoted,
    attributes,
)
from entente.agreement.money import Form
from entente.agreement.occasions import Verdict
from entente.agreement.values import NANO, Exact, Name, When, dec_hook, instant_ns
from entente.domain.errors import InvalidParameter

LINE_BYTES_MAX: Final = 64 * 1024
Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all lines have."""

    id: Id
    at: When
    known: When | None = None


class _Attested(_Line, frozen=True, kw_only=True):
    event: Name
    verdict: Verdict
    by: Name
    evidence: str = ""
    subject: str = ""


class _Contributed(_Line, frozen=True, kw_only=True):
    contribution: Name
    amount: Exact
    form: Form


class _Issued(_Line, frozen=True, kw_only=True):
    company: Name
    holder: Name
    security: Name
    units: Exact


class _Quoted(_Line, frozen=True, kw_only=True):
    asset: Name
    currency: Name
    rate: Exact
    source: str = ""


class _Corrected(_Line, frozen=True, kw_only=True):
    of: Id
    amount: Exact | None
    counts: dict[Name, int] = {}
    reason: str = ""


class _Measured(_Line, frozen=True, kw_only=True):
    amount: Exact | None
    currency: Name
    say: dict[str, Attribute] = {}
    counts: dict[Name, int] = {}


_KINDS: Final[tuple[tuple[str, type[_Line]], ...]] = (
    ("event", _Attested),
    ("contribution", _Contributed),
    ("company", _Issued),
    ("rate", _Quoted),
    ("of", _Corrected),
    ("amount", _Measured),
)
"""What a line has to say to be one of a kind; the first that fits."""


def read_facts(lines: Iterable[bytes], zone: ZoneInfo, *, name: str) -> Iterator[AnyFact]:
    """Read facts. Raises InvalidParameter with file, line and what is wrong."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            _check(number, line)
            yield _fact(_read(line), zone)
        except (msgspec.MsgspecError, ValueError) as error:
            message = f"{name}:{number}: {error}."
            raise InvalidParameter(message, param="facts", code=None) from error


def _check(number: int, line: bytes) -> None:
    if number > FACTS_MAX or len(line) > LINE_BYTES_MAX:
        message = f"a file takes {FACTS_MAX} lines of {LINE_BYTES_MAX} bytes"
        raise ValueError(message)


def _read(line: bytes) -> _Line:
    try:
        raw: Any = msgspec.json.decode(line)
        _ONCE.decode(line.decode())
    except RecursionError:
        message = "it is nested too deep: a fact is flat"
        raise ValueError(message) from None
    if not isinstance(raw, dict):
        message = 'a fact is an object such as {"id": …, "at": …}'
        raise ValueError(message)  # noqa: TRY004 - the line is at fault
    for word, kind in _KINDS:
        if word in raw:
            return msgspec.convert(raw, kind, dec_hook=dec_hook)
    words = ", ".join(word for word, _ in _KINDS)
    message = f"it says none of {words}, so that nobody knows what it is"
    raise ValueError(message)


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse a name that stands in an object twice: two readers could take two values."""
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            message = f"`{name}` stands in it twice: remove one"
            raise ValueError(message)
        names.add(name)


_ONCE: Final = json.JSONDecoder(object_pairs_hook=_once)


def _fact(line: _Line, zone: ZoneInfo) -> AnyFact:
    at_ns = instant_ns(line.at, zone)
    known_ns = at_ns if line.known is None else instant_ns(line.known, zone)
    when: dict[str, Any] = {"id": line.id, "at_ns": at_ns, "known_ns": known_ns}
    match line:
        case _Measured():
            say, nano = attributes(**line.say), _nano(line.amount)
            return Measured(
                **when, attributes=say, nano=nano, asset=line.currency, numbers=line.counts
            )
        case _Corrected():
            nano = _nano(line.amount)
            return Corrected(**when, of=line.of, nano=nano, numbers=line.counts, reason=line.reason)
        case _Attested():
            return Attested(
                **when,
                event=line.event,
                verdict=line.verdict.value,
                by=line.by,
                evidence=line.evidence,
                subject=line.subject,
            )
        case _Contributed():
            return Contributed(
                **when, contribution=line.contribution, amount=line.amount, form=line.form
            )
        case _Issued():
            return Issued(
                **when,
                company=line.company,
                holder=line.holder,
                security=line.security,
                units=line.units,
            )
        case _Quoted():
            return Quoted(
                **when,
                asset=line.asset,
                currency=line.currency,
                rate=line.rate,
                source=line.source,
            )
        case _:
            message = f"{type(line).__name__} is no fact"
            raise AssertionError(message)


def _nano(amount: Fraction | None) -> int | None:
    """Give an amount in nano-units. Raises ValueError for one that is finer."""
    if amount is None:
        return None
    nano = amount * NANO
    if nano.denominator != 1:
        message = f"{amount} is finer than nano-units"
        raise ValueError(message)
    return nano.numerator
