"""`entente ledger reconcile`: does the ledger agree with what a provider charges?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.agreement.values import instant_ns
from entente.auth import OPERATOR
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    database,
    existing_database,
    say_json,
    settings,
)
from entente.cli.reconcile_report import as_said, show
from entente.config.pricing import names_in_books
from entente.control.budgets import NOTE_CHARS_MAX
from entente.domain.errors import InvalidParameter
from entente.ledger.appending import append_now
from entente.ledger.journal import outcomes
from entente.ledger.places import reading, rows
from entente.settlement.reconciling.booked import Booked
from entente.settlement.reconciling.comparing import compare
from entente.settlement.reconciling.formats import FORMATS, read
from entente.settlement.reconciling.model import Report, Verdict
from entente.settlement.reconciling.posting import entry
from entente.settlement.reconciling.source import UTC, Source
from entente.settlement.reconciling.theirs import Question

if TYPE_CHECKING:
    from entente.config import Config
    from entente.settlement.reconciling.model import Line

FILES_MAX: Final = 1000

UNEXPLAINED: Final = 1
"""The exit status where part of the difference is unexplained."""


FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Exports of the provider: usage, costs, or both."),
]
ProviderOption = Annotated[
    str, typer.Option(metavar="NAME", help="The provider, by its name in the settings.")
]
FormatOption = Annotated[
    str | None, typer.Option("--format", metavar="FORM", help=f"One of {', '.join(FORMATS)}.")
]
SinceOption = Annotated[
    str | None, typer.Option("--from", metavar="WHEN", help="From a day or an instant on.")
]
UntilOption = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Up to a day or an instant, without it.")
]
CurrencyOption = Annotated[
    str, typer.Option(metavar="CODE", help="The currency, where an export has several.")
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="THEIRS=OURS", help="What a name of theirs is here; repeatable."),
]
ProjectOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Only this project of the provider's; repeatable."),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Only this key of the provider's; repeatable."),
]
PostOption = Annotated[
    bool, typer.Option("--post", help="Post what makes the ledger agree with the export.")
]
AcceptOption = Annotated[
    bool, typer.Option("--accept-unexplained", help="Post what is unexplained, too.")
]


def reconcile(
    files: FilesArgument,
    *,
    provider: ProviderOption,
    form: FormatOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    currency: CurrencyOption = "",
    model: ModelOption = None,
    project: ProjectOption = None,
    key: KeyOption = None,
    post: PostOption = False,
    accept_unexplained: AcceptOption = False,
    note: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the ledger with a provider's usage and costs, and explain what differs.

    Days are UTC. The exit status is 1 where part of the difference is unexplained.
    """
    question = Question(
        provider=provider,
        since_ns=_instant(since, "--from"),
        until_ns=_instant(until, "--until"),
        asset=currency.upper(),
        only={name: frozenset(said) for name, said in (("project", project), ("key", key)) if said},
        names=_names(model or []),
    )
    if len(note) > NOTE_CHARS_MAX or not note.isprintable():
        message = f"The note must be at most {NOTE_CHARS_MAX} printable characters."
        raise InvalidParameter(message, param="--note", code=None)
    chosen = settings(config)
    report = _compare(question, files, form, chosen)
    posted = None
    if post:
        posted = entry(
            report,
            at_ns=time.time_ns(),
            actor=OPERATOR.key_id,
            note=note,
            anyway=accept_unexplained,
        )
    if posted is not None:
        with database(chosen) as connection:
            append_now(connection, [posted])
    if as_json:
        say_json(as_said(report, posted))
    else:
        show(report, posted, asked=post)
    if report.verdict is Verdict.UNEXPLAINED and posted is None:
        raise typer.Exit(UNEXPLAINED)


def _compare(question: Question, files: list[Path], form: str | None, chosen: Config) -> Report:
    """Read the files and the ledger, once each."""
    if len(files) > FILES_MAX:
        message = f"It takes {FILES_MAX} files; compare a shorter time."
        raise InvalidParameter(message, param="file", code=None)
    place = existing_database(chosen)
    with reading(place) as opened:
        kept = opened.execute("SELECT version, lines FROM price_books").fetchall()
    books = Booked(kept, names_in_books(chosen))
    with ExitStack() as stack:
        sources = [_open(file, stack) for file in files]
        report = compare(
            question,
            _lines(sources, form),
            outcomes(rows(place)),
            price_of=books.owed_of,
            versions_of=books.versions_of,
        )
        report.digest = _digest(source.digest for source in sources)
    return report


def _open(file: Path, stack: ExitStack) -> Source:
    try:
        return Source(file.name, stack.enter_context(file.open("rb")))
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror}): check the path."
        raise InvalidParameter(message, param="file", code=None) from error


def _lines(sources: Sequence[Source], form: str | None) -> Iterator[Line]:
    for source in sources:
        yield from read(source, form)


def _digest(digests: Iterable[str]) -> str:
    """Give the digest of a file, or of the digests of several, in whatever order."""
    found = sorted(digests)
    if len(found) == 1:
        return found[0]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def _instant(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return instant_ns(text, UTC)
    except ValueError as error:
        raise InvalidParameter(f"{option}: {error}.", param=option, code=None) from error


def _names(said: list[str]) -> dict[str, str]:
    names = dict(each.split("=", 1) for each in said if "=" in each)
    if len(names) != len(said):
        message = "--model takes THEIRS=OURS, such as 'gpt 4o 0806=gpt-4o', each name once."
        raise InvalidParameter(message, param="--model", code=None)
    return names
