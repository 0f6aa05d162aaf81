"""What a reconciliation found, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from entente.cli.base import say, say_table
from entente.control.reports import utc
from entente.domain.money import format_nano
from entente.settlement.reconciling.model import CLASSES, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.ledger.model import Adjustment
    from entente.settlement.reconciling.model import Finding, Report

SHOWN_MAX: Final = 40
"""Differences in the table; JSON has them all."""


def show(report: Report, posted: Adjustment | None, *, asked: bool) -> None:
    """Write both sides, what explains the difference, where it is, and how it ended."""
    _show_sides(report)
    _show_findings(report)
    for text in report.notes:
        say(f"note: {text}")
    _show_end(report, posted, asked=asked)


def _show_sides(report: Report) -> None:
    ours, theirs = report.ours, report.theirs
    day = f"{utc(report.since_ns)[:16]} to {utc(report.until_ns)[:16]} UTC"
    say(f"{report.provider}, {day}, {report.compared} sums compared")
    lines = [("requests", *_counts(ours.requests, theirs.requests))]
    mine, other = ours.tokens or {}, theirs.tokens
    for name in CLASSES:
        if mine.get(name) or (other or {}).get(name):
            count = None if other is None else other.get(name, 0)
            lines.append((name, *_counts(mine.get(name, 0), count)))
    cost = "-" if theirs.nano is None else format_nano(theirs.nano)
    lines.append((report.asset, format_nano(ours.nano or 0), cost, _signed(report.nano)))
    say_table(("", "HERE", "THERE", "DIFFERENCE"), lines)


def _show_findings(report: Report) -> None:
    if report.parts:
        say("")
        parts = [(str(kind), _signed(nano)) for kind, nano in report.parts.items()]
        say_table(("EXPLAINED BY", report.asset), parts)
    if report.findings:
        say("")
        shown = report.findings[:SHOWN_MAX]
        say_table(
            ("TIME", "MODEL", report.asset, "BECAUSE"), [line for f in shown for line in _rows(f)]
        )
        if report.found > len(shown):
            say(f"and {report.found - len(shown)} more; --json has them")


def _counts(mine: int | None, other: int | None) -> tuple[str, str, str]:
    if other is None:
        return str(mine or 0), "-", "-"
    return str(mine or 0), str(other), f"{(mine or 0) - other:+}"


def _signed(nano: int) -> str:
    return f"+{format_nano(nano)}" if nano > 0 else format_nano(nano)


def _rows(finding: Finding) -> Iterator[tuple[str, str, str, str]]:
    place = (utc(finding.since_ns)[:16], finding.request or finding.model or "all models")
    for part in finding.parts:
        words = f"{part.kind}: {part.words}" if part.words else str(part.kind)
        yield (*place, _signed(part.nano), words)
        place = ("", "")


def _show_end(report: Report, posted: Adjustment | None, *, asked: bool) -> None:
    """Write the verdict in one line, and what to do next."""
    open_ = format_nano(abs(report.open_nano))
    if report.adjusted:
        before = _signed(report.adjusted_nano)
        say(f"adjusted before: {before} {report.asset} by {', '.join(report.adjusted)}")
    if posted is not None:
        say(f"posted: {posted.id} adjusts {_signed(posted.nano)} {posted.asset}")
    elif asked:
        say("nothing to post: with what was adjusted before, the ledger agrees")
    elif report.verdict is Verdict.AGREES:
        say("agrees")
    elif not report.open_nano:
        say(f"{report.verdict}: the sums agree")
    else:
        side = "more" if report.open_nano > 0 else "less"
        hint = "find out why" if report.verdict is Verdict.UNEXPLAINED else "--post adjusts it"
        say(f"{report.verdict}: the ledger has {open_} {report.asset} {side}; {hint}")


def as_said(report: Report, posted: Adjustment | None) -> dict[str, object]:
    """Write a report with amounts as exact decimals in text."""
    return {
        "verdict": report.verdict,
        "provider": report.provider,
        "currency": report.asset,
        "from": utc(report.since_ns),
        "until": utc(report.until_ns),
        "compared": report.compared,
        "here": _side(report.ours.requests, report.ours.tokens, report.ours.nano),
        "there": _side(report.theirs.requests, report.theirs.tokens, report.theirs.nano),
        "difference": format_nano(report.nano),
        "explained_by": {str(kind): format_nano(nano) for kind, nano in report.parts.items()},
        "adjusted_before": format_nano(report.adjusted_nano),
        "open": format_nano(report.open_nano),
        "differences": [
            {
                "from": utc(each.since_ns),
                "until": utc(each.until_ns),
                "model": each.model,
                "request": each.request or None,
                "difference": format_nano(each.nano),
                "tokens": each.tokens,
                "requests": each.requests,
                "parts": [
                    {"by": part.kind, "amount": format_nano(part.nano), "words": part.words}
                    for part in each.parts
                ],
            }
            for each in report.findings
        ],
        "notes": report.notes,
        "reference": report.digest,
        "posted": None if posted is None else msgspec.to_builtins(posted),
    }


def _side(requests: int | None, tokens: object, nano: int | None) -> dict[str, object]:
    cost = None if nano is None else format_nano(nano)
    return {"requests": requests, "tokens": tokens, "cost": cost}
