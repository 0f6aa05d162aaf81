"""The ladder of a waterfall: who has received what, by the profit that has run down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import altair as alt

from entente.agreement.paths.summary import Bend
from entente.settlement.charts.looks import (
    GREY,
    HEIGHT_PX,
    WIDTH_PX,
    Chart,
    Money,
    Row,
    colours,
    data_of,
    end_labels,
    styled,
)
from entente.settlement.simulation import Report

BEYOND: Final = Fraction(5, 4)
"""How far behind the last bend a ladder is drawn."""


def ladders(report: Report) -> Iterator[Chart]:
    """Draw each waterfall's ladder."""
    by_clause: dict[str, list[Bend]] = {}
    for bend in report.summary.bends:
        by_clause.setdefault(bend.clause, []).append(bend)
    for clause, bends in by_clause.items():
        yield _ladder(report, clause, bends)


def _ladder(report: Report, clause: str, bends: Sequence[Bend]) -> Chart:
    profits = [Fraction(bend.profit) for bend in bends]
    beyond = profits[-1] * BEYOND if len(bends) > 1 else Fraction(10**report.summary.scale)
    money = Money(report.summary, int(beyond))
    rows = list(_rows(report, bends, beyond, money))
    colour = colours(list(dict.fromkeys(row["who"] for row in rows)))
    lines = (
        data_of(rows)
        .mark_line(strokeWidth=2.6)
        .encode(
            alt.X(
                "profit:Q",
                title=f"Profit since the beginning, {money.axis}",
                axis=alt.Axis(grid=False),
            ),
            alt.Y("paid:Q", title=f"Received, {money.axis}", axis=alt.Axis(tickCount=6)),
            color=colour,
            tooltip=[alt.Tooltip("who:N", title="Of"), alt.Tooltip("said:N", title="Received")],
        )
    )
    last = money.drawn(beyond)
    ends = [(row["who"], row["paid"], row["who"]) for row in rows if row["profit"] == last]
    labels = end_labels(ends, colour, x=("profit:Q", last))
    chart = alt.layer(*_marks(profits[1:], money), lines, labels)
    said = (
        "Who has received what, by the profit that has run down. Dashed: where the split changes."
    )
    return styled(
        chart.properties(width=WIDTH_PX, height=HEIGHT_PX),
        f"ladder-{clause}",
        _title(clause, [money.said(profit) for profit in profits[1:]]),
        said,
    )


def _rows(report: Report, bends: Sequence[Bend], beyond: Fraction, money: Money) -> Iterator[Row]:
    """Give the corners of each party's line, and its end."""
    last = bends[-1]
    for party in last.paid:
        corners = [(Fraction(bend.profit), Fraction(bend.paid[party])) for bend in bends]
        behind = (beyond - Fraction(last.profit)) * Fraction(last.shares[party])
        for profit, paid in (*corners, (beyond, Fraction(last.paid[party]) + behind)):
            yield {
                "who": report.names.get(party, party),
                "profit": money.drawn(profit),
                "paid": money.drawn(paid),
                "said": money.said(paid),
            }


def _marks(profits: Sequence[Fraction], money: Money) -> tuple[Any, Any]:
    """Draw a line down where the ladder bends, and write the profit beside it."""
    marks = [{"profit": money.drawn(each), "said": money.said(each)} for each in profits]
    base = data_of(marks)
    rules = base.mark_rule(color=GREY, strokeDash=[3, 3]).encode(x="profit:Q")
    words = base.mark_text(
        align="left", baseline="top", dx=4, dy=6, color=GREY, fontSize=11.5
    ).encode(x="profit:Q", y=alt.value(0), text="said:N")
    return rules, words


def _title(clause: str, bent: Sequence[str]) -> str:
    if not bent:
        return f"{clause}: one split for every profit"
    said = bent[0] if len(bent) == 1 else f"{', '.join(bent[:-1])} and {bent[-1]}"
    return f"{clause}: the split changes at {said} of profit"
