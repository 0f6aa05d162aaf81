"""Charts over time: payouts, milestones, caps, and commitments that burn down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from entente.agreement.paths.summary import MEDIAN, Burn, Milestone, Payouts, Summary, Use
from entente.settlement.charts.looks import (
    COLOURS,
    GREY,
    HEIGHT_PX,
    INK,
    LABEL_PX,
    WIDTH_PX,
    Chart,
    Money,
    Row,
    band_rows,
    colours,
    data_of,
    end_labels,
    fan,
    said_of,
    styled,
    time_axis,
)
from entente.settlement.simulation import Report

GAP_PX = 60
"""Between two panels, axis and all."""


def payouts(report: Report) -> Iterator[Chart]:
    """Draw what each party has received, a panel each."""
    summary = report.summary
    shown = [each for each in summary.parties if any(each.received.p95)]
    if not shown:
        return
    names = [report.names.get(each.party, each.party) for each in shown]
    money = Money(summary, max(max(each.received.p95) for each in shown))
    colour = colours(names)
    panels = [
        _panel(summary, each, name, money, colour) for each, name in zip(shown, names, strict=True)
    ]
    most = max(range(len(shown)), key=lambda number: shown[number].received.p50[-1])
    title = (
        f"{names[most]} receives most: {money.said(shown[most].received.p50[-1])} "
        f"by the end of {summary.steps[-1]} in the middle path"
    )
    grid = alt.concat(*panels, columns=2).resolve_scale(y="independent", color="shared")
    said = "Received since the beginning; each party has a scale of its own."
    yield styled(grid, "payouts", title, said_of(report, said))


def _panel(summary: Summary, each: Payouts, name: str, money: Money, colour: Any) -> Any:
    low, _, middle, _, high = (money.said(units) for units in each.received.last())
    said = f"middle {middle}; nine in ten paths {low} to {high}"
    rows = list(band_rows(summary, each.received, money, name))
    title = alt.TitleParams(
        text=name, subtitle=said, anchor="start", fontSize=13, color=INK,
        subtitleColor=GREY, subtitleFontSize=11.5, offset=6,
    )  # fmt: skip
    width = (WIDTH_PX + LABEL_PX - GAP_PX) // 2
    layers = alt.layer(*fan(rows, colour, money.axis))
    return layers.properties(width=width, height=HEIGHT_PX * 2 // 3, title=title)


def milestones(report: Report) -> Iterator[Chart]:
    """Draw which part of the paths has reached what by when."""
    summary = report.summary
    shown = [each for each in summary.milestones if any(each.reached)]
    if not shown:
        return
    names = [f"{each.clause}: {each.what}" for each in shown]
    rows: list[Row] = [
        {"who": name, "end": end, "step": step, "share": count / summary.paths}
        for name, each in zip(names, shown, strict=True)
        for end, step, count in zip(summary.ends, summary.steps, each.reached, strict=True)
    ]
    colour = colours(names)
    share = alt.Y(
        "share:Q",
        title="Part of the paths",
        axis=alt.Axis(format="%", tickCount=5),
        scale=alt.Scale(domain=[0, 1], clamp=False),
    )
    tooltip = [
        alt.Tooltip("who:N", title="Reached"),
        alt.Tooltip("step:N", title="Through"),
        alt.Tooltip("share:Q", title="Paths", format=".0%"),
    ]
    data = data_of(rows).mark_line(strokeWidth=2.4, interpolate="step-before")
    lines = data.encode(time_axis(), share, color=colour, tooltip=tooltip)
    ends = [
        (name, each.reached[-1] / summary.paths, name)
        for name, each in zip(names, shown, strict=True)
    ]
    labels = end_labels(ends, colour, x=("end:T", summary.ends[-1]))
    chart = alt.layer(lines, labels).properties(width=WIDTH_PX, height=HEIGHT_PX)
    first = min(shown, key=lambda each: _place(each, summary))
    said = f"The part of {summary.paths:,} paths that has reached each point by then."
    yield styled(chart, "milestones", _when(first, summary), said)


def _place(each: Milestone, summary: Summary) -> tuple[int, int]:
    """Order milestones by when half of the paths have reached them."""
    when = each.when[MEDIAN]
    steps = summary.steps
    return len(steps) if when is None else steps.index(when), -each.reached[-1]


def _when(each: Milestone, summary: Summary) -> str:
    when = each.when[MEDIAN]
    if when is not None:
        return f"{each.clause}, {each.what}: half of the paths by {when}"
    part = each.reached[-1] / summary.paths
    return f"{each.clause}, {each.what}: {part:.0%} of the paths by {summary.steps[-1]}"


def _milestone(summary: Summary, kind: str, clause: str) -> Milestone:
    return next(each for each in summary.milestones if (each.kind, each.clause) == (kind, clause))


def caps(report: Report) -> Iterator[Chart]:
    """Draw each share as it comes up to its cap."""
    for use in report.summary.caps:
        yield _cap(report, use)


def _cap(report: Report, use: Use) -> Chart:
    summary = report.summary
    money = Money(summary, max(use.cap, *use.accrued.p95))
    rows = list(band_rows(summary, use.accrued, money, use.clause))
    mark: Row = {"y": money.drawn(use.cap), "end": summary.ends[0]}
    cap = data_of([mark | {"text": f"cap {money.said(use.cap)}"}])
    rule = cap.mark_rule(color=COLOURS[1], strokeWidth=1.6, strokeDash=[5, 4]).encode(y="y:Q")
    words = cap.mark_text(
        align="left", dx=6, dy=-8, color=COLOURS[1], fontWeight=600, fontSize=12
    ).encode(time_axis(), y="y:Q", text="text:N")
    layers = alt.layer(*fan(rows, alt.value(COLOURS[0]), money.axis), rule, words)
    title = _when(_milestone(summary, "cap", use.clause), summary)
    if use.saved[MEDIAN]:
        title += f"; it saves {money.said(use.saved[MEDIAN])} in the middle path"
    payer = report.names.get(use.payer, use.payer)
    payee = report.names.get(use.payee, use.payee)
    said = said_of(report, f"What {payer} owes {payee} in all.")
    chart = layers.properties(width=WIDTH_PX, height=HEIGHT_PX)
    return styled(chart, f"cap-{use.clause}", title, said)


def commitments(report: Report) -> Iterator[Chart]:
    """Draw each commitment as it burns down."""
    for burn in report.summary.commitments:
        yield _commitment(report, burn)


def _commitment(report: Report, burn: Burn) -> Chart:
    summary = report.summary
    money = Money(summary, max(burn.total, *burn.remaining.p95))
    rows = list(band_rows(summary, burn.remaining, money, burn.clause))
    layers = alt.layer(*fan(rows, alt.value(COLOURS[2]), money.axis))
    buyer = report.names.get(burn.buyer, burn.buyer)
    said = f"What is left of {money.said(burn.total)} that {buyer} has committed to spend."
    title = _when(_milestone(summary, "commitment", burn.clause), summary)
    chart = layers.properties(width=WIDTH_PX, height=HEIGHT_PX)
    return styled(chart, f"commitment-{burn.clause}", title, said_of(report, said))
