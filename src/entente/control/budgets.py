"""Budgets of keys: what was granted, spent, held, and is left.

A budget is the sum of the grants in the ledger; changing it is one more grant, with a
negative amount to shrink it. Nothing is ever edited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from entente.domain.errors import InvalidParameter
from entente.domain.money import format_nano
from entente.ledger.books import Books
from entente.ledger.model import Grant, grant

if TYPE_CHECKING:
    from entente.domain.principal import Principal

USD: Final = "USD"
NOTE_CHARS_MAX: Final = 256


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Where the budget of a key stands, in nano-units of `asset`.

    `granted_nano` = `spent_nano` + `held_nano` + `available_nano`, always.
    """

    key: str
    asset: str
    granted_nano: int
    spent_nano: int
    held_nano: int
    available_nano: int


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget, as people and programs see it: granted = spent + held + available."""

    key: str
    currency: str
    granted: str
    spent: str
    held: str
    available: str


def budget_view(budget: Budget) -> BudgetView:
    """Show a budget."""
    return BudgetView(
        key=budget.key,
        currency=budget.asset,
        granted=format_nano(budget.granted_nano),
        spent=format_nano(budget.spent_nano),
        held=format_nano(budget.held_nano),
        available=format_nano(budget.available_nano),
    )


def nothing_granted(key: str) -> Budget:
    """Give the budget of a key that the journal does not know yet."""
    return budget_of(key, 0, Books())


def budget_of(key: str, granted_nano: int, books: Books) -> Budget:
    """Give a budget of which so much was granted, and that stands so in the books."""
    available_nano, held_nano = books.available(key, USD), books.held(key, USD)
    return Budget(
        key=key,
        asset=USD,
        granted_nano=granted_nano,
        spent_nano=granted_nano - available_nano - held_nano,
        held_nano=held_nano,
        available_nano=available_nano,
    )


def brought_forward(before: Budget, granted_nano: int) -> Budget:
    """Give where a budget stands of which so much is granted by now."""
    added = granted_nano - before.granted_nano
    return msgspec.structs.replace(
        before, granted_nano=granted_nano, available_nano=before.available_nano + added
    )


def initial_grant(actor: Principal, key: str, nano: int, *, at_ns: int) -> Grant:
    """Make the first grant of a key; the ledger takes it once however often it is tried."""
    return grant(
        id=f"{key}:initial", at_ns=at_ns, key=key, asset=USD, nano=nano, actor=actor.key_id
    )


def further_grant(
    actor: Principal, key: str, nano: int, *, id_: str, at_ns: int, note: str
) -> Grant:
    """Make a grant that adds `nano` to a budget, or takes it away where it is negative.

    Raises InvalidParameter for a note that is too long or not printable.
    """
    if len(note) > NOTE_CHARS_MAX or not note.isprintable():
        raise InvalidParameter(
            f"The note must be at most {NOTE_CHARS_MAX} printable characters.",
            param="note",
            code=None,
        )
    return grant(id=id_, at_ns=at_ns, key=key, asset=USD, nano=nano, actor=actor.key_id, note=note)


def check_change(before: Budget, nano: int) -> None:
    """Refuse a change after which more would be spent or held than is granted.

    Raises InvalidParameter with the smallest budget that is possible.
    """
    if before.available_nano + nano < 0:
        least = format_nano(before.spent_nano + before.held_nano)
        raise InvalidParameter(
            f"The budget would be below what is spent and held: it can be {least} {before.asset} "
            "at the least, which stops the key. `entente budgets show` has the amounts.",
            param="usd",
            code=None,
        )
