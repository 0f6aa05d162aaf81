"""What explains the difference over one model and time. Pure.

The order matters: what one side does not have at all, then tokens at our own rates, then the
price of what both sides agree on, then what rounding can do. What is left is unexplained.
Parts are rounded to the nano-unit as they are found, and each is taken from what is still to be
explained, so that they always add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from entente.domain.money import format_nano, round_half_even
from entente.domain.usage import MEASURES
from entente.settlement.reconciling.model import (
    CACHED,
    WRITTEN,
    Kind,
    Ours,
    Part,
    Rates,
    Side,
    Tokens,
    less,
    value,
)

INPUTS: Final[tuple[str, ...]] = ("input", *CACHED)
FACTORS: Final = (Fraction(1, 2), Fraction(2))
"""What a whole sum is billed at where it went as a batch, flexibly, or before others."""
_MILLION: Final = 1_000_000
_MEASURED: Final = frozenset(MEASURES)

Books: Final = Mapping[str, Rates]


def whole(amount: Fraction) -> int:
    """Round to the nano-unit."""
    return round_half_even(amount.numerator, amount.denominator)


class Explaining:
    """The difference over one model and time, as far as it is explained."""

    def __init__(
        self,
        ours: Ours,
        theirs: Side,
        *,
        books: Mapping[str, Rates],
        half: Fraction,
        moved: Tokens | None = None,
    ) -> None:
        """Begin. `books` are the model's rates by version, `half` is half of their last digit.

        `moved` are tokens of ours that they count in another time, or we theirs.
        """
        self.ours, self.theirs = ours, theirs
        self.shape = max(ours.shapes.values(), key=lambda each: each.requests, default=None)
        self.rates = (self.shape and self.shape.rates) or next(iter(books.values()), None)
        self._books = books
        self._half = half
        self.parts: list[Part] = []
        self._counted = _comparable(ours.tokens, theirs.counted)
        self.delta = _differing(ours.tokens, self._counted)
        cost = self._their_cost()
        there = whole(cost or Fraction(0)) + whole(theirs.duplicates_cost)
        self.nano = 0 if cost is None else ours.nano + ours.duplicates_nano - there
        self.left = self.nano
        if cost is None:
            self._say(Kind.UNEXPLAINED, 0, "tokens that neither side has a price for")
            return
        self._find(moved or {})

    def _their_cost(self) -> Fraction | None:
        """Give what they charge; where they do not say, ours, but for other tokens at our price."""
        if self.theirs.cost is not None:
            return self.theirs.cost
        if not self.theirs.lines or self._counted == {}:
            return Fraction(0)
        more = value(self.delta, self.rates) if self.delta else Fraction(0)
        return None if more is None else self.ours.nano - more

    def _say(self, kind: Kind, nano: int, words: str = "") -> None:
        """Note a part and take it from what is left."""
        if nano or kind is Kind.UNEXPLAINED:
            self.parts.append(Part(kind, nano, words))
            self.left -= nano

    def _say_tokens(self, kind: Kind, tokens: Tokens, words: str) -> None:
        """Note tokens at our rates; without a rate nothing can be said of them."""
        worth = value(tokens, self.rates)
        if worth is not None:
            self._say(kind, whole(worth), words)

    def _find(self, moved: Tokens) -> None:
        ours = self.ours
        if ours.duplicates:
            words = f"{ours.duplicates} settled again under the same id of the provider"
            self._say(Kind.DUPLICATE, ours.duplicates_nano, words)
        if self.theirs.duplicates:
            words = f"{self.theirs.duplicates} lines say what another one has said"
            self._say(Kind.DUPLICATE, -whole(self.theirs.duplicates_cost), words)
        if moved:
            self._say_tokens(Kind.TIMING, moved, "on the other side of the edge")
        rest = less(self.delta, moved)
        if self._is_missing():
            return
        if rest:
            self._tokens(rest)
        if self.left:
            self._price()

    def _is_missing(self) -> bool:
        """Explain what one of the sides does not have at all."""
        ours, theirs = self.ours, self.theirs
        empty = not theirs.lines and not theirs.counted
        if empty and ours.requests:
            self._say(
                Kind.MISSING_THERE, self.left, f"{ours.requests} requests, none of them there"
            )
        elif not ours.requests and not empty:
            count = "" if theirs.requests is None else f"{theirs.requests} requests, "
            self._say(Kind.MISSING_HERE, self.left, f"{count}none of them in the ledger")
        else:
            return False
        return not self.left

    def _tokens(self, delta: Tokens) -> None:
        """Explain tokens that one side has more of."""
        more = 0 if self.theirs.requests is None else self.ours.requests - self.theirs.requests
        if more:
            kind = Kind.MISSING_THERE if more > 0 else Kind.MISSING_HERE
            there = "there" if more > 0 else "in the ledger"
            self._say_tokens(kind, delta, f"{abs(more)} requests are not {there}")
            return
        cached, words = self._cached(delta)
        if cached:
            self._say_tokens(Kind.CACHE, cached, words)
        rest = less(delta, cached)
        if rest:
            self._say_tokens(Kind.TOKENS, rest, counted(rest))

    def _cached(self, delta: Tokens) -> tuple[Tokens, str]:
        """Find what of a difference is about the cache, and say how."""
        theirs = self.theirs.counted or {}
        inputs: Tokens = {name: delta[name] for name in INPUTS if name in delta}
        total = sum(inputs.values())
        for names in (("cache_read",), WRITTEN, CACHED):
            cached = sum(theirs.get(name, 0) for name in names)
            if not cached:
                continue
            said = " and ".join(name.replace("_", " ") for name in names if theirs.get(name))
            if inputs == {"input": cached}:
                return inputs, f"{cached} tokens ({said}) are counted as input here, too"
            if inputs == {"input": -cached}:
                return inputs, f"{cached} tokens ({said}) are counted as input there, too"
            if inputs == {name: -theirs[name] for name in names if theirs.get(name)}:
                return inputs, f"{cached} tokens ({said}) are not counted here"
        moved: Tokens = {name: inputs[name] for name in CACHED if name in inputs}
        if not moved:
            return {}, ""
        out = sum(moved.values())
        kept = {"input": -out} if out else {}
        read = -moved.get("cache_read", 0)
        words = f"{read} tokens read from the cache are taken for others here"
        if read < 0:
            words = f"{-read} tokens are taken for read from the cache here, not there"
        elif not read:
            words = "tokens written to the cache are counted otherwise"
        return {**moved, **kept}, words if not total else f"{words}; of the rest see tokens"

    def _price(self) -> None:
        """Explain what is left where the tokens are the same: the price, or rounding."""
        tokens = self.ours.tokens if self._counted is None else self._counted
        if abs(self.left) <= self._slack():
            self._say(Kind.ROUNDING, self.left)
            return
        if self.ours.unpriced:
            count = self.ours.unpriced
            self._say(Kind.PRICE, self.left, f"{count} requests have no price here")
            return
        billed, words = self._version(tokens)
        if billed is not None and self.theirs.cost is not None:
            rest = whole(billed - self.theirs.cost)
            self._say(Kind.PRICE, self.left - rest, words)
            self._say(Kind.ROUNDING, rest)
        elif words := self._by_class(tokens):
            self._say(Kind.PRICE, self.left, words)
        elif self._counted is None and (cached := self._counted_twice(tokens)):
            self._say(Kind.CACHE, self.left, cached)
        else:
            self._say(Kind.UNEXPLAINED, self.left)

    def _slack(self) -> Fraction:
        """Give how much rounding can do: half a unit for each amount that was rounded."""
        return Fraction(self.ours.requests + 2 * len(self.parts) + 2, 2) + (
            self._half * self.theirs.lines
        )

    def _version(self, tokens: Tokens) -> tuple[Fraction | None, str]:
        """Find the version of the prices, or the part of a price, that they have billed at."""
        cost = self.theirs.cost
        if cost is None:
            return None, ""
        here = self.shape.version if self.shape else ""
        for version, rates in self._books.items():
            worth = value(tokens, rates)
            if worth is not None and abs(worth - cost) <= self._slack():
                versions = ", ".join(sorted(self.ours.shapes))
                return worth, f"billed as at version {version}, here {versions or here}"
        worth = value(tokens, self.rates)
        for factor in FACTORS if worth else ():
            if abs((worth or 0) * factor - cost) <= self._slack():
                return (worth or 0) * factor, f"billed at {factor} of the price here"
        return None, ""

    def _by_class(self, tokens: Tokens) -> str:
        """Say which rates are others, where they bill class by class or there is one class."""
        costs = dict(self.theirs.costs)
        if not costs and len(tokens) == 1 and self._counted is not None:
            costs = {next(iter(tokens)): self.theirs.cost or Fraction(0)}
        if not costs or set(costs) != set(tokens) or self.rates is None:
            return ""
        found = []
        for name, cost in costs.items():
            there, here = cost / tokens[name], self.rates.get(name)
            if here is None or abs(there - here) * tokens[name] > self._slack():
                found.append(f"{name} {_per_million(there)} there, {_per_million(here)} here")
        return "; ".join(found)

    def _counted_twice(self, tokens: Tokens) -> str:
        """Say whether the costs agree once cached tokens are taken out of our input."""
        cached = sum(tokens.get(name, 0) for name in CACHED)
        fixed = {**tokens, "input": tokens.get("input", 0) - cached}
        worth = value(fixed, self.rates) if cached and fixed["input"] >= 0 else None
        if worth is None or abs(worth - (self.theirs.cost or 0)) > self._slack():
            return ""
        return f"{cached} cached tokens are counted as input here, too"


def _comparable(ours: Tokens, theirs: Tokens | None) -> Tokens | None:
    """Give their counts; None where one side counts tokens and the other pictures or time."""
    if not ours or theirs is None:
        return theirs
    if ours.keys() <= _MEASURED:
        return theirs if theirs.keys() & _MEASURED else None
    return None if theirs and theirs.keys() <= _MEASURED else theirs


def _differing(ours: Tokens, theirs: Tokens | None) -> Tokens:
    """Give what differs; a picture that only we count beside its tokens does not."""
    if theirs is None:
        return {}
    beside = set() if ours.keys() <= _MEASURED else _MEASURED - theirs.keys()
    return {name: count for name, count in less(ours, theirs).items() if name not in beside}


def counted(tokens: Tokens) -> str:
    """Write a difference of tokens for people."""
    return ", ".join(f"{count:+} {name}" for name, count in tokens.items())


def _per_million(rate: Fraction | None) -> str:
    if rate is None:
        return "no price"
    return f"{format_nano(whole(rate * _MILLION))} per 1M"
