"""What types cannot say of a document: names, sums, ladders, cycles, and rules that clash."""

from __future__ import annotations

from collections.abc import Iterator

from entente.agreement.check import amounts, names, overlaps, times, uses
from entente.agreement.check.finding import Finding
from entente.agreement.check.uses import unused
from entente.agreement.document import Agreement

__all__ = ["Finding", "check", "unused"]


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find what is wrong in one version.

    Clauses are compared with one another only where every name leads somewhere.
    """
    found = [*times.check(agreement), *names.check(agreement), *amounts.check(agreement)]
    yield from found
    if not found:
        yield from uses.check(agreement)
        yield from overlaps.check(agreement)
