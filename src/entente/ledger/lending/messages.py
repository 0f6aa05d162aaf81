"""What borrowers and the lender say to each other about one meter.

Amounts are whole numbers in the unit of the meter. All totals count since the loan began.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What the lender makes of a wish."""

    SERVED = "served"
    """It got at least what it needs, or needs nothing."""
    LATER = "later"
    """Others have been asked for what they do not use."""
    FULL = "full"
    """Nothing but running requests stands in the way."""
    NEVER = "never"
    """It would not fit if every running request cost nothing."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a borrower says. A later one says all that an earlier one did."""

    borrower: str
    number: int
    """Counts the statements of the borrower, from 1."""
    known: int
    """The total granted, as far as the borrower has heard."""
    used: int = 0
    """Total of what settled requests cost, as far as it is durable."""
    returned: int = 0
    """Total that was given back unused."""
    overdrawn: int = 0
    """Total that was taken beyond the loan, by costs above their holds."""
    need: int = 0
    """What the first in line needs; it is on loan whole or not at all. Zero: nobody waits."""
    want: int = 0
    """What it would take, to have some for those to come."""
    patient: bool = True
    """Who waits can wait for running requests of others."""
    round: int = 0
    """The last round of giving back that it has heard of, and has answered by this."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What the lender says to one borrower, asked or not."""

    to: str
    version: int
    """Counts what happens to the meter: the later word has the higher one."""
    number: int
    """The last statement of the borrower that it knows."""
    granted: int
    """Total."""
    verdict: Verdict
    round: int
    """The last round in which all were asked to give back what they do not use."""
    scarce: bool
    """Others need what is free with you: give it back as it comes."""
    free: int
    """What was left for the borrower when it was not served; below zero behind a longer line."""
    limit: int
    used: int
    """By settled requests of all borrowers."""
    own: int
    """What of that the borrower itself has told."""
    left: int
    """What is neither used nor lent; below zero where the limit was lowered, or costs ran over."""

    @property
    def ever(self) -> int:
        """More than this fits never."""
        return self.limit - self.used
