"""Meters: holds that draw on several at once, in the ledger and proved from its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
import pytest

from entente.domain.errors import BudgetExceeded, LimitError, RateLimited, RequestTooLarge
from entente.domain.rules import DEPLOYMENT_RULE, Level, Unit
from entente.domain.usage import Usage
from entente.ledger.books import Books
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS, verify
from entente.ledger.ledger import Ledger
from entente.ledger.memory import MemoryJournal
from entente.ledger.meters import SPEND, Counter, Draw, Meters, Taken, meter_name, read_meter
from entente.ledger.model import AnyEntry, Hold
from entente.ledger.reader import Position
from entente.ledger.refusals import WITHIN
from tests.kit.entries import AT_NS, held, now_ns, rows_of, settled
from tests.kit.run import run, turns

ORG = "spend|r1|2023-11|organization:"
TEAM = "spend|r2|2023-11-14|project:alpha"
CALLS = "requests|r3|2023-11-14T22:13|key:key_a"
TOKENS = "tokens|r4|2023-11-14T22:13|key:key_a"
ATONCE = "concurrency|r5|all|key:key_a"
"""Windows of the moment at which the tests stand still, 2023-11-14 22:13:20."""


def _drawing(id: str, *draws: Draw, nano: int = 0) -> Hold:
    return msgspec.structs.replace(held(id, nano, bounded=False), draws=draws)


def _ledger(wait_s: float = 1000.0) -> Ledger:
    return Ledger(MemoryJournal(), Books(), now_ns=now_ns, budget_wait_s=wait_s)


def _counts(ledger: Ledger) -> dict[str, tuple[int, int]]:
    return {name: (c.used, c.pending) for name, c in ledger.books.meters.counters.items()}


def _verified(ledger: Ledger) -> Meters:
    assert isinstance(ledger.journal, MemoryJournal)
    report, books = verify(ledger.journal.rows)
    assert report.problems == []
    return books.meters


@pytest.mark.parametrize("subject", ["key:a", "model:meta/llama|70b", "end_user:é @x|y\n"])
def test_a_name_reads_back(subject: str) -> None:
    """Whatever a client calls its users."""
    name = meter_name(Unit.SPEND, "rule_1", "2026-11@Europe/Berlin", subject)
    assert read_meter(name) == (Unit.SPEND, "rule_1", "2026-11@Europe/Berlin", subject)


def test_an_upper_bound_gives_way_to_the_truth() -> None:
    """Money to its cost, tokens to those used, a request stays one, and none runs any more."""

    async def scenario() -> None:
        ledger = _ledger()
        draws = (Draw(ORG, 9, 10), Draw(CALLS, 1, 5), Draw(TOKENS, 100), Draw(ATONCE, 1, 1))
        opened = _drawing("r", *draws, nano=9)
        await ledger.hold(opened)
        assert _counts(ledger) == {ORG: (0, 9), CALLS: (0, 1), TOKENS: (0, 100), ATONCE: (0, 1)}
        await ledger.settle(settled(opened, 4))
        assert _counts(ledger) == {ORG: (4, 0), CALLS: (1, 0), TOKENS: (3, 0), ATONCE: (0, 0)}
        assert _verified(ledger) == ledger.books.meters

    run(scenario())


@pytest.mark.parametrize(
    ("before", "draw", "kind", "words"),
    [
        (
            Draw(CALLS, 2),
            Draw(CALLS, 1, 2),
            RateLimited,
            (
                "Rate limit reached for m with this key on requests per min (RPM): Limit 2, "
                "Used 2, Requested 1. Please try again in 40s."
            ),
        ),
        (
            Draw(TOKENS, 60),
            Draw(TOKENS, 41, 100),
            RateLimited,
            (
                "Rate limit reached for m with this key on tokens per min (TPM): Limit 100, "
                "Used 60, Requested 41. Please try again in 40s."
            ),
        ),
        (
            Draw(TOKENS, 0),
            Draw(TOKENS, 101, 100),
            RequestTooLarge,
            (
                "Request too large for m with this key on tokens per min (TPM): Limit 100, "
                "Requested 101. The input or output tokens must be reduced in order to run "
                "successfully."
            ),
        ),
        (
            Draw(ATONCE, 3),
            Draw(ATONCE, 1, 3),
            RateLimited,
            "This key has 3 requests running, and may have 3 at once. Please try again in 1s.",
        ),
        (
            Draw("requests|r|all|key:key_a", 1),
            Draw("requests|r|all|key:key_a", 1, 1),
            LimitError,
            (
                "Rate limit reached for m with this key on requests in total: Limit 1, Used 1, "
                "Requested 1. This limit does not renew."
            ),
        ),
        (
            Draw("requests|r|2023-W46|key:key_a", 1),
            Draw("requests|r|2023-W46|key:key_a", 1, 1),
            RateLimited,
            (
                "Rate limit reached for m with this key on requests per week: Limit 1, Used 1, "
                "Requested 1. Please try again in 438400s."
            ),
        ),
    ],
)
def test_a_limit_refuses_at_once(
    before: Draw, draw: Draw, kind: type[LimitError], words: str
) -> None:
    """In OpenAI's words where it has them; nothing is taken on any meter."""

    async def scenario() -> None:
        ledger = _ledger()
        await ledger.hold(_drawing("before", before))
        counts = _counts(ledger)
        with pytest.raises(LimitError) as caught:
            await ledger.hold(_drawing("r", Draw(ORG, 1, 10), draw, nano=1))
        assert type(caught.value) is kind
        assert caught.value.message == words
        assert _counts(ledger) == counts

    run(scenario())


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("organization:", "This organization is at the end of its budget for 2023-11: this"),
        ("end_user:eve", "and 0.000000002 USD are left and 0.000000008 held by running"),
        ("project:alpha", "The project `alpha` is at the end of its budget for 2023-11: this"),
    ],
)
def test_what_is_left_is_told_of_what_is_ones_own(subject: str, words: str) -> None:
    """What others have left of a budget that they share is not for every key to know."""

    async def scenario() -> str:
        ledger, meter = _ledger(wait_s=0.0), f"spend|r|2023-11|{subject}"
        await ledger.hold(_drawing("before", Draw(meter, 8, 10), nano=8))
        with pytest.raises(BudgetExceeded) as caught:
            await ledger.hold(_drawing("r", Draw(meter, 3, 10), nano=3))
        return caught.value.message

    message = run(scenario())
    assert words in message
    assert ("left" in message) is subject.startswith("end_user")


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("organization:", "in this organization"),
        ("project:alpha", "in the project `alpha`"),
        ("model:m", "across all keys"),
        ("tag:night", "under the tag `night`"),
        ("user:ann", "for the user `ann`"),
        ("end_user:{0}`", "for the end user `{0}``"),
        ("key:key_a", "with this key"),
        ("deployment:d", "in the deployment `d`"),
    ],
)
def test_a_limit_says_whose_it_is(subject: str, words: str) -> None:
    """So that who is refused knows whether others share it; a key goes unnamed."""

    async def scenario(unit: Unit, amount: int) -> str:
        ledger, meter = _ledger(), meter_name(unit, "r", "2023-11-14T22:13", subject)
        await ledger.hold(_drawing("before", Draw(meter, 2, 2)))
        with pytest.raises(LimitError) as caught:
            await ledger.hold(_drawing("r", Draw(meter, amount, 2)))
        return caught.value.message

    for unit, rate in ((Unit.REQUESTS, "requests per min (RPM)"), (Unit.TOKENS, "tokens per min")):
        said = run(scenario(unit, 1))
        assert said.startswith(f"Rate limit reached for m {words} on {rate}")
    assert f"too large for m {words} on" in run(scenario(Unit.TOKENS, 3))


def test_every_level_has_words_for_it() -> None:
    """A new one is not found by whom it refuses."""
    assert set(WITHIN) == {*Level, DEPLOYMENT_RULE}


def test_money_that_others_hold_is_waited_for() -> None:
    """On whichever meter; and first come is first served on each of them."""

    async def scenario() -> None:
        ledger = _ledger()
        first = _drawing("first", Draw(ORG, 6, 10), Draw(TEAM, 6, 8), nano=6)
        await ledger.hold(first)
        both = asyncio.create_task(
            ledger.hold(_drawing("both", Draw(ORG, 5, 10), Draw(TEAM, 5, 8), nano=5))
        )
        await turns()
        other = asyncio.create_task(ledger.hold(_drawing("other", Draw(ORG, 1, 10), nano=1)))
        await turns()
        assert not both.done()
        assert not other.done(), "it must not overtake on the meter that both draw on"
        elsewhere = _drawing("elsewhere", Draw("spend|r9|all|key:key_b", 1, 1), nano=1)
        await ledger.hold(elsewhere)
        await ledger.settle(settled(first, 1))
        await asyncio.gather(both, other)
        assert _counts(ledger)[ORG] == (1, 6)
        _verified(ledger)

    run(scenario())


def test_a_line_moves_on_when_its_head_is_refused() -> None:
    """A settlement above its hold can make waiting pointless."""

    async def scenario() -> None:
        ledger = _ledger()
        first = _drawing("first", Draw(ORG, 6, 10), nano=6)
        await ledger.hold(first)
        large = asyncio.create_task(ledger.hold(_drawing("large", Draw(ORG, 9, 10), nano=9)))
        small = asyncio.create_task(ledger.hold(_drawing("small", Draw(ORG, 2, 10), nano=2)))
        await turns()
        await ledger.settle(settled(first, 5))
        with pytest.raises(BudgetExceeded):
            await large
        await small
        assert _counts(ledger) == {ORG: (5, 2)}

    run(scenario())


def test_a_limit_is_looked_at_again_after_the_wait() -> None:
    """While it waited for money, others took the last request of the minute."""

    async def scenario() -> None:
        ledger = _ledger()
        first = _drawing("first", Draw(ORG, 6, 10), nano=6)
        await ledger.hold(first)
        waits = asyncio.create_task(
            ledger.hold(_drawing("waits", Draw(ORG, 5, 10), Draw(CALLS, 1, 1), nano=5))
        )
        await turns()
        await ledger.hold(_drawing("quick", Draw(CALLS, 1, 1)))
        await ledger.settle(settled(first, 0))
        with pytest.raises(RateLimited):
            await waits
        assert _counts(ledger) == {ORG: (0, 0), CALLS: (0, 1)}

    run(scenario())


def test_a_soft_limit_only_counts() -> None:
    """However far it is passed."""

    async def scenario() -> None:
        ledger = _ledger()
        opened = [_drawing(f"r{n}", Draw(ORG, 10**12), nano=10**12) for n in range(3)]
        for each in opened:
            await ledger.hold(each)
            await ledger.settle(settled(each, 10**12))
        assert _counts(ledger) == {ORG: (3 * 10**12, 0)}

    run(scenario())


def test_a_place_without_a_hold() -> None:
    """Taken, given back, or ended with what was used: nothing of it is written."""

    async def scenario() -> None:
        ledger = _ledger()
        draws = (Draw(CALLS, 1, 2), Draw(TOKENS, 50, 100))
        place = await ledger.admit(draws, "m", AT_NS)
        other = await ledger.admit(draws, "m", AT_NS)
        with pytest.raises(RateLimited, match="requests per min"):
            await ledger.admit(draws, "m", AT_NS)
        ledger.release(place)
        ledger.used(other, Usage(input=30))
        assert _counts(ledger) == {CALLS: (1, 0), TOKENS: (30, 0)}
        assert _verified(ledger).counters == {}

    run(scenario())


@pytest.mark.parametrize(
    "draws", [(Draw(ORG, 11, 10),), (Draw(ORG, 6, 10), Draw(ORG, 5, 10)), (Draw(ORG, -1, 10),)]
)
def test_a_journal_that_passes_a_limit_does_not_verify(draws: tuple[Draw, ...]) -> None:
    """In one entry or in two, which is where a gateway would go wrong unseen."""
    report, _ = verify(rows_of(_drawing(f"r{n}", draw) for n, draw in enumerate(draws)))
    assert [f"exceeds the limit of {ORG}" in problem for problem in report.problems] == [True]


def test_money_is_known_by_its_first_letter() -> None:
    """What settles looks at no more of a meter's name."""
    assert [unit for unit in Unit if unit[0] == SPEND[0]] == [Unit.SPEND]


def test_what_was_held_and_settled_unseen_counts_the_same() -> None:
    """A checkpoint looks at requests when they are over; each unit counts its own."""
    draws = [Draw(name, 7, 100) for name in (ORG, CALLS, TOKENS, ATONCE)]
    taken = Taken(5, Usage(input=2, output=1))
    watched, unseen = Meters(), Meters()
    for _ in range(2):
        watched.hold(draws)
        watched.settle(draws, taken)
        unseen.add(draws, taken)
    assert unseen == watched
    assert [counter.used for counter in unseen.counters.values()] == [10, 2, 6, 0]


def test_windows_that_are_over_are_forgotten() -> None:
    """After a day, and not while something is pending on them."""
    day = 24 * 3600 * 10**9
    meters = Meters()
    meters.hold([Draw(CALLS, 1), Draw(ATONCE, 1), Draw(ORG, 1)])
    meters.prune(AT_NS + 2 * day)
    assert set(meters.counters) == {CALLS, ATONCE, ORG}
    for counter in meters.counters.values():
        counter.pending = 0
    meters.prune(AT_NS + day // 2)
    assert set(meters.counters) == {CALLS, ATONCE, ORG}
    meters.prune(AT_NS + 2 * day)
    assert set(meters.counters) == {ATONCE, ORG}


def test_the_ledger_forgets_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes go by, and memory does not grow with them."""
    monkeypatch.setattr("entente.ledger.ledger.COUNTERS_KEPT", 4)

    async def scenario() -> None:
        ledger = _ledger()
        for number in range(10, 60):
            meter = f"requests|r|2023-01-01T00:{number}|key:a"
            opened = _drawing(f"r{number}", Draw(meter, 1, 9))
            await ledger.hold(opened)
            await ledger.settle(settled(opened))
            assert len(ledger.books.meters.counters) <= 4

    run(scenario())


def test_a_checkpoint_stands_where_the_books_do() -> None:
    """Whatever is open; and a start that goes on from it counts the same."""
    entries: list[AnyEntry] = []
    opened = [_drawing(f"r{n}", Draw(ORG, 5, 100), Draw(ATONCE, 1), nano=5) for n in range(4)]
    saved: list[Position] = []
    checkpoints = Checkpoints(Position(0, GENESIS, Books()), saved.append)
    books = Books()
    entries.extend(opened)
    entries += [settled(opened[0], 3), settled(opened[2], 5)]
    for entry in entries:
        books.apply(entry)
    checkpoints.written(entries, len(entries), GENESIS)
    position = checkpoints.position()
    assert position.books == books
    assert position.books.meters.counters == {ORG: Counter(8, 10), ATONCE: Counter(0, 2)}
    resumed = Checkpoints(position, saved.append)
    last = settled(opened[1], 1)
    resumed.written([last], 7, GENESIS)
    books.apply(last)
    assert resumed.position().books == books
    again = msgspec.json.decode(msgspec.json.encode(books), type=Books)
    assert again == books


def test_who_listens_hears_where_meters_stand() -> None:
    """After each settlement, of every meter that was drawn on."""
    heard: list[tuple[str, int, int]] = []
    refusals: list[tuple[str, str | None]] = []

    class Hearing:
        """Notes what it is told."""

        def settled(self, draws: Iterable[Draw], standing: Callable[[str], Counter]) -> None:
            """Note where meters stand."""
            for draw in draws:
                counter = standing(draw.meter)
                heard.append((draw.meter, counter.used, counter.pending))

        def refused(self, hold: Hold, draw: Draw | None, counter: Counter | None) -> None:
            """Note what did not fit into what."""
            assert (draw is None) is (counter is None)
            refusals.append((hold.id, draw.meter if draw else None))

        def unpriced(self, model: str) -> None:
            """Nothing here has no price."""
            raise AssertionError(model)

    async def scenario() -> None:
        ledger = Ledger(
            MemoryJournal(), Books(), now_ns=now_ns, budget_wait_s=0.0, watcher=Hearing()
        )
        opened = [_drawing(f"r{n}", Draw(ORG, 5, 10), Draw(CALLS, 1), nano=5) for n in range(2)]
        for each in opened:
            await ledger.hold(each)
        assert heard == []
        for each in opened:
            await ledger.settle(settled(each, 4))
        with pytest.raises(LimitError):
            await ledger.hold(_drawing("late", Draw(ORG, 5, 10), nano=5))

    run(scenario())
    assert heard == [(ORG, 4, 5), (CALLS, 1, 1), (ORG, 8, 0), (CALLS, 2, 0)]
    assert refusals == [("late", ORG)]


def test_other_books_keep_the_places_of_what_runs() -> None:
    """Another server has settled the holds; places are of this one, which gives them back."""

    async def scenario() -> None:
        ledger = _ledger()
        place = await ledger.admit((Draw(ATONCE, 1, 2), Draw(CALLS, 1, 10)), "m", AT_NS)
        await ledger.hold(_drawing("r", Draw(ATONCE, 1, 2)))
        ledger.restart(Books())
        assert _counts(ledger) == {ATONCE: (0, 1), CALLS: (0, 1)}
        ledger.used(place, Usage(input=1))
        assert _counts(ledger) == {ATONCE: (0, 0), CALLS: (1, 0)}

    run(scenario())


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_meter_that_is_forgotten_under_a_hold_of_nothing(*, is_settled: bool) -> None:
    """A clock that jumps ahead ends its window; the request ends as any other."""
    day = 24 * 3600 * 10**9
    books = Books()
    opened = _drawing("a", Draw(CALLS, 0, 1))
    books.apply(opened)
    books.meters.prune(AT_NS + 2 * day)
    assert books.meters.counters == {}
    if is_settled:
        books.apply(settled(opened, 0))
        assert books.meters.of(CALLS) == Counter(used=1, pending=0)
    else:
        books.retract(opened)
        assert books.meters.of(CALLS) == Counter()
