"""What the ledger is made of: accounts, postings and the kinds of entry.

Accounts of a key are `available:KEY` and `held:KEY`; a provider is owed what stands on
`payable:PROVIDER`; budgets are granted from `funding`. A posting moves an amount from
one account to another, so it cannot be out of balance. An entry is a fact with its
postings, and is never changed:

    Grant        funding          -> available:KEY      a budget, or a correction of one
    Hold         available:KEY    -> held:KEY           the most that a request can cost
    Settlement   held:KEY         -> payable:PROVIDER   what it did cost
                 held:KEY         -> available:KEY      and what is left of the hold
                 held:KEY         -> revenue:markup     what the key pays above that
                 discount         -> payable:PROVIDER   what it pays below
    Adjustment   adjustments      -> payable:PROVIDER   what a provider's invoice has more,
                                                        or, the other way, less

What a provider asks in another asset than the key is charged in goes through `exchange`: the
key's amount into it, the provider's out of it, at the rate that the entry names.

A key without a hard budget has holds that are not `bounded`: its `available` account may
go below zero and shows what was spent so far.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final, TypeAlias

import msgspec

from entente.domain.chat import Status
from entente.domain.origin import USUAL, Origin
from entente.domain.usage import Usage
from entente.ledger.meters import SPEND, Draw
from entente.ledger.sales import Sale, implied, moves

FUNDING = "funding"
ADJUSTMENTS: Final = "adjustments"
NAMES_KEPT_MAX: Final = 4096
"""Names of accounts that are not written anew each time."""


@lru_cache(NAMES_KEPT_MAX)
def available(key: str) -> str:
    """Name the account of what a key may still spend."""
    return f"available:{key}"


@lru_cache(NAMES_KEPT_MAX)
def held(key: str) -> str:
    """Name the account of a key's open holds."""
    return f"held:{key}"


@lru_cache(NAMES_KEPT_MAX)
def payable(provider: str) -> str:
    """Name the account of what a provider is owed."""
    return f"payable:{provider}"


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Move `nano` nano-units (above zero) of `asset` from one account to another."""

    source: str
    destination: str
    nano: int
    asset: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all entries have. `id` is unique among the entries of its kind."""

    idempotency_prefix: ClassVar[str] = ""

    id: str
    at_ns: int
    key: str
    asset: str
    postings: tuple[Posting, ...] = ()

    @property
    def idempotency_key(self) -> str:
        """The name under which this entry can be in the journal once only."""
        return f"{self.idempotency_prefix}:{self.id}"


class Grant(Entry, frozen=True, kw_only=True, tag="grant"):
    """A key's budget grows, or, by a negative amount, shrinks."""

    idempotency_prefix: ClassVar[str] = "grant"

    nano: int
    actor: str
    note: str = ""


class Hold(Entry, frozen=True, kw_only=True, tag="hold"):
    """A request may cost up to `nano`. `id` is the request's id.

    `input_tokens` and `output_tokens` are the bounds that the amount was computed from.
    Without a price the amount is zero and what the request costs stays unknown.
    """

    idempotency_prefix: ClassVar[str] = "hold"

    model: str
    nano: int
    bounded: bool = False
    priced: bool = True
    input_tokens: int = 0
    output_tokens: int = 0
    prices: str = ""
    price_factor: str = ""
    """The part of the price that the key is charged, such as `1/2`; empty for all of it."""
    rates: tuple[str, ...] = ()
    """Rates of exchange that its amount may be made with, where prices are in another asset."""
    origin: Origin = USUAL
    draws: tuple[Draw, ...] = ()
    """What it takes from the meters of rules."""

    @property
    def guarded(self) -> bool:
        """A hard budget, of the key or by a rule, stands behind it: its cost must be known."""
        return self.bounded or any(
            draw.limit is not None and draw.meter.startswith(SPEND) for draw in self.draws
        )


class Settlement(Entry, frozen=True, kw_only=True, tag="settle"):
    """How a request ended and what it cost. `id` is the request's id.

    `cost_nano` is what the key is charged, None when the model has no price. `estimated`
    marks token counts that are an upper bound because the provider did not report them;
    `recovered` marks a settlement made at the next start for a request that a crash cut off.
    """

    idempotency_prefix: ClassVar[str] = "settle"

    model: str
    status: Status
    usage: Usage
    cost_nano: int | None
    target: str = ""
    """`provider/model` that answered last; empty when none was reached."""
    attempts: int = 0
    """Calls sent to providers."""
    upstream_status: int = 0
    upstream_id: str = ""
    estimated: bool = False
    recovered: bool = False
    prices: str = ""
    """Version of the price book."""
    agreement: str = ""
    """SHA-256 of the agreement's version that the request was decided by, where there is one."""
    clauses: tuple[str, ...] = ()
    """Clauses of it that have a say in what was allowed, or, where it only reports, bar it."""
    surface: str = ""
    """What kind of use the agreement took it for."""
    project: str = ""
    """Whose request it was, where an agreement may ask."""
    price_factor: str = ""
    """As in the hold."""
    owed_nano: int | None = None
    """What the provider is owed, where it is not what the key is charged."""
    owed_asset: str = ""
    """Of that amount; empty where there is none."""
    rate: str = ""
    """The rate of exchange between the two, as `domain.exchange` names it."""
    service_tier: str = ""
    """The tier that the provider says it was served in; empty for none, for the one that was asked
    for where that is the usual one, and for the usual one where none was."""
    origin: Origin = USUAL
    """As in the hold."""

    @property
    def owed(self) -> tuple[int | None, str]:
        """What the provider is owed, and in which asset; None where that is unknown."""
        if self.owed_asset:
            return self.owed_nano, self.owed_asset
        return self.cost_nano, self.asset


class Adjustment(Entry, frozen=True, kw_only=True, tag="adjust"):
    """What is owed to a provider changes, so that it agrees with the provider's invoice.

    No key is charged: `key` is empty, and what keys have spent stays as it was settled.
    """

    idempotency_prefix: ClassVar[str] = "adjust"

    provider: str
    nano: int
    """What is owed grows, or, by a negative amount, shrinks."""
    since_ns: int
    until_ns: int
    """The time that was compared: from `since_ns` to just before `until_ns`."""
    parts: dict[str, int] = {}
    """The amount by what explains it."""
    reference: str = ""
    """SHA-256 of what it was compared with."""
    actor: str
    note: str = ""


AnyEntry: TypeAlias = Grant | Hold | Settlement | Adjustment


def grant(
    *, id: str, at_ns: int, key: str, asset: str, nano: int, actor: str, note: str = ""
) -> Grant:
    """Make the entry that changes a key's budget by `nano`, which may be negative."""
    source, destination = (FUNDING, available(key)) if nano > 0 else (available(key), FUNDING)
    moved = Posting(source, destination, abs(nano), asset)
    return Grant(
        id=id,
        at_ns=at_ns,
        key=key,
        asset=asset,
        nano=nano,
        actor=actor,
        note=note,
        postings=(moved,) if nano else (),
    )


def adjustment(
    *,
    id: str,
    at_ns: int,
    provider: str,
    asset: str,
    nano: int,
    since_ns: int,
    until_ns: int,
    parts: dict[str, int],
    reference: str,
    actor: str,
    note: str = "",
) -> Adjustment:
    """Make the entry by which `nano` more, or less where it is negative, is owed to a provider."""
    owed = payable(provider)
    source, destination = (ADJUSTMENTS, owed) if nano > 0 else (owed, ADJUSTMENTS)
    return Adjustment(
        id=id,
        at_ns=at_ns,
        key="",
        asset=asset,
        provider=provider,
        nano=nano,
        since_ns=since_ns,
        until_ns=until_ns,
        parts=parts,
        reference=reference,
        actor=actor,
        note=note,
        postings=(Posting(source, destination, abs(nano), asset),) if nano else (),
    )


def hold(
    *,
    id: str,
    at_ns: int,
    key: str,
    asset: str,
    model: str,
    nano: int,
    bounded: bool,
    input_tokens: int,
    output_tokens: int,
    prices: str,
    priced: bool = True,
    origin: Origin = USUAL,
    draws: tuple[Draw, ...] = (),
) -> Hold:
    """Make the entry that sets aside `nano` (zero or more) for a request."""
    return Hold(
        id=id,
        at_ns=at_ns,
        key=key,
        asset=asset,
        model=model,
        nano=nano,
        bounded=bounded,
        priced=priced,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        prices=prices,
        origin=origin,
        draws=draws,
        postings=(Posting(available(key), held(key), nano, asset),) if nano else (),
    )


def settlement(
    opened: Hold,
    *,
    at_ns: int,
    status: Status,
    usage: Usage,
    cost_nano: int | None,
    provider: str = "",
    target: str = "",
    attempts: int = 0,
    upstream_status: int = 0,
    upstream_id: str = "",
    estimated: bool = False,
    recovered: bool = False,
    sale: Sale | None = None,
) -> Settlement:
    """Make the entry that closes a hold: the cost to the provider, the rest back.

    A cost above the hold, which only a provider that ignores its token bound can cause,
    is taken from the key's available amount as well. `sale` says what the provider is owed
    where that is not the cost.
    """
    cost, asset = cost_nano or 0, opened.asset
    free, kept, owed = available(opened.key), held(opened.key), payable(provider)
    from_hold = min(cost, opened.nano)
    postings: tuple[Posting, ...] = ()
    if sale is not None:
        postings = _sold(opened, cost, sale, owed)
    else:
        if from_hold:
            postings += (Posting(kept, owed, from_hold, asset),)
        if cost > from_hold:
            postings += (Posting(free, owed, cost - from_hold, asset),)
    if opened.nano > from_hold:
        postings += (Posting(kept, free, opened.nano - from_hold, asset),)
    entry = Settlement(  # not a keyword more: past 15 Python gathers them in a dictionary
        id=opened.id,
        at_ns=at_ns,
        key=opened.key,
        asset=asset,
        model=opened.model,
        status=status,
        usage=usage,
        cost_nano=cost_nano,
        target=target,
        attempts=attempts,
        upstream_status=upstream_status,
        upstream_id=upstream_id,
        estimated=estimated,
        prices=opened.prices,
        postings=postings,
    )
    if sale is not None:
        entry = msgspec.structs.replace(
            entry, owed_nano=sale.nano, owed_asset=sale.asset, rate=sale.rate
        )
    if recovered or opened.price_factor or opened.origin is not USUAL:
        return msgspec.structs.replace(
            entry,
            recovered=recovered,
            price_factor=opened.price_factor,
            origin=opened.origin,
        )
    return entry


def recovery(opened: Hold, at_ns: int) -> Settlement:
    """Make the entry that closes a hold whose process is gone: at its upper bound, marked."""
    sale = None
    if opened.priced:
        sale = implied(opened.price_factor, opened.rates, opened.asset, opened.nano)
    return settlement(
        opened,
        at_ns=at_ns,
        status=Status.TRUNCATED,
        usage=Usage(input=opened.input_tokens, output=opened.output_tokens),
        cost_nano=opened.nano if opened.priced else None,
        provider="unknown",
        estimated=True,
        recovered=True,
        sale=sale,
    )


def _sold(opened: Hold, cost: int, sale: Sale, owed: str) -> tuple[Posting, ...]:
    """Post a sale: what the key pays comes out of its hold first, then of what is available."""
    postings: list[Posting] = []
    left = opened.nano
    for source, destination, nano, asset in moves(sale, cost, opened.asset, owed):
        if nano <= 0:
            continue
        if source is not None:
            postings.append(Posting(source, destination, nano, asset))
            continue
        from_hold = min(nano, left)
        left -= from_hold
        parts = ((held(opened.key), from_hold), (available(opened.key), nano - from_hold))
        postings += [Posting(each, destination, part, asset) for each, part in parts if part]
    return tuple(postings)
