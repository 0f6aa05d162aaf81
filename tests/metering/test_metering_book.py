"""Price books: read whole or not at all, one form of writing, and a price for each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.money import NANO_PER_UNIT, format_nano
from entente.domain.usage import TOKEN_CLASSES, Usage
from entente.metering.book import Book, Line, Step, Tier, classes, instant_ns
from entente.metering.prices import compile_price
from entente.metering.reading import BookMistakes, read_book
from entente.metering.tariffs import Tariff, Terms, flat
from entente.metering.units import RATES, PricePer
from tests.kit.run import PROPERTY

MILLION: Final = 10**6
JANUARY: Final = instant_ns("2026-01-01")
LINE: Final[dict[str, Any]] = {
    "models": ["openai/m", "openai/m-2026-01-01"],
    "currency": "USD",
    "per": "1M tokens",
    "rates": {"input": "2.50", "cached_input": "1.25", "output": "10"},
}
LONG: Final[dict[str, Any]] = LINE | {
    "above": [{"input_tokens": 200_000, "rates": {"input": "5", "output": "15"}}],
    "tiers": {
        "flex": {"factor": "1/2"},
        "batch": {"factor": "0.5"},
        "priority": {"rates": {"input": "4", "output": "20"}, "above": []},
    },
}


def _text(*lines: Mapping[str, object], **frame: object) -> bytes:
    """Write a book, each line of it on a line of the text."""
    head = {"format": "entente-prices/1", "source": "a page", "retrieved": "2026-11-01", **frame}
    body = ",\n".join(json.dumps(line) for line in lines)
    return (json.dumps(head)[:-1] + ', "lines": [\n' + body + "\n]}").encode()


def _book(*lines: Mapping[str, object]) -> Book:
    return read_book(_text(*lines))


def _cost(book: Book, usage: Usage, **how: Any) -> str | None:
    price = book.price("openai/m", JANUARY, input_total=usage.input_total, **how)
    cost = None if price is None else price.cost(usage)
    return None if cost is None else format_nano(cost)


def test_cached_tokens_are_counted_once() -> None:
    """1M prompt tokens, 90 % cached, at 2.50/1.25: 1.375."""
    assert _cost(_book(LINE), Usage(input=100_000, cache_read=900_000)) == "1.375"


def test_length_and_tier_choose_the_rates_of_the_whole_request() -> None:
    """One token more than the step, cached or not, and all of it costs the longer rate."""
    book = _book(LONG)
    at_step, above = Usage(input=200_000), Usage(input=200_000, cache_read=1)
    assert _cost(book, at_step) == "0.5"
    assert _cost(book, above) == "1.000005"
    assert _cost(book, above, tier="flex") == "0.5000025"
    assert _cost(book, above, batch=True) == _cost(book, above, tier="flex")
    assert _cost(book, above, tier="priority") == "0.800004"
    assert _cost(book, at_step, tier="default") == "0.5"
    assert _cost(book, at_step, tier="scale") is None
    assert book.price("openai/other", JANUARY) is None


def test_lines_hold_for_their_time() -> None:
    """The first instant belongs to a line, the last one to the next; between them nothing does."""
    day = "2026-03-01"
    cheaper = LINE | {"from": "2026-03-02T12:00:00Z", "rates": {"input": "1", "output": "1"}}
    book = _book(LINE | {"until": day}, cheaper)
    end, start = instant_ns(day), instant_ns("2026-03-02T12:00:00Z")
    assert book.line("openai/m", end - 1) is not None
    assert book.price("openai/m", end) is None
    assert book.price("openai/m", start - 1) is None
    found = book.price("openai/m", start)
    assert found is not None
    assert found.cost(Usage(input=MILLION)) == NANO_PER_UNIT
    before, after = book.tariffs("openai/m-2026-01-01")
    assert (before.holds(end - 1), before.holds(end), after.holds(start)) == (True, False, True)


def test_one_form_of_writing() -> None:
    """Order, spaces and spelling of numbers change nothing; reading it back changes nothing."""
    other = LINE | {"models": ["*/own"], "rates": {"input": "1"}}
    spelt = LINE | {"rates": {"output": "10.000", "input": "5/2", "cached_input": "1.250"}}
    first, second = _book(LINE, other), _book(other, spelt)
    assert first.version == second.version
    assert read_book(first.encode()) == read_book(second.encode())
    assert read_book(first.encode()).encode() == first.encode()
    assert first.version != _book(LINE).version
    long = _book(LONG | {"from": "2026-01-01", "until": "2027-01-01", "note": "n"})
    assert read_book(long.encode()).encode() == long.encode()


MISTAKES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"models": []}, "`models` must be 1 to 64 names"),
    ({"models": ["m"]}, 'must be "VENDOR/MODEL"'),
    ({"models": ["OpenAI/m"]}, 'must be "VENDOR/MODEL"'),
    ({"currency": "usd"}, "`currency` must be three capital letters"),
    ({"per": "1 token "}, "`per` must be one of 1M tokens"),
    ({"rates": {}}, "`rates` has no rate"),
    ({"rates": {"input": "-1"}}, "`rates.input` must not be negative"),
    ({"rates": {"input": "1e-6"}}, "`rates.input`: '1e-6' is not a decimal"),
    ({"rates": {"input": 1.5}}, "Expected `str`, got `float`"),
    ({"rates": {"imput": "1"}}, "`rates.imput` is no rate here"),
    ({"per": "1 image"}, "`rates.input` is no rate here; there are output"),
    ({"from": "2026-01-01T00:00:00"}, "`from` must be a day"),
    ({"from": "2026-02-01", "until": "2026-02-01"}, "`until` must be after `from`"),
    ({"retrieved": "soon"}, "`retrieved` must be a day"),
    ({"above": [{"input_tokens": 0, "rates": {"input": "1"}}]}, "above the one before"),
    ({"tiers": {"default": {"factor": "1"}}}, "a tier beside the standard one"),
    ({"tiers": {"flex": {}}}, "either `factor` or `rates`"),
    ({"tiers": {"flex": {"factor": "0"}}}, "must be above 0"),
    ({"discount": "1/2"}, "unknown field `discount`"),
]


@pytest.mark.parametrize(("change", "reason"), MISTAKES)
def test_every_mistake_is_named(change: dict[str, Any], reason: str) -> None:
    """With the line of the text and the name, beside all others; and nothing is read."""
    wrong_twice = LINE | {"models": ["x/y"], "currency": "?"}
    with pytest.raises(BookMistakes) as caught:
        read_book(_text(LINE | {"models": ["openai/fine"]}, LINE | change, wrong_twice))
    *found, last = caught.value.mistakes
    assert {each.line for each in found} == {3}
    assert reason in found[0].reason
    assert str(last).startswith("line 4: x/y: `currency`")


def test_one_line_may_have_many_mistakes() -> None:
    """Of its form and of what it says, each with its place; what is right is not named."""
    unread = LINE | {
        "currency": 1,
        "rates": {"input": 1.5, "output": 2, "cached_input": "1"},
        "above": [{"rates": {"input": None}}],
        "tiers": {"flex": {"factor": 0.5}, "batch": {"factor": "1/2"}},
        "discount": "1/2",
    }
    del unread["models"]
    wrong = LINE | {
        "models": ["m", "openai/m"],
        "currency": "usd",
        "from": "soon",
        "rates": {"imput": "1", "input": "-1", "output": "x"},
        "above": [{"input_tokens": 0, "rates": {"input": "1"}}],
        "tiers": {"flex": {}, "batch": {"factor": "0"}},
    }
    with pytest.raises(BookMistakes) as caught:
        read_book(_text(unread, wrong, format="x/1", retrieved="soon"))
    assert [str(each).removeprefix("line 3: m: ") for each in caught.value.mistakes] == [
        '`format` must be "entente-prices/1", not "x/1"',
        '`retrieved` must be a day such as "2026-11-22"',
        "line 2: missing required field `models`",
        "line 2: `currency`: Expected `str`, got `int`",
        "line 2: `rates.input`: Expected `str`, got `float`",
        "line 2: `rates.output`: Expected `str`, got `int`",
        "line 2: `above[0]`: missing required field `input_tokens`",
        "line 2: `above[0].rates.input`: Expected `str`, got `null`",
        "line 2: `tiers.flex.factor`: Expected `str | null`, got `float`",
        "line 2: unknown field `discount`",
        '\'m\' must be "VENDOR/MODEL", or "*/MODEL" for what clients call it',
        '`currency` must be three capital letters, such as "USD"',
        '`from` must be a day such as "2026-01-31", or "2026-01-31T12:00:00Z"',
        "`rates.imput` is no rate here; there are " + ", ".join(RATES),
        "`rates.input` must not be negative",
        '`rates.output`: \'x\' is not a decimal such as "0.15" or a ratio such as "1/3"',
        "`above[0].input_tokens` must be above the one before, and above 0",
        "`tiers.flex` must have either `factor` or `rates`",
        "`tiers.batch.factor` must be above 0 and at most 100, and stand alone",
    ]


def test_the_frame_and_the_lines_are_both_looked_at() -> None:
    """A frame that cannot be read does not hide what its lines have."""
    text = _text(LINE | {"per": "1 tokens"}, source=1, page="x")
    with pytest.raises(BookMistakes) as caught:
        read_book(text)
    first, second, third = (str(each) for each in caught.value.mistakes)
    assert (first, second) == ("`source`: Expected `str`, got `int`", "unknown field `page`")
    assert third.startswith("line 2: openai/m: `per` must be one of")


def test_a_tier_of_its_own_rates_speaks_of_long_inputs() -> None:
    """Silence would be the short rate for a long request."""
    line = LONG | {"tiers": {"priority": {"rates": {"input": "4"}}}}
    with pytest.raises(BookMistakes, match="needs `above`"):
        _book(line)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "this is not JSON"),
        (b"[]", "Expected `object`"),
        (b"\xff", "this is not JSON"),
        (b"{}", "missing required field `format`"),
        (_text(LINE, format="x/1"), "`format` must be"),
        (_text(LINE, source=" "), "`source` must say"),
        (_text(LINE, retrieved="2026-13-01"), "`retrieved` must be a day"),
        (_text(LINE, LINE), "another line holds for it, too,"),
        (_text(LINE, LINE | {"from": "2026-01-01"}), "another line holds for it, too, from 2026"),
    ],
)
def test_no_book(text: bytes, reason: str) -> None:
    """What is no book, or says two things of one name at one time."""
    with pytest.raises(BookMistakes, match=reason):
        read_book(text)


def test_classes_are_told_apart() -> None:
    """Each tier and step under its own name, factors worked out."""
    (line,) = _book(LONG).lines
    named = dict(classes(line))
    assert named["input"] == Fraction(5, 2)
    assert named["input above 200000"] == 5
    assert named["flex cached_input"] == Fraction(5, 8)
    assert named["batch output above 200000"] == Fraction(15, 2)
    assert named["priority output"] == 20


# ---- properties ----

_RATE: Final = st.fractions(0, 100, max_denominator=10**6)
_TABLE: Final = st.dictionaries(st.sampled_from(RATES), _RATE, max_size=6).map(
    lambda rates: {"input": Fraction(1), "output": Fraction(2), "audio_input": Fraction(7)} | rates
)
_TOKENS: Final = st.integers(0, 10**6)
_ASKED: Final = st.sampled_from(["", "auto", "default", "flex", "priority", "scale"])


@st.composite
def _steps(draw: st.DrawFn) -> tuple[Step, ...]:
    places = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    return tuple(Step(above, draw(_TABLE)) for above in places)


@st.composite
def _lines(draw: st.DrawFn) -> Line:
    priority = Tier(rates=draw(_TABLE), steps=draw(_steps()))
    factor = draw(st.fractions(Fraction(1, 10), 3, max_denominator=100))
    return Line(
        names=("a/b",),
        source="",
        retrieved="2026-01-01",
        currency="USD",
        per=PricePer.MILLION,
        rates=draw(_TABLE),
        steps=draw(_steps()),
        tiers={"flex": Tier(factor=factor), "priority": priority},
    )


@st.composite
def _usages(draw: st.DrawFn) -> Usage:
    return Usage(**{name: draw(_TOKENS) for name in draw(st.sets(st.sampled_from(TOKEN_CLASSES)))})


@PROPERTY
@given(_lines(), _usages(), _ASKED, st.sampled_from(["", "default", "flex"]), st.booleans())
def test_no_cost_is_above_its_bound(
    line: Line, usage: Usage, asked: str, served: str, estimated: bool
) -> None:
    """Whatever tier it asked for, was served in, and however long it is."""
    tariff = line.tariff()
    if asked in ("default", "priority") and served == "flex":
        served = ""  # nobody is served what was not asked for and not left open
    cost = tariff.cost(usage, asked=asked, served=served, estimated=estimated)
    bound = tariff.bound(asked, usage.input_total, usage.output_total)
    if cost is not None and bound is not None:
        assert cost <= bound
        assert bound <= (tariff.bound(asked, usage.input_total + 5, usage.output_total) or bound)


@PROPERTY
@given(_lines(), _usages())
def test_steps_are_sharp(line: Line, usage: Usage) -> None:
    """Against the plain definition: the last step that the input is above."""
    terms = line.tariff().standard
    total = usage.input_total
    rates = [step.rates for step in line.steps if total > step.above][-1:] or [line.rates]
    plain = compile_price("USD", line.per.rates(rates[0]), MILLION)
    assert terms.cost(usage) == plain.cost(usage)


def test_what_was_not_reported_is_the_dearest_that_it_can_be() -> None:
    """A whole answer without a word of its tier; half of one; and a tier nobody priced."""
    tariff = _book(LONG).tariffs("openai/m")[0]
    usage = Usage(output=MILLION)

    def cost(asked: str, served: str, *, estimated: bool = False) -> str | None:
        found = tariff.cost(usage, asked=asked, served=served, estimated=estimated)
        return None if found is None else format_nano(found)

    assert cost("", "") == "10"
    assert cost("", "", estimated=True) == "20"
    assert cost("flex", "") == "10"
    assert cost("flex", "flex") == "5"
    assert cost("flex", "default") == "10"
    assert cost("priority", "auto") == "20"
    assert cost("default", "", estimated=True) == "10"
    assert cost("priority", "scale") is None


def test_a_flat_price_knows_no_tier_that_is_not_named() -> None:
    """A price of the settings is for its model however it is served."""
    price = compile_price("USD", {"input": Fraction(1)}, 1)
    tariff = flat(price)
    assert tariff == Tariff("USD", Terms(((-1, price),)))
    assert tariff.bound("priority", 3, 0) == price.bound(3, 0)
    assert tariff.cost(Usage(input=3), asked="", served="", estimated=False) == 3 * NANO_PER_UNIT
