"""Ladders of the public example, and a second, short way to run them."""

from __future__ import annotations

from fractions import Fraction

from entente.agreement.money import OnCap
from entente.agreement.settle.ladder import Bound, Ladder, Rung

F = Fraction
RECOUPED = F(52, 3)
REVERT = OnCap(revert_to="nonprofit")


def example(*, after_recoup: bool) -> Ladder:
    """Recoup 13 at 75 %, then 49/49/2 up to 92 and 150, then all to the non-profit.

    The two readings differ in what the 92 counts: since the second tier, or since inception.
    """
    counts_from = "second" if after_recoup else "inception"
    return Ladder(
        (
            Rung(
                "first",
                (("msft", F(3, 4)), ("others", F(1, 4))),
                (Bound("msft", F(13), "payouts", "inception"),),
            ),
            Rung(
                "second",
                (("msft", F(49, 100)), ("others", F(49, 100)), ("nonprofit", F(1, 50))),
                (
                    Bound("msft", F(92), "payouts", counts_from),
                    Bound("others", F(150), "payouts", "inception"),
                ),
                REVERT,
            ),
            Rung("third", (("nonprofit", F(1)),)),
        )
    )


def on_profit() -> Ladder:
    """The third reading: the tiers end at profits of the company, of 92 and of 150."""
    return Ladder(
        (
            Rung(
                "first",
                (("msft", F(3, 4)), ("others", F(1, 4))),
                (Bound("msft", F(92), "company_profit", "inception"),),
            ),
            Rung(
                "second",
                (("msft", F(49, 100)), ("others", F(49, 100)), ("nonprofit", F(1, 50))),
                (Bound("msft", F(150), "company_profit", "inception"),),
            ),
            Rung("third", (("nonprofit", F(1)),)),
        )
    )


def oracle(profit: Fraction, *, after_recoup: bool) -> tuple[Fraction, Fraction, Fraction]:
    """Pay the public example out by minima alone, without tiers."""
    first = min(profit, RECOUPED)
    rest = profit - first
    others = min(F(150), first / 4 + rest * F(49, 100))
    end = RECOUPED + (150 - RECOUPED / 4) / F(49, 100)
    in_second = min(rest, end - RECOUPED)
    most = F(92) if after_recoup else F(92) - 13
    msft = first * F(3, 4) + min(most, in_second * F(49, 100))
    return msft, others, profit - msft - others
