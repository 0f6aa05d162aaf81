"""The holds of a realtime session: one is in hand before a response may begin.

    spare ──▶ promised (the client has asked) ──▶ running (the provider has begun) ──▶ settled
      └───────────── where the provider begins by itself ─────────────▲

A session has many requests in the ledger, one for each response. A provider that listens
for turns begins responses by itself, so one hold more than what runs is always in hand
there, and nothing is passed on to it until that hold is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from entente.domain.chat import Status, Surface
from entente.domain.errors import (
    BudgetExceeded,
    EntenteError,
    InvalidParameter,
    LedgerError,
    LimitError,
    Overloaded,
    Unpriced,
)
from entente.domain.ids import NowNs
from entente.domain.origin import Origin
from entente.domain.principal import Principal
from entente.domain.quota import Quota
from entente.domain.usage import NOTHING, Usage
from entente.gateway.agreed import Allowed, InForce, marked
from entente.gateway.origin import tags_of
from entente.gateway.outcome import Outcome, closing
from entente.gateway.pricing import Quote
from entente.gateway.ruling import Ruling, ruling_of
from entente.ledger.ledger import Ledger, Place
from entente.ledger.meters import SPEND, Draw
from entente.ledger.model import Hold, hold
from entente.metering.bounds import Bound
from entente.policy.rules import RuleBook
from entente.routing.catalog import Target
from entente.telemetry.metrics import Monitor

NS_PER_S: Final = 1_000_000_000
CHARGES_MAX: Final = 64
"""Responses of one session at once, promised and running."""


class Accounts(NamedTuple):
    """Where what a session costs is written down."""

    ledger: Ledger
    rules: Callable[[], RuleBook]
    monitor: Monitor
    now_ns: NowNs
    agreed: InForce | None = None
    recorded: Callable[[], Mapping[str, str]] = dict
    """What somebody should look at of the records."""

    def notices(self) -> dict[str, str]:
        """Say what somebody should look at, though it stands against nothing yet."""
        notice = "" if self.agreed is None else self.agreed.notice
        return {**({"agreement": notice} if notice else {}), **self.recorded()}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is paid by: the model, its price, and the most that a response can use."""

    model: str
    quote: Quote
    most: Bound
    quota: Quota | None = None
    listed: bool = True
    """The model stands in the configuration, so that its name may be a label."""
    tags: tuple[str, ...] = ()
    """What the client puts the session down to."""


_NOWHERE: Final = Place()


class _Charge:
    """A response that is paid for."""

    __slots__ = ("began_at", "hold", "place")

    def __init__(self, opened: Hold, place: Place = _NOWHERE) -> None:
        self.hold = opened
        self.place = place
        """What it takes besides the hold's own: requests and tokens count when it begins."""
        self.began_at = 0
        """The tokens that had passed through the session when the provider began."""


class Reserve:
    """What a session has put aside with one model. `who` may be replaced, by itself anew."""

    def __init__(
        self, accounts: Accounts, terms: Terms, who: Principal, new_id: Callable[[], str]
    ) -> None:
        """Start with nothing; `new_id` names the next request."""
        self.who = who
        self.target: Target | None = None
        """Who serves, once that is known."""
        self.allowed: Allowed | None = None
        """What the agreement says of the targets, where there is one."""
        self._accounts = accounts
        self._terms = terms
        self._new_id = new_id
        self._spare: Hold | None = None
        self._making: asyncio.Task[None] | None = None
        self._trouble: EntenteError | None = None
        """Why there is no hold in hand."""
        self._promised: dict[str, _Charge] = {}
        """By the id of the event with which the client asked."""
        self._running: dict[str, _Charge] = {}
        """By the provider's id of the response."""
        self._passed = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a response runs, or has been asked for."""
        return bool(self._running or self._promised)

    def passed(self, tokens: int) -> None:
        """Note how many tokens a message of the session can stand for at most."""
        self._passed += tokens

    def check(self) -> None:
        """Refuse a session whose first response would be refused. Raises LimitError, Unpriced."""
        draws, now_ns = self._draws()
        self._accounts.ledger.check(draws, self._terms.model, now_ns)
        self._check_price()

    # ---- having a hold in hand ----

    def renew(self) -> None:
        """Begin to put aside for the next response, if that is not done."""
        if self._spare is None and self._making is None and not self._closed:
            self._making = asyncio.get_running_loop().create_task(self._make())

    async def ready(self) -> None:
        """Wait until there is a hold in hand. Raises LimitError, Unpriced or LedgerError.

        A hold that does not fit beside those of responses that run is tried again when
        they have come back.
        """
        if self._spare is not None:
            return
        try:
            await self._try()
        except BudgetExceeded:
            if not self.busy:
                raise
            await self._quiet.wait()
            await self._try()

    async def _try(self) -> None:
        """Wait for an attempt of which somebody else has not taken what was made."""
        while not self._in_hand:
            self.renew()
            if self._making is None:
                message = "The session is closing."
                raise Overloaded(message)
            await asyncio.shield(self._making)
            if self._trouble is not None and not self._in_hand:
                raise self._trouble

    @property
    def _in_hand(self) -> bool:
        """Whether there is a hold for the next response."""
        return self._spare is not None

    async def _make(self) -> None:
        """Put aside what one response can cost."""
        try:
            self._check_price()
            made = self._new_hold()
            await self._accounts.ledger.hold(made)
        except (LimitError, Unpriced, LedgerError) as error:
            self._trouble = error
        else:
            self._trouble = None
            if self._spare is None:
                self._spare = made
            else:  # a response was refused meanwhile, and its hold is in hand again
                self._close(_Charge(made), NOTHING, Status.CANCELLED)
        finally:
            self._making = None

    def _new_hold(self) -> Hold:
        """Make a hold for one response."""
        terms = self._terms
        quote, most = terms.quote, terms.most
        nano = self._dearest()
        now_ns = self._accounts.now_ns()
        draws = self._ruling().draws(now_ns, tokens=0, nano=nano or 0, asset=quote.asset)
        made = hold(
            id=self._new_id(),
            at_ns=now_ns,
            key=self.who.key_id,
            asset=quote.asset,
            model=terms.model,
            nano=nano or 0,
            bounded=self.who.budgeted,
            input_tokens=most.input_tokens,
            output_tokens=most.output_tokens,
            prices=quote.version,
            priced=nano is not None,
            origin=self._origin(),
            draws=tuple(draw for draw in draws if draw.meter.startswith(SPEND)),
        )
        return quote.marked(made)

    def _origin(self) -> Origin:
        """Say where the session comes from."""
        tags = tags_of(self.who, self._terms.tags)
        who = self.who
        api = Surface.REALTIME.value
        return Origin(api=api, project=who.project, user=who.user or "", tags=tags)

    def _ruling(self) -> Ruling:
        """Find the rules of now."""
        terms = self._terms
        book = self._accounts.rules()
        return ruling_of(book, self.who, terms.model, self._origin(), terms.quota)

    def _dearest(self) -> int | None:
        """Give the most that a response can cost; None where that has no price."""
        return self._terms.quote.bound(self._terms.most)

    def _check_price(self) -> None:
        """Refuse what a hard budget could not count."""
        asset = None if self._dearest() is None else self._terms.quote.asset
        ruling = self._ruling()
        if asset is None and ruling.guarded:
            self._accounts.ledger.unpriced(self._terms.model)
        ruling.check(self._terms.model, asset)

    @property
    def guarded(self) -> bool:
        """A hard budget, of the key or by a rule, stands behind what this pays for now."""
        return self._ruling().guarded

    # ---- responses ----

    async def promise(self, event_id: str) -> None:
        """Give the hold in hand to a response that the client asks for.

        Raises RateLimited or RequestTooLarge; then the hold stays in hand.
        """
        if len(self._promised) + len(self._running) >= CHARGES_MAX or event_id in self._promised:
            message = f"A session has at most {CHARGES_MAX} responses at once, with an id each."
            raise InvalidParameter(message, param="event_id", code="too_many_responses")
        place = await self._admit()
        try:
            await self.ready()  # a response that began meanwhile may have taken the hold
        except BaseException:
            self._accounts.ledger.release(place)
            raise
        self._promised[event_id] = self._spend(place)
        self._quiet.clear()

    def release(self, event_id: str | None) -> None:
        """Take back the hold of a response that the provider refused to begin."""
        charge = self._promised.pop(event_id, None) if event_id is not None else None
        if charge is None:
            return
        self._accounts.ledger.release(charge.place)
        charge.place = _NOWHERE
        if self._spare is None:
            self._spare = charge.hold
        else:
            self._close(charge, NOTHING, Status.CANCELLED)
        self._settle_quiet()

    async def begin(self, id: str) -> LimitError | None:
        """Note that a response has begun; give why it must not go on, where that is so.

        It is recorded in any case: at worst, where a provider began more than it was paid
        for, past the budget. Raises LedgerError.
        """
        if id in self._running:
            return None
        self._quiet.clear()
        refusal: LimitError | None = None
        if self._promised:
            charge = self._promised.pop(next(iter(self._promised)))
            charge.began_at = self._passed
            self._running[id] = charge
            return None
        try:
            await self._try()
            charge = self._spend(_NOWHERE)
        except (LimitError, Unpriced) as error:
            refusal = error if isinstance(error, LimitError) else LimitError(error.message)
            beyond = self._new_hold()
            await self._accounts.ledger.hold(beyond, beyond=True)
            charge = _Charge(beyond)
        charge.began_at = self._passed
        self._running[id] = charge  # from here on it is settled, whatever comes next
        try:
            charge.place = await self._admit()
        except LimitError as error:
            refusal = refusal or error
        return refusal

    def end(self, id: str, status: Status, usage: Usage | None) -> asyncio.Future[None] | None:
        """Settle a response; give what is done when that is durable, None for an unknown one."""
        charge = self._running.pop(id, None)
        if charge is None:
            return None
        settled = self._close(charge, usage, status)
        self._settle_quiet()
        return settled

    def close(self, status: Status) -> list[asyncio.Future[None]]:
        """Settle all that is open, at what it may have used at most; nothing begins any more."""
        self._closed = True
        if self._making is not None:
            self._making.cancel()
        settled = [
            self._close(charge, None, status)
            for charge in (*self._running.values(), *self._promised.values())
        ]
        if self._spare is not None:
            settled.append(self._close(_Charge(self._spare), NOTHING, Status.CANCELLED))
        self._spare = None
        self._running.clear()
        self._promised.clear()
        self._quiet.set()
        return settled

    async def _admit(self) -> Place:
        """Take a place on the meters that do not count money. Raises LimitError."""
        draws, now_ns = self._draws()
        return await self._accounts.ledger.admit(draws, self._terms.model, now_ns)

    def _draws(self) -> tuple[tuple[Draw, ...], int]:
        """Give what a response takes besides money, now."""
        now_ns = self._accounts.now_ns()
        most = self._terms.most.total
        drawn = self._ruling().draws(now_ns, tokens=most, nano=0, asset="")
        return tuple(draw for draw in drawn if not draw.meter.startswith(SPEND)), now_ns

    def _spend(self, place: Place) -> _Charge:
        """Take the hold in hand."""
        if self._spare is None:
            message = "no hold is in hand"
            raise RuntimeError(message)
        charge, self._spare = _Charge(self._spare, place), None
        charge.began_at = self._passed
        return charge

    def _settle_quiet(self) -> None:
        """Wake who waits until nothing runs."""
        if not self.busy:
            self._quiet.set()

    def _close(self, charge: _Charge, usage: Usage | None, status: Status) -> asyncio.Future[None]:
        """Settle a hold: at a usage, or, where that is unknown, at the most it can have been."""
        accounts, terms = self._accounts, self._terms
        outcome = Outcome(terms.most)
        if usage is not NOTHING and self.target is not None:
            outcome.asked(self.target)
        if usage is not None:
            outcome.known(usage)
        else:
            outcome.estimate(self._most_since(charge.began_at))
        entry = closing(charge.hold, outcome, terms.quote, status=status, at_ns=accounts.now_ns())
        entry = marked(entry, self.allowed, self.target)
        settled = accounts.ledger.settle(entry)
        accounts.ledger.used(charge.place, entry.usage)
        if terms.listed and outcome.attempts:
            accounts.monitor.settled(
                entry.model,
                entry.status,
                entry.usage,
                estimated=entry.estimated,
                duration_s=(entry.at_ns - charge.hold.at_ns) / NS_PER_S,
            )
        return settled

    def _most_since(self, began_at: int) -> Usage:
        """Give the most that a response can have used that began so many tokens ago.

        As audio, where that has a price: it is what costs most.
        """
        quote, most = self._terms.quote, self._terms.most
        took = min(most.input_tokens, self._passed)
        gave = min(most.output_tokens, self._passed - began_at)
        heard = Usage(audio_input=took, audio_output=gave)
        if quote.charge(heard, self.target).nano is not None:
            return heard
        return Usage(input=took, output=gave)
