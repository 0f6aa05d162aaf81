"""What the commands on agreements do that read the ledger, or add to what has happened."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from entente.agreement.decide import Rules
from entente.agreement.load import Book
from entente.agreement.log import AnyFact, Log
from entente.agreement.occasions import Attestation, Facts, Verdict, courses
from entente.agreement.settle.settling import settle as settle_period
from entente.agreement.settle.statement import Statement, canonical
from entente.agreement.values import NANO, instant_ns
from entente.agreements import attestations_of, facts_of, happened
from entente.auth import OPERATOR, KeyStore
from entente.cli.agreement_work import load_book, pairs
from entente.cli.base import existing_database, place_if_any, say, say_json, say_table, settings
from entente.config.agreements import facts_path, traits_of
from entente.domain.errors import ConfigError, InvalidParameter, StartError
from entente.domain.money import format_nano
from entente.ledger.journal import entries
from entente.ledger.model import Settlement
from entente.ledger.places import Place, reading, rows
from entente.settlement.filing import file as file_statement
from entente.settlement.filing import place
from entente.settlement.forms import StatementForm, written
from entente.settlement.review import Review, review
from entente.settlement.tables import account, exact, money, times
from entente.settlement.traffic import traffic_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from entente.config import Config
    from entente.config.model import Traits

PRIVATE_FILE: Final = 0o600
EVIDENCE_CHUNK_BYTES: Final = 1 << 20
"""Of a file that is hashed."""


class Asked:
    """The document of a command, with the settings that say what its words mean here."""

    def __init__(
        self,
        document: Path,
        scenario: str | None,
        parameter: list[str] | None,
        config: Path | None,
        facts: list[Path] | None,
    ) -> None:
        """Read both. The settings' own scenario and parameters hold for their own document."""
        self.config: Config = settings(config)
        stated = self.config.agreement
        if stated is not None and stated.file.resolve() == document.resolve():
            scenario = scenario or stated.scenario
            given = [f"{name}={_text(value)}" for name, value in stated.parameters.items()]
            own = pairs("--parameter", parameter)
            parameter = [each for each in given if each.partition("=")[0] not in own]
            parameter += [f"{name}={value}" for name, value in own.items()]
        self.book: Book = load_book(document, scenario, parameter)
        self.facts = tuple(facts or ())

    def said(self) -> Iterator[AnyFact]:
        """Give what was attested and told."""
        for path in (facts_path(self.config), *self.facts):
            if path in self.facts and not path.is_file():
                message = f"{path} cannot be read: check the path given to --facts."
                raise ConfigError(message)
            yield from facts_of(path, self.book)

    def traits(self) -> dict[str, Mapping[str, Traits]]:
        """Give what is known of models, providers, projects and keys, keys by their ids."""
        found = traits_of(self.config)
        named = found["key"]
        place = place_if_any(self.config)
        if not named or place is None:
            return found
        with reading(place) as opened:
            records = KeyStore(opened).list(OPERATOR, with_revoked=True)
        ids = {record.principal.key_id: record.principal.name for record in records}
        by_id = {key: named.get(key, named.get(name, {})) for key, name in ids.items()}
        return found | {"key": by_id}

    def log(self) -> Log:
        """Give the ledger's requests and all other facts as one log."""
        said = tuple(self.said())
        place = place_if_any(self.config)
        return Log.of(said) if place is None else traffic_log(place, said, self.traits())

    def instant(self, option: str, text: str) -> int:
        """Read a day or an instant. Raises InvalidParameter."""
        try:
            return instant_ns(text, self.book.zone)
        except (ValueError, OverflowError) as error:
            message = f"{option}: {error}."
            raise InvalidParameter(message, param=option, code=None) from error


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def settle(
    asked: Asked,
    period: str,
    statement: str,
    known_at: str | None,
    out: Path | None,
    *,
    keep: bool,
    as_json: bool,
) -> None:
    """Settle, show, and write what is asked for."""
    known_ns = time.time_ns() if known_at is None else asked.instant("--known-at", known_at)
    stated = settle_period(
        asked.book, asked.log(), period=period, known_ns=known_ns, statement=statement
    ).statement
    if keep and out is None:
        message = "--file keeps the statement in the folder of --out: name one."
        raise InvalidParameter(message, param="--out", code=None)
    places = [] if out is None else _write(out, stated, keep=keep)
    if as_json:
        typer.echo(canonical(stated))
        return
    _show(stated)
    for path in places:
        say(f"wrote {path}")


def _write(folder: Path, stated: Statement, *, keep: bool) -> list[Path]:
    """Write every form that can be written here. Raises InvalidParameter."""
    try:
        main = file_statement(folder, stated) if keep else place(folder, stated)
        main.parent.mkdir(parents=True, exist_ok=True)
        found = []
        for form in StatementForm:
            path = main.with_suffix(f".{form.value}")
            try:
                content = written(stated, form)
            except StartError as error:
                say(error.message)
                continue
            if not (keep and form is StatementForm.JSON):
                path.write_bytes(content)
            found.append(path)
    except OSError as error:
        message = f"{folder} cannot be written ({error.strerror}): name another with --out."
        raise InvalidParameter(message, param="--out", code=None) from error
    return found


def _show(stated: Statement) -> None:
    state = "final" if stated.final else f"provisional; the books close {stated.closes}"
    say(f"{stated.agreement}, {stated.period} ({state})")
    _show_clauses(stated)
    say_table(
        ("PAYER", "PAYEE", "FOR", stated.currency),
        [(p.payer, p.payee, p.of, money(p.nano, stated.scale)) for p in stated.payments],
    )
    for problem in stated.problems:
        say(f"open: {problem}")


def _show_clauses(stated: Statement) -> None:
    """Show how each clause was applied, exactly, and what it moved between whom."""
    worked = [
        (each.clause, line.what, exact(line.quantity), times(line.times), exact(line.amount))
        for each in stated.applied
        for line in each.lines
    ]
    if worked:
        say_table(("CLAUSE", "OF", "QUANTITY", "TIMES", "AMOUNT"), worked)
    posted = [
        (
            each.clause,
            account(each.source),
            account(each.destination),
            f"{each.why} of {each.adjusts or stated.period}",
            money(each.nano, stated.scale),
        )
        for each in stated.postings
    ]
    if posted:
        say_table(("CLAUSE", "FROM", "TO", "WHAT", stated.currency), posted)


def report(asked: Asked, since: str | None, *, as_json: bool) -> None:
    """Decide past requests, and say which would have been barred."""
    since_ns = 0 if since is None else asked.instant("--since", since)
    database = existing_database(asked.config)
    now_ns = time.time_ns()
    said = tuple(asked.said())
    facts, _ = happened(asked.book, said, asked.log, now_ns)
    rules = Rules(asked.book.versions(now_ns))
    found = review(_settled(database, since_ns), rules, facts, asked.traits())
    if as_json:
        say_json(found)
        return
    _show_review(found)


def _settled(database: Place, since_ns: int) -> Iterator[Settlement]:
    for entry in entries(rows(database)):
        if isinstance(entry, Settlement) and entry.at_ns >= since_ns:
            yield entry


def _show_review(found: Review) -> None:
    barred = found.requests - found.allowed
    say(f"{found.requests} requests: {found.allowed} allowed, {barred} would have been barred")
    if found.barred:
        say_table(
            ("REQUESTS", "COST", "TARGET", "MODEL", "KEY", "CLAUSES"),
            [
                (
                    str(each.requests),
                    _cost(each.cost_nano),
                    each.target,
                    each.model,
                    each.key,
                    ", ".join(each.clauses),
                )
                for each in found.barred
            ],
        )
        for sentence in dict.fromkeys(each.sentence for each in found.barred):
            say(sentence)
    if found.more:
        say(f"and {found.more} requests in further groups")


def _cost(costs: Mapping[str, int]) -> str:
    return ", ".join(f"{format_nano(nano)} {asset}" for asset, nano in costs.items()) or "-"


def attest(
    asked: Asked,
    event: str,
    verdict: str,
    by: str,
    at: str | None,
    subject: str,
    evidence: Path | None,
    *,
    as_json: bool,
) -> None:
    """Append an attestation that counts. Raises InvalidParameter for one that would not."""
    now = datetime.fromtimestamp(time.time_ns() // NANO, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    when = at or now
    fact = Attestation(
        event=event,
        by=by,
        verdict=Verdict(verdict),
        at_ns=asked.instant("--at", when),
        subject=subject,
        evidence="" if evidence is None else _hash(evidence),
    )
    _check(asked, fact)
    line: dict[str, str] = {"at": when, "known": now, "event": event, "verdict": verdict, "by": by}
    line |= {"subject": subject} if subject else {}
    line |= {"evidence": fact.evidence} if fact.evidence else {}
    name = hashlib.sha256(msgspec.json.encode(line)).hexdigest()[:16]
    _append(facts_path(asked.config), msgspec.json.encode({"id": f"attested-{name}", **line}))
    if as_json:
        say_json({"id": f"attested-{name}", **line})
    else:
        say(f"{by} has attested that {event} is {verdict}, as of {when}")


def _check(asked: Asked, fact: Attestation) -> None:
    """Refuse what the agreement would pass over."""
    version = asked.book.at(fact.at_ns) or asked.book.first
    agreement = version.agreement
    if fact.event not in {each.id for each in agreement.events}:
        names = ", ".join(each.id for each in agreement.events) or "none"
        message = f"The agreement has no event {fact.event} at that time; it has {names}."
        raise InvalidParameter(message, param="event", code=None)
    facts = Facts(attestations=(*attestations_of(asked.said()), fact))
    made = courses(agreement.events, agreement.triggers, agreement.parties, facts)
    for ignored, reason in made.ignored:
        if ignored == fact:
            message = f"This attestation would count for nothing: {reason}."
            raise InvalidParameter(message, param="by", code=None)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as content:
            while piece := content.read(EVIDENCE_CHUNK_BYTES):
                digest.update(piece)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): check the path given to --evidence."
        raise ConfigError(message) from error
    return digest.hexdigest()


def _append(path: Path, line: bytes) -> None:
    """Add a line for good: it is on the disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    try:
        os.write(number, line + b"\n")
        os.fsync(number)
    finally:
        os.close(number)
