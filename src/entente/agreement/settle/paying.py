"""From postings to payments: what each party pays another, netted where clauses say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from entente.agreement.clauses import Clause
from entente.agreement.load import Version
from entente.agreement.money import Share
from entente.agreement.money import Statement as Terms
from entente.agreement.settle.statement import Payment, Posting, Subtotal

PARTY: Final = "party:"
"""How the account of a party begins."""


def clause_of(version: Version, id: str) -> Clause | None:
    """Find a clause of a version."""
    return next((each for _, _, each in version.agreement.clauses() if each.id == id), None)


def payments(
    terms: Terms, versions: Iterable[Version], postings: Iterable[Posting]
) -> tuple[Payment, ...]:
    """Give what is to be paid. What is only deferred is not; what is released is."""
    by_hash = {version.hash: version for version in versions}
    owed: dict[tuple[str, str, str], int] = {}
    for posting in postings:
        clause = clause_of(by_hash[posting.version], posting.clause)
        payer, payee = _party(posting.source, clause), _party(posting.destination, clause)
        if posting.why == "deferred" or not payer or not payee:
            continue
        netting = getattr(clause, "netting", None)
        of = netting if netting in terms.netting else posting.clause
        low, high, sign = (payer, payee, 1) if payer < payee else (payee, payer, -1)
        owed[(of, low, high)] = owed.get((of, low, high), 0) + sign * posting.nano
    return tuple(
        Payment(
            payer=low if nano > 0 else high, payee=high if nano > 0 else low, nano=abs(nano), of=of
        )
        for (of, low, high), nano in owed.items()
        if nano
    )


def _party(account: str, clause: Clause | None) -> str:
    """Give the party behind an account; what was deferred is paid by the payer of the share."""
    if account.startswith(PARTY):
        return account.removeprefix(PARTY)
    return clause.payer if isinstance(clause, Share) else ""


def subtotals(terms: Terms, postings: tuple[Posting, ...]) -> tuple[Subtotal, ...]:
    """Give what each account gives and receives, the parties of the statement first."""
    accounts = dict.fromkeys(f"{PARTY}{name}" for name in terms.parties)
    for posting in postings:
        accounts.update(dict.fromkeys((posting.source, posting.destination)))
    return tuple(
        Subtotal(
            party=account.removeprefix(PARTY),
            pays_nano=sum(each.nano for each in postings if each.source == account),
            receives_nano=sum(each.nano for each in postings if each.destination == account),
        )
        for account in accounts
    )
