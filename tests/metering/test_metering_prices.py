"""Prices: exact, disjoint, bounded from above, and never zero for what is unknown."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.money import (
    NANO_PER_UNIT,
    format_nano,
    parse_nano,
    parse_rate,
    round_half_even,
    round_up,
)
from entente.domain.usage import INPUT_CLASSES, NOTHING, OUTPUT_CLASSES, TOKEN_CLASSES, Usage
from entente.metering.prices import Unit, compile_price, price_book
from entente.wire.openai import read_completion
from tests.kit.run import PROPERTY

MILLION: Final = 10**6
TOKENS: Final = st.integers(0, 10**9)
RATES: Final = st.dictionaries(
    st.sampled_from(TOKEN_CLASSES),
    st.fractions(0, 1000, max_denominator=10**6),
    min_size=1,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw a usage with any mix of classes."""
    return Usage(**{name: draw(TOKENS) for name in draw(st.sets(st.sampled_from(TOKEN_CLASSES)))})


def test_cached_tokens_are_counted_once() -> None:
    """1M prompt tokens, 90 % cached, at 2.50/1.25: 1.375, not 3.625.

    The incumbent's bug prices the cached tokens a second time inside `prompt_tokens`.
    """
    rates = {"input": parse_rate("2.50"), "cache_read": parse_rate("1.25")}
    price = compile_price("USD", rates, MILLION)
    body = (
        b'{"choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":0,'
        b'"prompt_tokens_details":{"cached_tokens":900000}}}'
    )
    completion = read_completion(body)
    assert completion is not None
    assert completion.usage
    usage = completion.usage.disjoint()
    assert usage == Usage(input=100_000, cache_read=900_000)
    cost = price.cost(usage)
    assert cost is not None
    assert format_nano(cost) == "1.375"
    assert price.cost(Usage(input=1_000_000, cache_read=900_000)) == parse_nano("3.625")


@PROPERTY
@given(RATES, usages(), st.sampled_from([1, 1000, MILLION]))
def test_cost_is_the_rational_sum_rounded_once(
    rates: dict[str, Fraction], usage: Usage, per: int
) -> None:
    """Against the plain definition in fractions, fallbacks included."""
    fallback = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
    if "cache_write" not in rates:
        fallback["cache_write_1h"] = "input"
    exact: Fraction | None = Fraction(0)
    for name in TOKEN_CLASSES:
        tokens = getattr(usage, name)
        rate = rates.get(name, rates.get(fallback.get(name, "")))
        if tokens and rate is None:
            exact = None
            break
        if tokens and rate is not None and exact is not None:
            exact += tokens * rate * NANO_PER_UNIT / per
    cost = compile_price("USD", rates, per).cost(usage)
    assert cost == (None if exact is None else round(exact))


@PROPERTY
@given(RATES, usages())
def test_the_bound_is_never_below_the_cost(rates: dict[str, Fraction], usage: Usage) -> None:
    """Whatever classes the tokens fall in: a hold of the bound covers them."""
    price = compile_price("USD", rates, MILLION)
    cost = price.cost(usage)
    if cost is not None:
        most = price.bound(usage.input_total, usage.output_total)
        assert most is not None
        assert most >= cost
        more = price.bound(usage.input_total + 1, usage.output_total + 1)
        assert more is None or more >= cost


@pytest.mark.parametrize("name", ["input", "output", "audio_input", "audio_output"])
def test_a_class_without_a_rate_is_unpriced_not_free(name: str) -> None:
    """None is not zero; and zero of an unpriced class costs nothing."""
    rates = {other: Fraction(1) for other in TOKEN_CLASSES}
    kin = {"input": ("cache_read", "cache_write_1h"), "output": ("reasoning",)}
    for each in (name, *kin.get(name, ())):
        del rates[each]
    price = compile_price("USD", rates, 1)
    assert price.cost(Usage(**{name: 1})) is None
    assert price.cost(NOTHING) == 0
    assert compile_price("USD", {name: Fraction(0)}, 1).cost(Usage(**{name: 5})) == 0


@pytest.mark.parametrize(
    ("missing", "as_"), [("cache_read", "input"), ("cache_write", "input"), ("reasoning", "output")]
)
def test_fallbacks(missing: str, as_: str) -> None:
    """What has no rate of its own costs what its kind costs."""
    price = compile_price("USD", {as_: Fraction(3)}, 1)
    assert price.cost(Usage(**{missing: 2})) == 6 * NANO_PER_UNIT
    own = compile_price("USD", {as_: Fraction(3), missing: Fraction(1, 2)}, 1)
    assert own.cost(Usage(**{missing: 2})) == NANO_PER_UNIT


def test_what_is_cached_for_an_hour_has_a_rate_of_its_own_or_none() -> None:
    """It costs twice the input where five minutes cost a quarter more: no stand-in is right."""
    rates = {"input": Fraction(3), "cache_write": Fraction(15, 4)}
    assert compile_price("USD", rates, 1).cost(Usage(cache_write_1h=1)) is None
    own = compile_price("USD", rates | {"cache_write_1h": Fraction(6)}, 1)
    assert own.cost(Usage(cache_write=1, cache_write_1h=1)) == parse_nano("9.75")
    plain = compile_price("USD", {"input": Fraction(3)}, 1)
    assert plain.cost(Usage(cache_write_1h=1)) == parse_nano("3")


@PROPERTY
@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_rounding(numerator: int, denominator: int) -> None:
    """Half to even for costs, up for holds: as Python's own fractions round."""
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))
    assert round_up(numerator, denominator) == ceil(Fraction(numerator, denominator))


def test_halves_go_to_the_even_neighbour() -> None:
    """Once, at the end: two halves in one request make a whole."""
    half = compile_price("USD", {"input": Fraction(1, 2), "output": Fraction(1, 2)}, NANO_PER_UNIT)
    assert [half.cost(Usage(input=n)) for n in (1, 3, 5)] == [0, 2, 2]
    assert half.cost(Usage(input=1, output=1)) == 1


def test_the_version_names_the_prices_and_nothing_else() -> None:
    """Equal prices, in any order of making, give an equal version; another price another."""
    first = compile_price("USD", {"input": Fraction(1)}, MILLION)
    second = compile_price("EUR", {"input": Fraction(1)}, MILLION)
    book = price_book({"a": first, "b": second})
    again = price_book({"b": second, "a": first})
    assert book.version == again.version
    assert book.encode() == again.encode()
    assert len({book.version, price_book({"a": first, "b": first}).version}) == 2
    assert price_book({"a": compile_price("USD", {"input": Fraction(2, 2)}, MILLION)}) == (
        price_book({"a": first})
    )
    assert price_book({}).version == price_book({}).version


def test_a_trillion_dollars_is_exact() -> None:
    """10^12 dollars and a nano-unit: no float anywhere could do that."""
    assert format_nano(parse_nano("1000000000000.000000001")) == "1000000000000.000000001"
    price = compile_price("USD", {"input": parse_rate("1000000000000")}, 1)
    assert price.cost(Usage(input=1)) == 10**12 * NANO_PER_UNIT
    assert price_book({"m": price}).encode()


@PROPERTY
@given(st.integers(-(10**24), 10**24))
def test_amounts_read_back(nano: int) -> None:
    """Writing and reading an amount changes nothing."""
    assert parse_nano(format_nano(nano)) == nano


@pytest.mark.parametrize(
    "text", ["1e3", "1/0", "", ".5", "5.", "nan", "inf", "1,5", "0x1", "1/2/3", "--1"]
)
def test_rates_are_decimals_or_ratios(text: str) -> None:
    """Nothing that could be read as a float, or in two ways."""
    with pytest.raises(ValueError, match=r"is not a decimal|divides by zero"):
        parse_rate(text)


def test_amounts_finer_than_a_nano_unit_are_refused() -> None:
    """Money is never rounded while it is read."""
    with pytest.raises(ValueError, match="finer than 9"):
        parse_nano("0.0000000001")


def test_token_classes_do_not_overlap() -> None:
    """Every class is input or output, none is both, and the totals count each once."""
    assert {*INPUT_CLASSES, *OUTPUT_CLASSES} == set(TOKEN_CLASSES)
    assert not {*INPUT_CLASSES} & {*OUTPUT_CLASSES}
    usage = Usage(**{name: 10**number for number, name in enumerate(TOKEN_CLASSES)})
    assert usage.total == int("1" * len(TOKEN_CLASSES))


MEASURED = [
    ("audio_ms", 60_000, "0.006", 9_000, "0.0009"),
    ("characters", MILLION, "15", 4096, "0.06144"),
    ("images", 1, "0.04", 3, "0.12"),
]


@pytest.mark.parametrize(("unit", "per", "rate", "amount", "cost"), MEASURED)
def test_a_price_for_another_unit_than_tokens(
    unit: Unit, per: int, rate: str, amount: int, cost: str
) -> None:
    """It counts its own measure, exactly, and no tokens beside it."""
    price = compile_price("USD", {unit: Fraction(rate)}, per, unit=unit)
    assert price.cost(Usage(**{unit: amount})) == parse_nano(cost)
    assert price.cost(Usage(**{unit: amount}, input=10**9, output=10**9)) == parse_nano(cost)
    assert price.bound(10**9, 10**9, Usage(**{unit: amount})) == parse_nano(cost)


@pytest.mark.parametrize(("unit", "per", "rate", "amount", "cost"), MEASURED)
def test_what_a_price_does_not_count_is_unknown(
    unit: Unit, per: int, rate: str, amount: int, cost: str
) -> None:
    """Tokens for a price of another unit, and the other way round; nothing costs nothing."""
    price = compile_price("USD", {unit: Fraction(rate)}, per, unit=unit)
    by_token = compile_price("USD", {"input": Fraction(1), "output": Fraction(1)}, per)
    assert price.cost(Usage(input=5)) is None
    assert price.bound(5, 5) is None
    assert by_token.cost(Usage(**{unit: amount})) is None
    assert by_token.cost(Usage(**{unit: amount}, input=per)) == NANO_PER_UNIT
    assert price.cost(NOTHING) == by_token.cost(NOTHING) == 0
    assert cost


def test_no_hold_without_a_rate_for_what_can_come() -> None:
    """A price of the input alone is one for embeddings, which have no output."""
    price = compile_price("USD", {"input": Fraction(1)}, MILLION)
    assert price.bound(1000, 0) == 1_000_000
    assert price.bound(1000, 1) is None
