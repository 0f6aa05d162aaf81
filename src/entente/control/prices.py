"""Price books as people keep them: imported, and put in force.

A book is imported under its version and changes nothing. It is put in force from an instant
that has not come yet, so that no request that was settled is priced anew. The book of an
instant is the one whose beginning is the latest before it; of two that begin at once, the one
that was named last. Nothing here is ever edited: what an entry names can be shown for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from entente.control.events import EventType
from entente.control.outbox import Outbox
from entente.control.reports import utc
from entente.control.table import Base, admit
from entente.domain.errors import InvalidParameter
from entente.metering.reading import BookMistakes, read_book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entente.control.audit import Audit
    from entente.db import Database
    from entente.domain.principal import Principal
    from entente.metering.book import Book

NO_BOOK: Final = "none"
"""What is put in force to have none."""
VERSION_CHARS_MIN: Final = 4
BOOKS_MAX: Final = 10_000
MISTAKES_SHOWN_MAX: Final = 20


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """A book that was imported, as people and programs see it."""

    version: str
    source: str
    retrieved: str
    lines: int
    imported: str
    in_force: bool
    active_from: tuple[str, ...]
    """Every instant from which it was or will be in force."""


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """From when a book is in force; `version` is empty for none."""

    version: str
    from_ns: int


class Prices:
    """The use cases."""

    def __init__(self, base: Base, audit: Audit) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._database = base.database
        self._audit = audit

    # ---- books ----

    def keep(self, actor: Principal, text: bytes) -> Book:
        """Import a book, all of it or nothing; a second time changes nothing.

        Raises InvalidParameter with every line that is wrong, PermissionDenied.
        """
        admit(actor)
        try:
            book = read_book(text)
        except BookMistakes as error:
            more = len(error.mistakes) - MISTAKES_SHOWN_MAX
            said = [str(each) for each in error.mistakes[:MISTAKES_SHOWN_MAX]]
            said += [f"and {more} more"] if more > 0 else []
            message = "Nothing was imported:\n" + "\n".join(said)
            raise InvalidParameter(message, param="book", code="invalid_book") from error
        with self._database.transaction():
            new = self._database.execute(
                "INSERT INTO price_books (version, lines, activated_ns, is_book)"
                " VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING",
                (book.version, book.encode(), self._base.now_ns()),
            )
            if new.rowcount:
                about = {"source": book.source, "lines": len(book.lines)}
                self._audit.note(actor, "prices.import", book.version, after=about)
        return book

    def resolve(self, version: str) -> Book:
        """Give the book whose version begins so. Raises InvalidParameter for none or several."""
        found: list[tuple[str, bytes]] = []
        if len(version) >= VERSION_CHARS_MIN:
            found = self._database.execute(
                "SELECT version, lines FROM price_books"
                " WHERE is_book = 1 AND substr(version, 1, ?) = ? LIMIT 2",
                (len(version), version),
            ).fetchall()
        if len(found) != 1:
            said = "No" if not found else "More than one"
            message = (
                f"{said} price book has a version that begins with {version!r}: "
                "`entente prices list` shows them."
            )
            raise InvalidParameter(message, param="version", code="not_found")
        return read_book(found[0][1])

    def list(self, actor: Principal) -> list[BookView]:
        """Give the books that were imported, the latest first."""
        admit(actor)
        activations = activations_in(self._database)
        now = in_force(activations, self._base.now_ns())
        rows = self._database.execute(
            "SELECT version, lines, activated_ns FROM price_books WHERE is_book = 1"
            " ORDER BY activated_ns DESC, version LIMIT ?",
            (BOOKS_MAX,),
        )
        return [
            self._view(version, read_book(lines), kept_ns, activations, now)
            for version, lines, kept_ns in rows.fetchall()
        ]

    def _view(
        self, version: str, book: Book, kept_ns: int, activations: Sequence[Activation], now: str
    ) -> BookView:
        return BookView(
            version=version,
            source=book.source,
            retrieved=book.retrieved,
            lines=len(book.lines),
            imported=utc(kept_ns),
            in_force=version == now,
            active_from=tuple(utc(a.from_ns) for a in activations if a.version == version),
        )

    def activate(self, actor: Principal, version: str, from_ns: int | None = None) -> Activation:
        """Put a book in force, now or from an instant to come; `none` for no book.

        Raises InvalidParameter for an instant that has passed, and as `resolve` does.
        """
        admit(actor)
        now_ns = self._base.now_ns()
        if from_ns is not None and from_ns < now_ns:
            message = (
                f"`from` is {utc(from_ns)}, which has passed: requests were settled since, and "
                "are not priced anew. Leave it out for now."
            )
            raise InvalidParameter(message, param="from", code="invalid_value")
        exact = "" if version == NO_BOOK else self.resolve(version).version
        made = Activation(version=exact, from_ns=now_ns if from_ns is None else from_ns)
        with self._database.transaction():
            (last,) = self._database.execute(
                "SELECT coalesce(max(number), 0) FROM price_activations"
            ).fetchone()
            self._database.execute(
                "INSERT INTO price_activations (number, version, from_ns, at_ns, actor)"
                " VALUES (?, ?, ?, ?, ?)",
                (last + 1, exact, made.from_ns, now_ns, actor.key_id),
            )
            about = {"from": utc(made.from_ns)}
            self._audit.note(actor, "prices.activate", exact or NO_BOOK, after=about)
            told = {"version": exact or None, **about}
            Outbox(self._base).tell(EventType.PRICES_ACTIVATED, told)
        return made

    def at(self, at_ns: int) -> Book | None:
        """Give the book in force at an instant."""
        version = in_force(activations_in(self._database), at_ns)
        return self.resolve(version) if version else None


def in_force(activations: Sequence[Activation], at_ns: int) -> str:
    """Give the version in force at an instant, empty for none. They are in their order."""
    return next((a.version for a in reversed(activations) if a.from_ns <= at_ns), "")


def activations_in(database: Database) -> list[Activation]:
    """Read what was put in force, by the instant from which it is."""
    rows = database.execute(
        "SELECT version, from_ns FROM price_activations ORDER BY from_ns, number"
    )
    return [Activation(version=row[0], from_ns=row[1]) for row in rows.fetchall()]
