"""Who is owed what, as clauses: the primitives 14 to 22 of the language.

    contribution   14   what a party put in or promised, in cash or in credit
    meter          15   which measured facts are counted, and which of their numbers
    rate           16   a price for what a meter counts, in tiers
    base           17   an amount that shares are taken of: gross or net, bundles allocated
    share          18   a ratio of a base, owed by one party to another
    waterfall      19   a profit that runs down a ladder of tiers
    commitment     20   a spend that was promised
    stake          21   who owns how much of a company
    statement      22   periods, closing, rounding's scale, exchange rates

Amounts are in whole units of the document's currency, exactly. What public sources leave open
(does a cap count what was recouped, of what is it measured, what becomes of a capped party's
share, …) is a field without a default.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.conditions import ALWAYS, Condition
from entente.agreement.values import Day, Exact, Name, When

Span: TypeAlias = Literal["month", "quarter", "year"]
"""A stretch of the calendar, in the document's zone."""
Form: TypeAlias = Literal["cash", "credit"]
Since: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=r"^(inception|\d{4}-\d{2}-\d{2})$", description="`inception`, or a day."),
]
Basis: TypeAlias = Literal["outstanding", "as_converted", "as_converted_diluted"]
"""What of a cap table counts: shares as they are; preferred as if converted; and, on top of
that, warrants, options and promised shares as if they were there."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a clause, without an id."""


# 14


class Contribution(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a party gives or has promised to give (sources 1.4 and 1.7, for example).

    What was really given comes from the log (`Contributed`), and counts as `funded`.
    """

    party: Name
    """Who contributes."""
    to: Name
    """Who receives it."""
    committed: Exact
    """What was promised in all."""
    form: Form
    """Cash, or credit for services. A tranche in both forms is two clauses."""
    cap_multiple: Exact | None = None
    """The most that this tranche may return, as a multiple of it: 20, 6."""


class Counted(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount that follows from contributions; everything in it has to be said."""

    contributions: tuple[Name, ...]
    """Ids of `contribution` clauses."""
    counted: Literal["committed", "funded"]
    """What was promised, or what the log says was given by then."""
    forms: tuple[Form, ...]
    """Which forms count."""
    times: Exact | None
    """The multiple: 1 for recouping; null takes each contribution's own `cap_multiple`."""


# 15, 16


class Meter(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which measured facts count, and which number of them."""

    when: Condition = ALWAYS
    """About the attributes of a measured fact: model, provider, target, key, surface, …"""
    counts: Name
    """`amount` (money), `requests`, or a quantity: `input`, `output`, `cache_read`, …,
    `input_total`, `output_total`, `tokens`."""


class RateTier(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a rate."""

    up_to: Exact | None = None
    """The quantity at which it ends; none for the last."""
    price: Exact
    """Units of currency for `per` of the meter's quantity."""


class Rate(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price for what a meter counts. A change of price is an amendment.

    Where the meter counts `amount`, a price per 1 of `"0.85"` is a discount of 15 %.
    """

    meter: Name
    payer: Name
    payee: Name
    per: Exact
    """The quantity that the price is for: 1, or 1_000_000 tokens."""
    mode: Literal["graduated", "volume"]
    """Each step for the quantity in it, or the whole quantity by the step that it reaches."""
    resets: Span | Literal["never"]
    """When counting towards the steps begins anew."""
    tiers: tuple[RateTier, ...]
    netting: Name | None = None
    """Amounts of one netting set between the same two parties are paid as one."""


# 17


class Bundle(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a bundled price belongs to the base (source 4.10, for example)."""

    when: Condition
    """Which facts are sold as this bundle."""
    components: dict[Name, Exact]
    """Each component with its stand-alone price, or with its declared ratio."""
    by: Literal["stand_alone_price", "declared"]
    """Prices are compared with one another; declared ratios have to sum to 1."""
    counts: tuple[Name, ...]
    """The components that belong to the base."""


class Base(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount of money of a period that other clauses build on: revenue, profit, spend.

    A fact that fits none of its bundles counts whole.
    """

    owner: Name
    """Whose revenue or profit it is."""
    when: Condition
    """Which measured amounts it adds up."""
    measure: Literal["gross", "net"]
    less: Condition | None = None
    """Which measured amounts are taken off (refunds, costs). Required when net."""
    bundles: tuple[Bundle, ...] = ()
    """The first one that fits a fact decides."""

    def __post_init__(self) -> None:
        """Hold `measure` and `less` together."""
        if (self.measure == "net") != (self.less is not None):
            message = "a net base says what it is `less`; a gross one has no `less`"
            raise ValueError(message)


# 18


class ShareCap(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a share comes to in all (G5)."""

    total: Exact
    counts_from: Since
    """Since the clause first held, or since a day; public sources do not say."""


class Deferral(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some of what accrues is paid later (source 2.15). Exactly one of the first two."""

    pay_ratio: Exact | None = None
    """This much of what accrues is paid at once."""
    pay_max: Exact | None = None
    """At most this is paid in each `each`, of what accrued then or is still deferred."""
    each: Span | None = None
    """Required with `pay_max`."""
    released: When | None = None
    """From when everything that is deferred is due; none: when another clause says so."""

    def __post_init__(self) -> None:
        """Hold the fields together."""
        if (self.pay_ratio is None) == (self.pay_max is None):
            message = "a deferral takes either pay_ratio or pay_max"
            raise ValueError(message)
        if (self.pay_max is None) != (self.each is None):
            message = "`each` (month, quarter, year) belongs to pay_max"
            raise ValueError(message)


class LaterRatio(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another ratio from a day on."""

    effective: When
    ratio: Exact


class Share(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ratio of a base that one party owes another, while the clause holds."""

    payer: Name
    payee: Name
    ratio: Exact
    later: tuple[LaterRatio, ...] = ()
    """In order of time."""
    base: Name
    cap: ShareCap | None = None
    defer: Deferral | None = None
    netting: Name | None = None


# 19


class Growth(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cap that grows by `rate` on a day and on each of its anniversaries."""

    rate: Exact
    """`20%` is a fifth more each time."""
    starts: Day


class Limit(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a party goes in a tier: an amount, or what follows from contributions."""

    amount: Exact | None = None
    of: Counted | None = None
    measured_on: Literal["payouts", "company_profit"]
    """What the party received, or what the company earned: published accounts differ."""
    counts_from: Name
    """`inception`, or the id of the tier since which it counts."""
    growth: Growth | None = None

    def __post_init__(self) -> None:
        """Take one of the two."""
        if (self.amount is None) == (self.of is None):
            message = "a limit takes either an amount or `of` contributions"
            raise ValueError(message)


class OnCap(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the share of a party that has reached its limit; exactly one."""

    revert_to: Name | None = None
    """It goes to this party, while the tier goes on."""
    redistribute: Literal["pro_rata"] | None = None
    """It goes to the others in the tier, in proportion to their shares."""
    next_tier: bool | None = None
    """The tier ends for everybody."""

    def __post_init__(self) -> None:
        """Take one of the three."""
        given = (self.revert_to, self.redistribute, self.next_tier or None)
        if sum(each is not None for each in given) != 1:
            message = "on_cap takes exactly one of revert_to, redistribute and next_tier: true"
            raise ValueError(message)


class Tier(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a ladder. It ends when all of its limits are reached; without any, never."""

    id: Name
    split: dict[Name, Exact]
    """Each party's share; they sum to 1. Units that rounding leaves go to the first ones."""
    until: dict[Name, Limit] = {}
    """By party, which has a share in `split`."""
    on_cap: OnCap | None = None
    """Required with more than one limit, as then one is reached before the other."""

    def __post_init__(self) -> None:
        """Ask for what would be guessed otherwise."""
        if len(self.until) > 1 and self.on_cap is None:
            message = (
                f"tier {self.id} has several limits and no `on_cap`: say what becomes of the "
                "share of the one that is reached first"
            )
            raise ValueError(message)


class Waterfall(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A profit that is paid out tier after tier, by what has been paid since inception."""

    payer: Name
    """Who earns and pays it out."""
    base: Name
    """The profit."""
    tiers: tuple[Tier, ...]
    netting: Name | None = None


# 20


class Step(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be spent in a stretch of time."""

    begins: Day
    before: Day
    """The first day that is no longer in it."""
    amount: Exact


class Commitment(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A spend that a buyer has promised (source 2.16, for example)."""

    buyer: Name
    seller: Name
    total: Exact
    incremental: bool = False
    """On top of what was promised before; for who reads it."""
    eligible: Name
    """The base whose amounts draw it down."""
    schedule: tuple[Step, ...] = ()
    """In order of time, without overlaps. Without it the total is due by the clause's end."""
    shortfall: Literal["true_up", "rollover", "none"]
    """What was not spent in a step: is paid, is added to the next step, or is forgiven."""
    at_end: Literal["true_up", "none"] | None = None
    """What becomes of what the last step leaves. Required with rollover."""
    excess: Literal["carries", "lapses"] | None = None
    """Whether spending above a step counts towards the next. Required with a schedule."""
    netting: Name | None = None

    def __post_init__(self) -> None:
        """Hold the fields together."""
        if (self.shortfall == "rollover") != (self.at_end is not None):
            message = "`at_end` (true_up or none) belongs to `shortfall: rollover`"
            raise ValueError(message)
        if bool(self.schedule) != (self.excess is not None):
            message = "`excess` (carries or lapses) belongs to a schedule"
            raise ValueError(message)


# 21


class Security(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of paper in a company."""

    converts: Exact
    """Common shares for one of it."""
    counts_in: tuple[Basis, ...]
    """On which bases it counts at all."""


class Holding(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of a security a party has at first; later comes from the log (`Issued`)."""

    holder: Name
    security: Name
    units: Exact


class Stake(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company's cap table (source 2.3, for example): holdings, then what the log adds."""

    company: Name
    basis: Basis
    """On which shares of the company are stated."""
    securities: dict[Name, Security]
    holdings: tuple[Holding, ...]
    whole: Exact | None = None
    """What the holdings have to come to on the basis: 100 for a table of percentages."""
    valuation: Exact | None = None
    """Of the whole company."""


# 22


class Exchange(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How amounts in other currencies are turned into the document's."""

    source: str
    """Whose rates: for people; the rates come from the log (`Quoted`)."""
    rate_of: Literal["fact", "period_end"]
    """The last rate at the instant of the fact, or at the end of its period."""


class Statement(Clause, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the parties account to one another."""

    parties: tuple[Name, ...]
    period: Span
    close_lag_days: int
    """Days behind a period's end during which facts of it still come in. Later ones are
    adjustments in the period that is open then."""
    dispute_days: int = 0
    """Days behind the close during which a party may object; printed on the statement."""
    netting: tuple[Name, ...] = ()
    """Netting sets: amounts in one set between the same two parties are paid as one."""
    exchange: Exchange | None = None
    """Required when something is measured in another currency."""


class Header(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the whole document goes by."""

    id: Name
    currency: Name
    """`USD`; what measured facts call their asset."""
    scale: int
    """Decimal places of what is paid: 2 for cents, 9 at most."""
    rounding: Literal["floor_then_first"]
    """Round down; units that are left go to the earliest payees."""
    zone: str
    """`UTC`, `Europe/Berlin`: where days begin."""
    title: str = ""


class MoneyClauses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lists of a document that `settle` reads; `Agreement` has them by inheritance."""

    contributions: tuple[Contribution, ...] = ()
    meters: tuple[Meter, ...] = ()
    rates: tuple[Rate, ...] = ()
    bases: tuple[Base, ...] = ()
    shares: tuple[Share, ...] = ()
    waterfalls: tuple[Waterfall, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    stakes: tuple[Stake, ...] = ()
    statements: tuple[Statement, ...] = ()
