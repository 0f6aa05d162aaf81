"""What the commands on agreements do."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from entente.agreement.check.conditions import unheard
from entente.agreement.decide import Rules
from entente.agreement.decide import decide as decide_request
from entente.agreement.load import AgreementProblems, Book, load_facts
from entente.agreement.occasions import NOTHING, Facts
from entente.agreement.reference import reference_text
from entente.agreement.rights import AttributeKind
from entente.agreement.schema import schema_text
from entente.agreement.values import NANO, instant_ns
from entente.agreement.values import parse as parse_exact
from entente.cli.base import say, say_json, say_table
from entente.config.agreements import load_agreement
from entente.domain.errors import ConfigError, InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from entente.agreement.conditions import Scalar
    from entente.agreement.load import Version

HASH_CHARS_SHOWN: Final = 12

_NAMED: Final = ("model", "host", "surface")
"""Attributes with an option of their own."""
_TRUTHS: Final = ("true", "false")


def check(
    document: Path, scenario: str | None, parameter: list[str] | None, *, as_json: bool
) -> None:
    """Load a document and show its versions. Raises AgreementProblems."""
    try:
        book = load_book(document, scenario, parameter)
    except AgreementProblems as error:
        if as_json:
            say_json({"ok": False, "problems": error.problems})
        raise
    rows = [_version_row(version, book.zone) for version in book.versions()]
    if as_json:
        say_json({"ok": True, "id": book.id, "versions": rows})
        return
    plural = "" if len(rows) == 1 else "s"
    say(f"ok: {document} ({book.id}, {len(rows)} version{plural})")
    say_table(
        ("EFFECTIVE", "VERSION", "CLAUSES", "AMENDMENT"),
        [
            (
                str(row["effective"]),
                str(row["hash"])[:HASH_CHARS_SHOWN],
                str(row["clauses"]),
                str(row["amendment"] or "-"),
            )
            for row in rows
        ],
    )


def _version_row(version: Version, zone: ZoneInfo) -> dict[str, object]:
    return {
        "effective": datetime.fromtimestamp(version.effective_ns // NANO, zone).date().isoformat(),
        "hash": version.hash,
        "clauses": sum(1 for _ in version.agreement.clauses()),
        "amendment": version.amendments[-1] if version.amendments else None,
    }


def decide(
    document: Path,
    scenario: str | None,
    parameter: list[str] | None,
    named: Mapping[str, str],
    said: list[str] | None,
    at: str | None,
    facts: Path | None,
    known: str | None,
    *,
    as_json: bool,
) -> None:
    """Decide one request and say why."""
    book = load_book(document, scenario, parameter)
    known_ns = None if known is None else _instant("--known", known, book.zone)
    at_ns = time.time_ns() if at is None else _instant("--at", at, book.zone)
    happened = NOTHING if facts is None else _facts(facts, book.zone)
    if known_ns is not None:
        happened = happened.known(known_ns)
    version = book.at(at_ns, known_ns) or book.first
    request: dict[str, Scalar] = dict(named)
    for name, text in pairs("--set", said).items():
        request[name] = _scalar(version, name, text)
    _refuse_unheard(book, request)
    decision = decide_request(Rules(book.versions(known_ns)), happened, request, at_ns)
    if as_json:
        say_json(decision)
        return
    say(decision.sentence)
    if decision.clauses:
        say(f"clauses: {', '.join(decision.clauses)}")
    say(f"version: {decision.version[:HASH_CHARS_SHOWN] or 'none yet'}")


def schema(*, as_json: bool) -> None:
    """Write the JSON Schema."""
    if as_json:
        say_json(msgspec.json.decode(schema_text()))
    else:
        typer.echo(schema_text(), nl=False)


def reference(*, as_json: bool) -> None:
    """Write the reference page."""
    if as_json:
        say_json({"text": reference_text()})
    else:
        typer.echo(reference_text(), nl=False)


def load_book(document: Path, scenario: str | None, parameter: list[str] | None) -> Book:
    """Read an agreement with the options that all commands on agreements share."""
    return load_agreement(document, scenario=scenario, values=pairs("--parameter", parameter))


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """Read NAME=VALUE options. Raises InvalidParameter."""
    pairs: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not name or not equals:
            message = f"{option} takes NAME=VALUE, not {text!r}."
            raise InvalidParameter(message, param=option, code=None)
        pairs[name] = value
    return pairs


def _instant(option: str, text: str, zone: ZoneInfo) -> int:
    """Read a day or an instant. Raises InvalidParameter."""
    try:
        return instant_ns(text, zone)
    except (ValueError, OverflowError) as error:
        message = f"{option}: {error}."
        raise InvalidParameter(message, param=option, code=None) from error


def _facts(path: Path, zone: ZoneInfo) -> Facts:
    try:
        return load_facts(path.read_bytes(), str(path), zone)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): check the path given to --facts."
        raise ConfigError(message) from error


def _refuse_unheard(book: Book, request: Mapping[str, Scalar]) -> None:
    """Refuse a word that no clause can mean: misspelt, it would be allowed. InvalidParameter."""
    declared = {each.id: each for v in book.versions() for each in v.agreement.attributes}
    for name, value in request.items():
        if what := unheard(name, value, declared.values()):
            option = f"--{name}" if name in _NAMED else f"--set {name}"
            message = f"{option}: {what}."
            raise InvalidParameter(message, param=option, code=None)


def _scalar(version: Version, name: str, text: str) -> Scalar:
    """Read an attribute's value: as its declaration says, else as a document would."""
    kinds = {each.id: each.kind for each in version.agreement.attributes}
    kind = kinds.get(name)
    try:
        if kind is AttributeKind.NUMBER:
            return parse_exact(text)
    except ValueError as error:
        message = f"--set {name}: {error}."
        raise InvalidParameter(message, param="--set", code=None) from error
    if kind is None and text.isdecimal():
        return int(text)
    return text == "true" if kind is not AttributeKind.TEXT and text in _TRUTHS else text
