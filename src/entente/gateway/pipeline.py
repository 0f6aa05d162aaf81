"""One request, from principal to settlement.

    policy -> agreement -> hold -> route -> dispatch -> relay -> settle -> last bytes

The hold is durable before a provider is asked, the settlement before the client gets the
last byte. There is one place that settles: the `finally` of `Gateway.chat`. Settling is a
plain call that puts the entry in line, so no cancellation can come between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import (
    EntenteError,
    InvalidParameter,
    LedgerError,
    ModelNotFound,
    ModelRetired,
    RequestError,
    UpstreamError,
    UpstreamRefused,
)
from entente.domain.ids import NowNs
from entente.domain.origin import Origin
from entente.domain.principal import Principal
from entente.domain.rules import Unit
from entente.domain.usage import NOTHING
from entente.gateway.agreed import Agreed, Allowed, marked, stateful
from entente.gateway.client import Client
from entente.gateway.origin import origin_of
from entente.gateway.outcome import Outcome, closing
from entente.gateway.passage import adapted, way_to
from entente.gateway.pricing import Pricing, Quote
from entente.gateway.relay import Reached, Reply, Tail, finish, relay
from entente.gateway.ruling import Ruling, ruling_of
from entente.gateway.sides import Made
from entente.ledger.ledger import Ledger
from entente.ledger.meters import read_meter
from entente.ledger.model import Hold, Settlement, hold
from entente.metering.bounds import Bound, bound
from entente.policy.access import may_use
from entente.policy.rules import RuleBook
from entente.providers.base import Answer, Ask, Provider
from entente.routing.catalog import Catalog, Model, Target, plan, retriable, retriable_status
from entente.telemetry.metrics import Monitor

NS_PER_S: Final = 1_000_000_000
UPSTREAM_ID_CHARS_MAX: Final = 128
_ID_HEADERS: Final = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"apim-request-id")


class Gateway:
    """Serves calls: the use case behind every surface."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        prices: Pricing,
        rules: Callable[[], RuleBook],
        ledger: Ledger,
        monitor: Monitor,
        now_ns: NowNs,
        agreed: Agreed | None = None,
    ) -> None:
        """Take the parts, all made and owned by `app`."""
        self._catalog = catalog
        self._providers = providers
        self._prices = prices
        self._rules = rules
        self._ledger = ledger
        self._monitor = monitor
        self._now_ns = now_ns
        self._agreed = agreed

    async def chat(
        self,
        who: Principal,
        call: Call,
        request_id: str,
        client: Client,
        on_held: Callable[[], None] | None = None,
        *,
        price_factor: Fraction | None = None,
    ) -> Settlement:
        """Serve a call, of whichever surface, unary or streamed, to its settlement.

        `on_held` is called once nothing of ours stands against the call any more.
        `price_factor` is the part of the model's price that the key is charged, if not all.
        Raises an EntenteError only while nothing has been sent to the client.
        """
        model = self._model(who, call)
        allowed = self._allowed(who, call, model)
        targets = plan(model) if allowed is None else allowed.targets
        origin = origin_of(who, call)
        ruling = ruling_of(self._rules(), who, model.name, origin, call.quota)
        quote = self._quote(who, call, model, targets, ruling, price_factor)
        cap = _cap(model, call) if ruling.guarded else None
        most = bound(
            call,
            output_tokens_max=model.output_tokens_max if cap is None else cap,
            attachment_tokens_max=model.attachment_tokens_max,
            context_tokens=model.context_tokens,
            audio_s_max=model.audio_s_max,
        )
        opened = quote.marked(self._make_hold(who, model, quote, most, request_id, origin, ruling))
        await self._ledger.hold(opened)
        stands = ruling.standings(opened, self._ledger.standing)
        outcome = Outcome(most)
        error: EntenteError | None = None
        last: Reply | Tail | None = None
        try:
            if on_held is not None:
                on_held()
            reached = await self._ask(call, model, targets, cap, request_id, outcome)
            try:
                made = Made(request_id, opened.at_ns)
                last = await relay(call, made, reached, stands, outcome, client)
            finally:
                await reached.answer.aclose()
        except (UpstreamError, RequestError) as failure:
            error = failure
            outcome.failed(failure)
        except asyncio.CancelledError:
            outcome.status = Status.CANCELLED
            raise
        finally:
            entry = self._settlement(opened, outcome, quote, client)
            entry = marked(entry, allowed, outcome.target)
            settled = self._ledger.settle(entry)
            self._count(opened, entry)
        try:
            await settled
        except LedgerError as failure:
            if error is not None or not isinstance(last, Tail):
                raise
            last = last._replace(data=last.fail(failure))
        if error is not None:
            raise error
        await finish(client, last)
        return entry

    def targets(self, who: Principal, call: Call) -> tuple[Model, tuple[Target, ...]]:
        """Say which model a call asks, and where it may go. Raises as `chat` does before that."""
        model = self._model(who, call)
        allowed = self._allowed(who, call, model)
        return model, plan(model) if allowed is None else allowed.targets

    async def count(self, who: Principal, call: Call, model: Model) -> None:
        """Count a request that uses nothing among those of its limits. Raises LimitError."""
        ruling = ruling_of(self._rules(), who, model.name, origin_of(who, call), call.quota)
        now_ns = self._now_ns()
        drawn = ruling.draws(now_ns, tokens=0, nano=0, asset="")
        draws = tuple(draw for draw in drawn if read_meter(draw.meter).unit is Unit.REQUESTS)
        self._ledger.used(await self._ledger.admit(draws, model.name, now_ns), NOTHING)

    def _model(self, who: Principal, call: Call) -> Model:
        """Find the model; one that the principal may not use does not exist for it."""
        model = self._catalog.get(call.model)
        if model is None or not may_use(who, model.name):
            raise ModelNotFound(call.model)
        if model.is_retired(self._now_ns()):
            raise ModelRetired(call.model)
        return model

    def _allowed(self, who: Principal, call: Call, model: Model) -> Allowed | None:
        """Ask the agreement, where there is one. Raises AgreementForbids."""
        if self._agreed is None:
            return None
        now_ns = self._now_ns()
        return self._agreed.allow(who, model, call.surface, stateful=stateful(call), at_ns=now_ns)

    def _quote(
        self,
        who: Principal,
        call: Call,
        model: Model,
        targets: tuple[Target, ...],
        ruling: Ruling,
        part: Fraction | None,
    ) -> Quote:
        """Price the call: from here until it is settled."""
        return self._prices.quote(
            who,
            model,
            targets,
            at_ns=self._now_ns(),
            asset=ruling.asset,
            tier=call.service_tier,
            part=part,
        )

    def _make_hold(
        self,
        who: Principal,
        model: Model,
        quote: Quote,
        most: Bound,
        request_id: str,
        origin: Origin,
        ruling: Ruling,
    ) -> Hold:
        """Make the hold: the most that the call can cost. Raises Unpriced."""
        nano = quote.bound(most)
        if nano is None and ruling.guarded:
            self._ledger.unpriced(model.name)
        ruling.check(model.name, None if nano is None else quote.asset)
        now_ns = self._now_ns()
        return hold(
            id=request_id,
            at_ns=now_ns,
            key=who.key_id,
            asset=quote.asset,
            model=model.name,
            nano=nano or 0,
            bounded=who.budgeted,
            input_tokens=most.input_tokens,
            output_tokens=most.output_tokens,
            prices=quote.version,
            priced=nano is not None,
            origin=origin,
            draws=ruling.draws(now_ns, tokens=most.total, nano=nano or 0, asset=quote.asset),
        )

    async def _ask(
        self,
        call: Call,
        model: Model,
        targets: tuple[Target, ...],
        output_tokens_max: int | None,
        request_id: str,
        outcome: Outcome,
    ) -> Reached:
        """Ask one target after the other until one answers for good."""
        last = len(targets) - 1
        for number, target in enumerate(targets):
            provider = self._providers[target.provider]
            try:
                way = way_to(provider, call)
                written = way.request(
                    call,
                    model=target.model,
                    output_tokens_max=output_tokens_max,
                    on_loss=model.on_loss,
                )
                if provider.quirks is not None and way.surface is Surface.CHAT:
                    written = adapted(
                        written, provider.quirks, target.provider, model.on_loss, call=call
                    )
            except InvalidParameter:
                if number == last:
                    raise
                continue  # it cannot be said to this target; the next may understand it
            ask = Ask(
                surface=way.surface,
                model=target.model,
                body=written.body,
                stream=call.stream,
                choices=call.choices,
                request_id=request_id,
                headers=way.headers(call),
                content_type=call.content_type,
            )
            outcome.asked(target)
            try:
                answer = await provider.open(ask)
            except UpstreamError as error:
                outcome.attempts += error.sends - 1
                if number == last or not retriable(error):
                    raise
                self._monitor.failed_over(str(target))
                continue
            outcome.attempts += answer.sends - 1
            outcome.upstream_status = answer.status
            outcome.upstream_id = _request_id(answer)
            if answer.status in (401, 403):
                await answer.aclose()
                raise UpstreamRefused(_refused(target, answer.status, provider.credentials))
            if number == last or not retriable_status(answer.status):
                return Reached(answer, way, written.dropped)
            outcome.refused(answer.status)
            await answer.aclose()
            self._monitor.failed_over(str(target))
        message = "The model has no target."
        raise UpstreamError(message)

    def _settlement(
        self, opened: Hold, outcome: Outcome, quote: Quote, client: Client
    ) -> Settlement:
        """Make the entry that closes the request; from here on it is not cut any more."""
        client.decide()
        status = outcome.status
        if client.gone and status is not Status.FAILED:
            status = Status.CANCELLED
        return closing(opened, outcome, quote, status=status, at_ns=self._now_ns())

    def _count(self, opened: Hold, entry: Settlement) -> None:
        """Tell the monitor of a settled request."""
        self._monitor.settled(
            entry.model,
            entry.status,
            entry.usage,
            estimated=entry.estimated,
            duration_s=(entry.at_ns - opened.at_ns) / NS_PER_S,
        )


def _cap(model: Model, call: Call) -> int:
    """Give the bound on output tokens that is set where the client sets none."""
    usual = call.output_tokens_usual
    return model.output_tokens_max if usual is None else min(usual, model.output_tokens_max)


def _request_id(answer: Answer) -> str:
    """Give the provider's own id of the request, "" where it says none."""
    for name in _ID_HEADERS:
        if name in answer.headers:
            return answer.headers[name][:UPSTREAM_ID_CHARS_MAX].decode("latin-1")
    return ""


def _refused(target: Target, status: int, settings: tuple[str, ...]) -> str:
    """Say that our credentials are wrong, in words that do not blame the client's key."""
    *some, last = (f"providers.{target.provider}.{setting}" for setting in settings)
    named = f"{', '.join(some)} and {last}" if some else last
    return (
        f"The provider `{target.provider}` answered {status} to the credentials that the gateway "
        f"has for it. An administrator must correct {named}."
    )
