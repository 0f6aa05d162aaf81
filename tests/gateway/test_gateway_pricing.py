"""What a request is priced by: target, tier, length, part and currency, to the last nano-unit."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import Unpriced
from entente.domain.exchange import Exchange, Rate
from entente.domain.money import NANO_PER_UNIT
from entente.domain.principal import Principal, Role
from entente.domain.usage import Usage
from entente.gateway.pricing import Pricing
from entente.gateway.ruling import Ruling
from entente.ledger.books import Books
from entente.ledger.journal import decode, encode
from entente.ledger.ledger import Ledger
from entente.ledger.model import payable
from entente.ledger.rollups.tally import Tally
from entente.ledger.sales import DISCOUNT, EXCHANGE, MARKUP
from entente.metering.book import Book, instant_ns
from entente.metering.bounds import Bound
from entente.metering.prices import compile_price, price_book
from entente.metering.reading import read_book
from entente.policy.rules import Rules
from entente.routing.catalog import Model, Target
from entente.wire.openai import decode_chat
from tests.kit.entries import KEY, now_ns
from tests.kit.gateways import Bench, RecordingClient
from tests.kit.run import PROPERTY, run

AT: Final = instant_ns("2026-11-20T12:00:00Z")
FIRST, SECOND = Target("p0", "real"), Target("p1", "real")
MODEL: Final = Model(name="m", targets=(FIRST, SECOND), output_tokens_max=100)
WHO: Final = Principal(key_id=KEY, name="n", role=Role.MEMBER)
RATE: Final = Rate("2026-11-19", "EUR", "USD", Fraction("1.0823"))
SCRIPT: Final = '[[replies]]\ntext = "Hello you"'
"""Two words are two tokens."""


def _line(name: str, rates: dict[str, str], currency: str = "USD", **more: Any) -> dict[str, Any]:
    return {"models": [name], "currency": currency, "per": "1M tokens", "rates": rates, **more}


def _book(*lines: dict[str, Any]) -> Book:
    head = {"format": "entente-prices/1", "source": "here", "retrieved": "2026-11-01"}
    return read_book(json.dumps(head | {"lines": list(lines)}).encode())


def _pricing(*lines: dict[str, Any], rates: tuple[Rate, ...] = (RATE,)) -> Pricing:
    names = {("m", "p0/real"): "openai/m", ("m", "p1/real"): "groq/m"}
    pricing = Pricing(price_book({}), names)
    pricing.renew(((0, _book(*lines)),), Exchange(rates))
    return pricing


def test_the_settings_go_before_the_book() -> None:
    """And a model priced nowhere stays unpriced."""
    fixed = compile_price("USD", {"input": Fraction(1)}, 1)
    pricing = Pricing(price_book({"m": fixed}))
    pricing.renew(
        ((0, _book(_line("*/m", {"input": "9"}), _line("*/n", {"input": "9"}))),), Exchange()
    )
    quote = pricing.quote(WHO, MODEL, MODEL.targets, at_ns=AT)
    assert quote.fixed == fixed
    assert quote.version == pricing.version
    other = Model(name="n", targets=(FIRST,), output_tokens_max=1)
    book = pricing.book(AT)
    assert book is not None
    assert pricing.quote(WHO, other, other.targets, at_ns=AT).version == book.version
    none = Model(name="x", targets=(FIRST,), output_tokens_max=1)
    quote = pricing.quote(WHO, none, none.targets, at_ns=AT)
    assert quote.bound(Bound(1, 1)) is None
    assert quote.charge(Usage(input=1), FIRST).nano is None


def test_each_target_is_paid_its_own_price() -> None:
    """The hold is for the dearest; a vendor's line goes before that of the model."""
    pricing = _pricing(
        _line("openai/m", {"input": "1", "output": "2"}),
        _line("groq/m", {"input": "3", "output": "1"}),
        _line("*/m", {"input": "100", "output": "100"}),
    )
    quote = pricing.quote(WHO, MODEL, MODEL.targets, at_ns=AT)
    assert quote.bound(Bound(10**6, 10**6)) == 4 * NANO_PER_UNIT
    usage = Usage(input=10**6)
    assert quote.charge(usage, FIRST).nano == NANO_PER_UNIT
    assert quote.charge(usage, SECOND).nano == 3 * NANO_PER_UNIT
    assert quote.charge(usage, FIRST).sale is None
    alone = pricing.quote(WHO, MODEL, (FIRST,), at_ns=AT)
    assert alone.bound(Bound(10**6, 0)) == NANO_PER_UNIT


def test_a_target_without_a_price_leaves_the_bound_unknown() -> None:
    """What it might cost nobody can hold."""
    quote = _pricing(_line("openai/m", {"input": "1", "output": "1"})).quote(
        WHO, MODEL, MODEL.targets, at_ns=AT
    )
    assert quote.bound(Bound(1, 1)) is None
    assert quote.charge(Usage(input=1), FIRST).nano == 1000
    assert quote.charge(Usage(input=1), SECOND).nano is None


def test_books_take_turns() -> None:
    """Each from its instant on; None is no book."""
    dear, cheap = _book(_line("*/m", {"input": "2"})), _book(_line("*/m", {"input": "1"}))
    pricing = Pricing(price_book({}))
    pricing.renew(((0, dear), (AT, cheap), (AT + 5, None)), Exchange())
    costs = [
        pricing.quote(WHO, MODEL, (FIRST,), at_ns=at).charge(Usage(input=1), FIRST).nano
        for at in (AT - 1, AT, AT + 5)
    ]
    assert costs == [2000, 1000, None]


@pytest.mark.parametrize("budget", ["USD", None])
def test_a_budget_in_another_currency(budget: str | None) -> None:
    """Held and settled at one rate, which the entry names; without a budget nothing is changed."""
    quote = _pricing(_line("openai/m", {"input": "1", "output": "1"}, "EUR")).quote(
        WHO, MODEL, (FIRST,), at_ns=AT, asset=budget
    )
    charge = quote.charge(Usage(input=1000), FIRST)
    if budget is None:
        assert (quote.asset, charge.nano, charge.sale) == ("EUR", 1_000_000, None)
        return
    assert quote.asset == "USD"
    assert quote.bound(Bound(1000, 0)) == charge.nano == 1_082_300
    assert charge.sale is not None
    assert (charge.sale.nano, charge.sale.asset) == (1_000_000, "EUR")
    assert charge.sale.rate == "EUR/USD 2026-11-19 1.0823"


def test_without_a_rate_of_the_week_there_is_no_price() -> None:
    """An old rate is a wrong one."""
    line = _line("openai/m", {"input": "1", "output": "1"}, "EUR")
    old = Rate("2026-11-12", "EUR", "USD", Fraction(1))
    later = Rate("2026-11-21", "EUR", "USD", Fraction(1))
    quote = _pricing(line, rates=(old, later)).quote(WHO, MODEL, (FIRST,), at_ns=AT, asset="USD")
    assert quote.bound(Bound(1, 1)) is None
    turned = Rate("2026-11-13", "USD", "EUR", Fraction(4, 5))
    quote = _pricing(line, rates=(old, turned)).quote(WHO, MODEL, (FIRST,), at_ns=AT, asset="USD")
    assert quote.charge(Usage(input=1000), FIRST).nano == 1_250_000


_FRACTIONS: Final = st.fractions(Fraction(1, 1000), 100, max_denominator=10**4)


@PROPERTY
@given(
    _FRACTIONS, _FRACTIONS, _FRACTIONS, st.integers(0, 10**7), st.integers(0, 10**7),
    st.booleans(), st.sampled_from(["", "flex", "default"]),
)  # fmt: skip
def test_charges_are_exact_and_within_their_hold(
    rate: Fraction,
    value: Fraction,
    factor: Fraction,
    inward: int,
    outward: int,
    foreign: bool,
    tier: str,
) -> None:
    """Against the plain definition; what is owed never depends on what is charged."""
    asset = "EUR" if foreign else "USD"
    tiers = {"flex": {"factor": "2/3"}}
    rates = {"input": str(rate), "output": "7"}
    pricing = _pricing(
        _line("openai/m", rates, asset, tiers=tiers),
        rates=(Rate("2026-11-20", "EUR", "USD", value),),
    )
    who = Principal(key_id=KEY, name="n", role=Role.MEMBER, price_factor=factor)
    quote = pricing.quote(who, MODEL, (FIRST,), at_ns=AT, asset="USD", tier=tier)
    charge = quote.charge(Usage(input=inward, output=outward), FIRST, served=tier)
    part = Fraction(2, 3) if tier == "flex" else Fraction(1)
    owed = round((inward * rate + outward * 7) * part * NANO_PER_UNIT / 10**6)
    exchange = value if foreign else Fraction(1)
    assert charge.nano == round(owed * exchange * factor)
    if charge.sale is not None:
        assert (charge.sale.nano, charge.sale.asset) == (owed, asset)
        assert charge.sale.value == round(owed * exchange)
    else:
        assert factor * exchange == factor == Fraction(1)
    bound = quote.bound(Bound(inward, outward))
    assert bound is not None
    assert charge.nano <= bound
    dear = ceil((inward * rate + outward * 7) * NANO_PER_UNIT / 10**6)
    assert bound == ceil(dear * exchange * factor)


# ---- through the gateway, to the ledger ----


def _served(bench: Bench, **members: Any) -> RecordingClient:
    client = RecordingClient()

    async def main() -> None:
        await bench.ready()
        assert await bench.chat(client, **members) is None

    run(main())
    return client


def _with_book(bench: Bench, *lines: dict[str, Any], rates: tuple[Rate, ...] = ()) -> None:
    """Sell the model by a book."""
    pricing = Pricing(price_book({}), {("m", "p0/real"): "openai/m"})
    pricing.renew(((0, _book(*lines)),), Exchange(rates))
    bench.gateway._prices = pricing


def _postings(bench: Bench, account: str, asset: str = "USD") -> int:
    return bench.ledger.books.balance(account, asset)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "factor"), [("flex", Fraction(1, 2)), ("priority", 2), ("default", 1), (None, 1)]
)
def test_the_tier_that_served_is_the_one_that_is_paid(
    asked: str | None, factor: Fraction, stream: bool
) -> None:
    """As the provider reports it, which the entry says; the hold was for the dearest."""
    bench = Bench(SCRIPT, budget=NANO_PER_UNIT)
    tiers = {"flex": {"factor": "1/2"}, "priority": {"factor": "2"}}
    _with_book(bench, _line("openai/m", {"input": "1", "output": "1"}, tiers=tiers))
    _served(bench, stream=stream, **({"service_tier": asked} if asked else {}))
    (entry,) = bench.settled()
    assert entry.service_tier == ("" if asked in ("default", None) else asked)
    assert entry.cost_nano == entry.usage.total * 1000 * factor
    assert not entry.estimated


@pytest.mark.parametrize(
    ("asked", "said"), [("priority", "default"), ("auto", "default"), ("default", ""), ("", "")]
)
def test_a_request_that_is_served_as_a_usual_one_counts_as_one(asked: str, said: str) -> None:
    """Though it asked for a dearer tier, which providers do not always have."""
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        "service_tier": "default",
    }
    bench = Bench(f"[[replies]]\nraw_body = '{json.dumps(body)}'", budget=NANO_PER_UNIT)
    tiers = {"priority": {"factor": "2"}}
    _with_book(bench, _line("openai/m", {"input": "1", "output": "1"}, tiers=tiers))
    asks = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    call = msgspec.structs.replace(decode_chat(asks), service_tier=asked)

    async def main() -> None:
        await bench.ready()
        await bench.gateway.chat(bench.who, call, "r", RecordingClient())

    run(main())
    (entry,) = bench.settled()
    assert entry.cost_nano == 4000
    assert entry.service_tier == said
    tally = Tally(0)
    tally.add(encode(entry))
    assert [place.tier for _, place in tally.sums()[0]] == [asked and "default"]


def test_a_tier_without_a_price_costs_what_was_held() -> None:
    """Under a hard budget; never the standard rate by mistake."""
    bench = Bench(SCRIPT, budget=NANO_PER_UNIT)
    _with_book(bench, _line("openai/m", {"input": "1", "output": "1"}))
    _served(bench, service_tier="scale")
    (entry,) = bench.settled()
    assert entry.service_tier == "scale"
    assert entry.estimated
    assert entry.cost_nano is not None
    assert entry.cost_nano > entry.usage.total * 1000


@pytest.mark.parametrize(("factor", "account"), [("23/20", MARKUP), ("4/5", DISCOUNT)])
@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_what_the_key_pays_and_what_the_provider_is_owed(
    factor: str, account: str, currency: str
) -> None:
    """The difference is a mark-up or a discount; nothing stays between currencies unexplained."""
    bench = Bench(SCRIPT, budget=NANO_PER_UNIT)
    bench.who = Principal(
        key_id=KEY, name="n", role=Role.MEMBER, budgeted=True, price_factor=Fraction(factor)
    )
    today = Rate(_day_of(now_ns()), "EUR", "USD", Fraction(5, 4))
    _with_book(bench, _line("openai/m", {"input": "1", "output": "1"}, currency), rates=(today,))
    _served(bench)
    (entry,) = bench.settled()
    owed = entry.usage.total * 1000
    value = round(owed * (Fraction(5, 4) if currency == "EUR" else 1))
    assert entry.owed == (owed, currency)
    assert (entry.price_factor, entry.asset) == (factor, "USD")
    assert entry.rate == (str(today) if currency == "EUR" else "")
    assert entry.cost_nano == round(owed * (value / Fraction(owed)) * Fraction(factor))
    assert _postings(bench, payable("p0"), currency) == owed
    difference = entry.cost_nano - value
    assert _postings(bench, account) == difference
    if currency == "EUR":
        assert (_postings(bench, EXCHANGE), _postings(bench, EXCHANGE, "EUR")) == (value, -owed)
    assert _postings(bench, f"available:{KEY}") == NANO_PER_UNIT - entry.cost_nano


def _day_of(at_ns: int) -> str:
    return Exchange.day_of(at_ns).isoformat()


def test_a_crash_leaves_what_is_owed_right() -> None:
    """A hold that nobody settled says by which part and rate it was made."""
    bench = Bench(SCRIPT, budget=NANO_PER_UNIT)
    bench.who = Principal(
        key_id=KEY, name="n", role=Role.MEMBER, budgeted=True, price_factor=Fraction(5, 4)
    )
    today = Rate(_day_of(now_ns()), "EUR", "USD", Fraction(2))
    _with_book(bench, _line("openai/m", {"input": "1", "output": "1"}, "EUR"), rates=(today,))
    _served(bench)
    opened = next(row for row in bench.journal.rows if b'"kind":"hold"' in row.line)
    books = Books()
    for row in bench.journal.rows[: bench.journal.rows.index(opened) + 1]:
        books.apply(decode(row.line))
    again = Ledger(Bench().journal, books, now_ns=now_ns, budget_wait_s=1.0)
    (held,) = books.open_holds.values()

    async def main() -> None:
        assert await again.recover() == 1

    run(main())
    owed = round(held.nano / Fraction(5, 4) / 2)
    assert books.balance(payable("unknown"), "EUR") == owed
    assert books.balance(MARKUP, "USD") == held.nano - 2 * owed


def test_a_budget_refuses_what_has_no_price() -> None:
    """With what to do about it."""
    bench = Bench(SCRIPT, budget=NANO_PER_UNIT)
    _with_book(bench, _line("openai/other", {"input": "1"}))

    async def main() -> None:
        await bench.ready()
        error = await bench.chat(RecordingClient())
        assert isinstance(error, Unpriced)
        assert "entente prices" in error.message

    run(main())
    assert bench.settled() == []


@pytest.mark.parametrize(
    ("ruling", "said"),
    [
        (Ruling(Rules(assets=frozenset({"XXQ"})), guarded=True), "no price in XXQ .* in XXQ "),
        (Ruling(Rules(), guarded=True, budgeted=True), "no price in USD .* in USD "),
    ],
)
def test_the_currency_that_has_no_price_is_named(ruling: Ruling, said: str) -> None:
    """Whoever mistyped that of a budget sees it in the refusal."""
    with pytest.raises(Unpriced, match=said):
        ruling.check("m", None)


@pytest.mark.parametrize(
    ("ruling", "said"),
    [
        (Ruling(Rules(assets=frozenset({"EUR", "USD"})), guarded=True), "here in USD.* is in EUR"),
        (Ruling(Rules(assets=frozenset({"USD"})), guarded=True, budgeted=True), None),
    ],
)
def test_budgets_in_two_currencies(ruling: Ruling, said: str | None) -> None:
    """A request is counted in one, so they could not both be kept; it says so."""
    if said is None:
        ruling.check("m", "USD")
        return
    with pytest.raises(Unpriced, match=f"{said}.*all hard budgets behind a key in one currency"):
        ruling.check("m", "USD")


def test_a_rule_in_another_currency_than_the_keys_own_budget() -> None:
    """The model's price is in the rule's; the key's own budget could not count it."""
    ruling = Ruling(Rules(assets=frozenset({"EUR"})), guarded=True, budgeted=True)
    with pytest.raises(Unpriced, match="here in EUR, and a hard budget behind this key is in USD"):
        ruling.check("m", "EUR")
