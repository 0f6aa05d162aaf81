"""The use case behind realtime sessions: from a principal to two sockets, and their end.

    policy -> hold -> route -> open -> grant -> session -> settle

The first hold is durable before a provider is connected to, so that nothing can begin
there unpaid. Until the client's wish is granted, every refusal is an HTTP answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, TypeAlias

import msgspec

from entente.domain.chat import Status, Surface
from entente.domain.errors import (
    InvalidParameter,
    ModelNotFound,
    UpstreamError,
    UpstreamRefused,
)
from entente.domain.origin import Origin
from entente.domain.principal import Principal
from entente.domain.quota import Quota
from entente.gateway.agreed import Allowed
from entente.gateway.pricing import Pricing, Quote
from entente.gateway.reserve import Accounts, Reserve, Terms
from entente.gateway.ruling import ruling_of
from entente.gateway.session import Around, Bounds, Session
from entente.metering.bounds import Bound
from entente.net import Declined, Socket
from entente.policy.access import may_use
from entente.providers.base import Provider, RealtimeProvider, SessionAsk
from entente.routing.catalog import Catalog, Model, Target, plan, retriable_status
from entente.wire import openai_realtime as events

CONTEXT_TOKENS_DEFAULT: Final = 131_072
"""What a session can hold at most, of models whose `context_tokens` is not configured."""
VENDOR_OUTPUT_TOKENS_MAX: Final = 4096
"""The largest bound that a client can set; a model's own may be larger."""

Pay: TypeAlias = Callable[[Terms], Reserve]
"""Gives what pays for the session on these terms."""


class SessionCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for when it opens a session."""

    id: str
    model: str
    quota: Quota | None = None
    """What the deployment that was named allows."""
    transcribes: bool = False
    beta: str | None = None
    """What it says in `OpenAI-Beta`."""
    session: bytes | None = None
    """The configuration that its key is bound to, as JSON."""
    tags: tuple[str, ...] = ()
    """What the client puts the session down to."""


class Realtime:
    """Serves sessions."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        prices: Pricing,
        accounts: Accounts,
        holder: Callable[[str], Principal | None],
        stopping: Callable[[], bool],
        bounds: Bounds,
    ) -> None:
        """Take the parts, all made and owned by `app`; see `Around` for those that ask."""
        self._catalog = catalog
        self._providers = providers
        self._prices = prices
        self._accounts = accounts
        self._holder = holder
        self._stopping = stopping
        self._bounds = bounds
        self.sessions = 0
        """Sessions that are open now."""

    async def serve(
        self, who: Principal, call: SessionCall, grant: Callable[[], Socket]
    ) -> Declined | None:
        """Serve a session to its last settlement; or give the answer of who declined it.

        `grant` changes the client's connection over. Raises an EntenteError only before.
        """
        model = self.find(who, call.model)
        allowed = self._allowed(who, model)
        targets = self._targets(model, allowed)
        numbers = count(1)

        def pay(terms: Terms) -> Reserve:
            put_down = msgspec.structs.replace(terms, tags=call.tags)
            return Reserve(self._accounts, put_down, who, lambda: f"{call.id}.{next(numbers)}")

        reserve = pay(self._terms(who, model, [target for target, _ in targets], call.quota))
        reserve.allowed = allowed
        reserve.check()
        try:
            await reserve.ready()
            opened, target = await self._open(targets, call)
            if isinstance(opened, Declined):
                return opened
            reserve.target = target
            try:
                client = grant()
                await self._converse(client, opened, reserve, pay, model, call)
            finally:
                opened.abort()
        finally:
            settled = reserve.close(Status.CANCELLED)
        await asyncio.gather(*settled)
        return None

    def check(self, who: Principal, name: str) -> None:
        """Refuse a model of which the principal cannot have a session."""
        model = self.find(who, name)
        self._targets(model, self._allowed(who, model))

    def find(self, who: Principal, name: str) -> Model:
        """Find a model; one that the principal may not use does not exist for it."""
        model = self._catalog.get(name)
        if model is None or not may_use(who, name):
            raise ModelNotFound(name)
        return model

    def _allowed(self, who: Principal, model: Model) -> Allowed | None:
        """Ask the agreement, where there is one. Raises AgreementForbids."""
        agreed = self._accounts.agreed
        if agreed is None:
            return None
        at_ns = self._accounts.now_ns()
        return agreed.allow(who, model, Surface.REALTIME, stateful=True, at_ns=at_ns)

    def _targets(
        self, model: Model, allowed: Allowed | None
    ) -> list[tuple[Target, RealtimeProvider]]:
        """Give the targets of a model that have sessions, and that are allowed."""
        targets = plan(model) if allowed is None else allowed.targets
        able = [(target, self._providers[target.provider]) for target in targets]
        found: list[tuple[Target, RealtimeProvider]] = [
            (target, each) for target, each in able if isinstance(each, RealtimeProvider)
        ]
        if not found:
            message = f'Model "{model.name}" is not supported in realtime mode.'
            raise InvalidParameter(message, param="model", code="invalid_model")
        return found

    def _terms(
        self, who: Principal, model: Model, targets: Sequence[Target], quota: Quota | None = None
    ) -> Terms:
        """Say what a response of a model is paid by: what holds when the session begins."""
        most = Bound(model.context_tokens or CONTEXT_TOKENS_DEFAULT, model.output_tokens_max)
        origin = Origin(api=Surface.REALTIME.value, project=who.project)
        ruling = ruling_of(self._accounts.rules(), who, model.name, origin, quota)
        now_ns = self._accounts.now_ns()
        quote = self._prices.quote(who, model, targets, at_ns=now_ns, asset=ruling.asset)
        return Terms(model=model.name, quote=quote, most=most, quota=quota)

    async def _open(
        self, targets: list[tuple[Target, RealtimeProvider]], call: SessionCall
    ) -> tuple[Socket | Declined, Target]:
        """Ask one target after the other; none has been asked for a response yet."""
        last = targets[-1][0]
        for target, provider in targets:
            ask = SessionAsk(
                model=target.model,
                message_bytes_max=self._bounds.message_bytes_max,
                transcribes=call.transcribes,
                beta=call.beta,
            )
            try:
                opened = await provider.open_session(ask)
            except UpstreamError:
                if target is last:
                    raise
            else:
                if not isinstance(opened, Declined):
                    return opened, target
                if opened.status in (401, 403):
                    raise UpstreamRefused(_REFUSED.format(target.provider, opened.status))
                if target is last or not retriable_status(opened.status):
                    return opened, target
            self._accounts.monitor.failed_over(str(target))
        message = "The model has no target."
        raise UpstreamError(message)

    async def _converse(
        self,
        client: Socket,
        upstream: Socket,
        reserve: Reserve,
        pay: Pay,
        model: Model,
        call: SessionCall,
    ) -> None:
        """Run a session to its end."""
        tokens_max = self._tokens_max(reserve, model)
        own = None if call.transcribes else tokens_max
        beta = call.beta is not None and "realtime=v1" in call.beta
        ids = count(1)
        session = Session(
            client,
            upstream,
            reserve,
            Around(
                holder=self._holder,
                stopping=self._stopping,
                scribe=lambda name: self._scribe(name, model, reserve, pay, call),
                new_id=lambda kind: f"{kind}_{call.id.partition('_')[2]}_{next(ids)}",
            ),
            self._bounds,
            opening=events.opening_event(
                call.session, own, beta=beta, transcribes=call.transcribes
            ),
            tokens_max=tokens_max,
            transcribes=call.transcribes,
        )
        self.sessions += 1
        try:
            await session.run()
        finally:
            self.sessions -= 1
            settled = session.settle()
        await asyncio.gather(*settled)
        await client.closed()

    def _tokens_max(self, reserve: Reserve, model: Model) -> int | None:
        """Give the bound on a response's output that a hard budget needs.

        A model whose `output_tokens_max` is beyond what a client can set keeps its own.
        """
        bounded = model.output_tokens_max <= VENDOR_OUTPUT_TOKENS_MAX and reserve.guarded
        return model.output_tokens_max if bounded else None

    def _scribe(
        self, name: str, model: Model, reserve: Reserve, pay: Pay, call: SessionCall
    ) -> Reserve | None:
        """Give what pays for transcriptions by a model that a session names.

        One that the configuration does not have has no price: only keys that no
        hard budget binds, without a list of models, may use it, and its cost stays unknown.
        """
        who = reserve.who
        if call.transcribes and name in ("", model.name, *(t.model for t in model.targets)):
            return reserve
        known = self._catalog.get(name)
        if known is None or not may_use(who, name):
            if reserve.guarded or who.models is not None:
                return None
            most = Bound(CONTEXT_TOKENS_DEFAULT, model.output_tokens_max)
            unpriced = Quote(self._prices.version)
            terms = Terms(model=name, quote=unpriced, most=most, listed=False)
        else:
            terms = self._terms(who, known, plan(known))
        made = pay(terms)
        made.check()
        return made


_REFUSED: Final = (
    "The provider `{0}` answered {1} to the credentials that the gateway has for it. "
    "An administrator must correct providers.{0}.api_key."
)
