"""What became of a request, gathered on its way and turned into its settlement."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from entente.domain.chat import Status
from entente.domain.errors import (
    EntenteError,
    RequestError,
    UpstreamBusy,
    UpstreamConnectError,
    UpstreamRefused,
)
from entente.domain.usage import NOTHING, Usage
from entente.gateway.pricing import Charge, Quote
from entente.ledger.model import Hold, Settlement, settlement
from entente.ledger.sales import implied
from entente.metering.bounds import Bound
from entente.metering.tariffs import STANDARD
from entente.routing.catalog import Target, not_sent

NOTHING_SENT: Final = (UpstreamConnectError, UpstreamBusy, UpstreamRefused, RequestError)
"""Errors after which the provider cannot have used anything."""
_TIER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Outcome:
    """How a request ends: one status, and a usage that is reported, known or estimated.

    Before a provider is asked nothing was used; from then on, until more is known, all
    that the hold was for.
    """

    __slots__ = (
        "attempts",
        "bound",
        "estimated",
        "service_tier",
        "status",
        "target",
        "upstream_id",
        "upstream_status",
        "usage",
    )

    def __init__(self, bound: Bound) -> None:
        """Start before anything is sent."""
        self.bound = bound
        self.status = Status.FAILED
        self.usage: Usage = NOTHING
        self.estimated = False
        self.target: Target | None = None
        self.attempts = 0
        self.upstream_status = 0
        self.upstream_id = ""
        self.service_tier = ""
        """As the provider reported it."""

    def asked(self, target: Target) -> None:
        """Note that a provider is being sent the request."""
        self.target = target
        self.attempts += 1
        self.upstream_status = 0
        self.upstream_id = ""
        self.estimate(self.bound.as_usage())

    def refused(self, status: int) -> None:
        """Note that the provider answered with an error, which costs nothing."""
        self.upstream_status = status
        self.known(NOTHING)

    def failed(self, error: EntenteError) -> None:
        """Note an error; where nothing was sent, nothing was used.

        An answer that broke off keeps that status, though its client is told nothing.
        """
        if self.status is not Status.TRUNCATED:
            self.status = Status.FAILED
        if not_sent(error) or isinstance(error, NOTHING_SENT):
            self.known(NOTHING)

    def served(self, tier: str) -> None:
        """Note the tier that the provider names; what is no name of one is kept nowhere."""
        self.service_tier = tier if _TIER.fullmatch(tier) else ""

    def known(self, usage: Usage) -> None:
        """Take a usage as the truth."""
        self.usage = usage
        self.estimated = False

    def estimate(self, usage: Usage) -> None:
        """Take a usage as an upper bound."""
        self.usage = usage
        self.estimated = True

    def report(self, usage: Usage | None, output_tokens_bound: int) -> None:
        """Take what the provider reported, or else a bound of what it sent."""
        if usage is not None:
            self.known(usage)
        else:
            output = max(0, min(output_tokens_bound, self.bound.output_tokens))
            self.estimate(self.bound.as_usage(output))


def closing(
    opened: Hold, outcome: Outcome, quote: Quote, *, status: Status, at_ns: int
) -> Settlement:
    """Make the entry that closes a hold.

    Usage of a class without a rate has no known cost. Under a hard budget, which must
    not give away what it cannot count, it costs what was held.
    """
    usage, target = outcome.usage, outcome.target
    tier = outcome.service_tier
    charge = quote.charge(usage, target, served=tier, estimated=outcome.estimated)
    unknown = charge.nano is None and opened.guarded
    if unknown:
        held = implied(opened.price_factor, opened.rates, opened.asset, opened.nano)
        charge = Charge(opened.nano, held)
    entry = settlement(
        opened,
        at_ns=at_ns,
        status=status,
        usage=usage,
        cost_nano=charge.nano,
        provider=target.provider if target else "",
        target=str(target) if target else "",
        attempts=outcome.attempts,
        upstream_status=outcome.upstream_status,
        upstream_id=outcome.upstream_id,
        estimated=outcome.estimated or unknown,
        sale=charge.sale,
    )
    usual = not tier or (tier in STANDARD and opened.origin.service_tier in ("", tier))
    return entry if usual else msgspec.structs.replace(entry, service_tier=tier)
