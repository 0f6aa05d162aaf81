"""Charts of a simulation: each says its finding in its title.

Needs altair and vl-convert (`entente[agreement]`).
"""

from entente.settlement.charts.ladder import ladders
from entente.settlement.charts.looks import Chart
from entente.settlement.charts.over_time import caps, commitments, milestones, payouts
from entente.settlement.charts.page import page, picture
from entente.settlement.charts.sensitivity import sensitivity
from entente.settlement.simulation import Report

__all__ = ["Chart", "charts", "page", "picture"]


def charts(report: Report) -> tuple[Chart, ...]:
    """Draw everything that a report has something to show of."""
    made = (
        payouts(report),
        ladders(report),
        milestones(report),
        caps(report),
        commitments(report),
        sensitivity(report),
    )
    return tuple(chart for several in made for chart in several)
