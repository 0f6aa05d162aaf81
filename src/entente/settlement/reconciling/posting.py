"""The entry that makes what is owed to a provider agree with its invoice. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

from entente.domain.errors import InvalidParameter
from entente.ledger.model import Adjustment, adjustment
from entente.settlement.reconciling.model import Kind, Report, Verdict

BEFORE: Final = "adjusted before"
"""The part of an adjustment that takes an earlier one into account."""
ID_DIGITS: Final = 24


def entry(report: Report, *, at_ns: int, actor: str, note: str, anyway: bool) -> Adjustment | None:
    """Make the adjustment that a comparison asks for; None where nothing is open.

    Its id follows from what was compared and from what was adjusted before, so that the same
    comparison can be posted once only. Raises InvalidParameter for one that is not fit for it:
    without costs, about part of an earlier time, or, unless `anyway`, with unexplained amounts.
    """
    if report.theirs.nano is None:
        _refuse("The export has no costs, so there is no invoice to agree with: export costs, too.")
    if report.astride:
        _refuse(
            "An adjustment of this provider is about part of this time and part of another one: "
            "compare the time that it is about, with --from and --until."
        )
    if report.verdict is Verdict.UNEXPLAINED and not anyway:
        _refuse(
            "Part of the difference is unexplained. Find out what it is, or post it all the same "
            "with --accept-unexplained."
        )
    if not report.open_nano:
        return None
    parts = {str(kind): -nano for kind, nano in report.parts.items() if kind is not Kind.TIMING}
    if report.adjusted_nano:
        parts[BEFORE] = -report.adjusted_nano
    said = (report.provider, report.asset, report.since_ns, report.until_ns, report.digest)
    name = hashlib.sha256(repr((said, report.adjusted)).encode()).hexdigest()[:ID_DIGITS]
    return adjustment(
        id=f"adj_{name}",
        at_ns=at_ns,
        provider=report.provider,
        asset=report.asset,
        nano=-report.open_nano,
        since_ns=report.since_ns,
        until_ns=report.until_ns,
        parts=parts,
        reference=report.digest,
        actor=actor,
        note=note,
    )


def _refuse(what: str) -> None:
    raise InvalidParameter(what, param="--post", code=None)
