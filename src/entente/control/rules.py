"""Rules as people make them: limits and budgets of any scope, kept in the database.

A rule is ended, never deleted, so that the meters in the ledger go on meaning something.
Changing its amount keeps its id: what was used of it in this window stays used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from entente.auth.store import KeyStore
from entente.control.audit import Audit
from entente.control.projects import Projects
from entente.control.reports import utc
from entente.control.table import Base, Page, admit, page_of
from entente.control.times import utc_or_none
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.domain.money import format_nano
from entente.domain.rules import EACH, Level, Rule, Unit
from entente.domain.windows import UTC_NAME, Window, zone_of
from entente.policy.rules import RuleBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entente.db import Database
    from entente.domain.principal import Principal

AMOUNT_MAX: Final = 10**21
"""10^12 dollars in nano-units; of what else is counted, more than anybody counts to."""
NAME_CHARS_MAX: Final = 256
THRESHOLDS_MAX: Final = 10
THRESHOLD_MAX: Final = 1000
"""In percent: somebody may want to hear of ten times what was planned."""
RULES_MAX: Final = 100_000
"""In force at once."""
_ASSET: Final = re.compile(r"[A-Z]{3}")

_COLUMNS: Final = (
    "id, level, name, unit, amount, window_kind, zone, asset, hard, thresholds, created_ns,"
    " ended_ns, revision"
)
# These texts are made of the constants here and of nothing that anyone sends.
_SELECT: Final = f"SELECT {_COLUMNS} FROM rules"  # noqa: S608
_INSERT: Final = f"INSERT INTO rules ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
_SELECT_GENERATION: Final = "SELECT count(*) + coalesce(sum(revision), 0) FROM rules"
"""Grows with every change, because rows only ever come, and each change is a revision."""


class RuleWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a new rule should be."""

    level: Level
    name: str = ""
    unit: Unit
    amount: int
    window: Window = Window.LIFETIME
    zone: str = UTC_NAME
    asset: str = ""
    hard: bool = True
    thresholds: tuple[int, ...] = ()


class RuleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is kept. Times are nanoseconds since 1970."""

    rule: Rule
    created_ns: int
    ended_ns: int | None

    def view(self) -> RuleView:
        """Show it to people."""
        rule = self.rule
        spend = rule.unit is Unit.SPEND
        return RuleView(
            id=rule.id,
            level=rule.level,
            name=rule.name,
            unit=rule.unit,
            amount=format_nano(rule.amount) if spend else str(rule.amount),
            window=rule.window,
            zone=rule.zone,
            currency=rule.asset or None,
            hard=rule.hard,
            thresholds=rule.thresholds,
            created=utc(self.created_ns),
            ended=utc_or_none(self.ended_ns),
        )


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, as people and programs see it: the amount is a decimal, in text."""

    id: str
    level: Level
    name: str
    unit: Unit
    amount: str
    window: Window
    zone: str
    currency: str | None
    hard: bool
    thresholds: tuple[int, ...]
    created: str
    ended: str | None


class Rules:
    """The use cases."""

    def __init__(self, base: Base, audit: Audit) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._audit = audit
        self._projects = Projects(base, audit)
        self._keys = KeyStore(base.database)

    def make(self, actor: Principal, wish: RuleWish) -> RuleRecord:
        """Make a rule. Raises InvalidParameter for a wish that makes no sense.

        So does one for a project or a key that is not there: it would limit nobody, and nobody
        would hear of it. Users, end users and tags are whatever requests say.
        """
        admit(actor)
        _check(wish)
        base = self._base
        rule = Rule(id=base.ids.new("rule"), **msgspec.structs.asdict(wish))
        made = RuleRecord(rule=rule, created_ns=base.now_ns(), ended_ns=None)
        with base.database.transaction():
            self._check_there(actor, wish)
            (count,) = base.database.execute(
                "SELECT count(*) FROM rules WHERE ended_ns IS NULL"
            ).fetchone()
            if count >= RULES_MAX:
                raise _invalid("level", f"There are {RULES_MAX} rules already: end some first.")
            base.database.execute(
                _INSERT,
                (
                    *(rule.id, str(rule.level), rule.name, str(rule.unit), str(rule.amount)),
                    *(str(rule.window), rule.zone, rule.asset, int(rule.hard)),
                    *(_digits(rule.thresholds), made.created_ns, None, 0),
                ),
            )
            self._audit.note(actor, "rule.make", rule.id, after=made.view())
        return made

    def change(
        self,
        actor: Principal,
        rule_id: str,
        *,
        amount: int | None = None,
        hard: bool | None = None,
        thresholds: tuple[int, ...] | None = None,
    ) -> RuleRecord:
        """Change what is given of a rule in force; what is used of it stays used.

        Raises InvalidParameter, ObjectNotFound.
        """
        base = self._base
        with base.database.transaction():
            before = self.get(actor, rule_id)
            if before.ended_ns is not None:
                raise _ended(rule_id)
            rule = before.rule
            changed = msgspec.structs.replace(
                rule,
                amount=rule.amount if amount is None else amount,
                hard=rule.hard if hard is None else hard,
                thresholds=rule.thresholds if thresholds is None else thresholds,
            )
            _check(RuleWish(**{n: getattr(changed, n) for n in RuleWish.__struct_fields__}))
            base.database.execute(
                "UPDATE rules SET amount = ?, hard = ?, thresholds = ?, revision = revision + 1"
                " WHERE id = ?",
                (str(changed.amount), int(changed.hard), _digits(changed.thresholds), rule_id),
            )
            after = msgspec.structs.replace(before, rule=changed)
            self._audit.note(
                actor, "rule.change", rule_id, before=before.view(), after=after.view()
            )
        return after

    def end(self, actor: Principal, rule_id: str) -> RuleRecord:
        """Take a rule out of force; a second time changes nothing. Raises ObjectNotFound."""
        base = self._base
        with base.database.transaction():
            before = self.get(actor, rule_id)
            if before.ended_ns is not None:
                return before
            after = msgspec.structs.replace(before, ended_ns=base.now_ns())
            base.database.execute(
                "UPDATE rules SET ended_ns = ?, revision = revision + 1 WHERE id = ?",
                (after.ended_ns, rule_id),
            )
            self._audit.note(actor, "rule.end", rule_id, before=before.view(), after=after.view())
        return after

    def get(self, actor: Principal, rule_id: str) -> RuleRecord:
        """Give one rule, ended or not. Raises ObjectNotFound, PermissionDenied."""
        admit(actor)
        row = self._base.database.execute(f"{_SELECT} WHERE id = ?", (rule_id,)).fetchone()
        if row is None:
            message = f"There is no rule {rule_id!r}: `entente limits list` shows them."
            raise ObjectNotFound(message, param="rule", code="not_found")
        return _record(row)

    def list(
        self, actor: Principal, *, limit: int, after: str | None = None, ended: bool = False
    ) -> Page[RuleRecord]:
        """Give rules in the order in which they were made, behind the one called `after`."""
        admit(actor)
        condition = "" if ended else " AND ended_ns IS NULL"
        rows = self._base.database.execute(
            f"{_SELECT} WHERE id > ?{condition} ORDER BY id LIMIT ?", (after or "", limit + 1)
        ).fetchall()
        return page_of([_record(row) for row in rows], limit)

    def _check_there(self, actor: Principal, wish: RuleWish) -> None:
        """Refuse a project or a key that is not there, or has ended for good."""
        if wish.name == EACH:
            return
        if wish.level is Level.PROJECT:
            self._projects.check_open(actor, wish.name, param="name")
        elif wish.level is Level.KEY:
            found = self._keys.get(actor, wish.name)
            if found is None:
                message = (
                    f"There is no key with the id {wish.name!r}: `entente keys list` shows the ids."
                )
                raise InvalidParameter(message, param="name", code="unknown_key")
            if found.revoked_ns is not None:
                message = f"The key {wish.name} was revoked: a rule for it would limit nobody."
                raise InvalidParameter(message, param="name", code="key_revoked")


def load_rules(database: Database) -> RuleBook:
    """Take a snapshot of the rules in force, for the server itself. Raises LedgerUnavailable."""
    # The number first: a change in between makes the book look older than it is.
    (generation,) = database.execute(_SELECT_GENERATION).fetchone()
    rows = database.execute(f"{_SELECT} WHERE ended_ns IS NULL ORDER BY id").fetchall()
    return RuleBook([_record(row).rule for row in rows], int(generation))


def _check(wish: RuleWish) -> None:
    """Refuse what makes no sense."""
    if not 0 <= wish.amount <= AMOUNT_MAX:
        raise _invalid("amount", f"The amount must be 0 to {AMOUNT_MAX}.")
    if wish.level is Level.ORGANIZATION:
        if wish.name:
            raise _invalid("name", "There is one organization: leave its name out.")
    elif not wish.name or len(wish.name) > NAME_CHARS_MAX or not wish.name.isprintable():
        raise _invalid(
            "name",
            f"A rule for a {wish.level} needs its name, of at most {NAME_CHARS_MAX} characters; "
            f"{EACH} stands for each one, counted for itself.",
        )
    if (wish.unit is Unit.SPEND) is not bool(wish.asset):
        raise _invalid("currency", "Spend needs a currency, such as USD, and nothing else has one.")
    if wish.asset and not _ASSET.fullmatch(wish.asset):
        raise _invalid("currency", f"{wish.asset!r} is not a currency such as USD.")
    if wish.unit is Unit.CONCURRENCY and wish.window is not Window.LIFETIME:
        raise _invalid("window", "Requests at once are counted at any time: leave the window out.")
    try:
        zone_of(wish.zone)
    except ValueError as error:
        raise _invalid("zone", f"{error}.") from error
    if len(wish.thresholds) > THRESHOLDS_MAX or any(
        not 0 < percent <= THRESHOLD_MAX for percent in wish.thresholds
    ):
        raise _invalid(
            "thresholds", f"At most {THRESHOLDS_MAX} thresholds, of 1 to {THRESHOLD_MAX} percent."
        )


def _ended(rule_id: str) -> InvalidParameter:
    return _invalid("rule", f"The rule {rule_id} was ended; it cannot be changed any more.")


def _invalid(name: str, message: str) -> InvalidParameter:
    return InvalidParameter(message, param=name, code="invalid_value")


def _digits(thresholds: tuple[int, ...]) -> str:
    """Write thresholds for their column."""
    return msgspec.json.encode(thresholds).decode()


def _record(row: Sequence[object]) -> RuleRecord:
    """Read a row, whose columns are those of `_COLUMNS`."""
    found = dict(zip(_COLUMNS.replace(" ", "").split(","), row, strict=True))
    thresholds = msgspec.json.decode(str(found["thresholds"]))
    changed = {"amount": int(str(found["amount"])), "thresholds": thresholds}
    rule = {**found, **changed, "window": found["window_kind"], "hard": bool(found["hard"])}
    return msgspec.convert({"rule": rule, **found}, RuleRecord)
