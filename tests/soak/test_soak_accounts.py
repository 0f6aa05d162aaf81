"""The accounts of the long drills see what they are there to see."""

from __future__ import annotations

import pytest

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, Hold, Settlement
from soak.accounts import Accounts
from tests.support.load import FIRST_NUMBER, Sent
from tests.support.rawclient import Reply

NUMBER = FIRST_NUMBER + 7


def hold(number: int = NUMBER, id_: str = "r") -> Hold:
    """Write a hold of a request."""
    return Hold(id=id_, at_ns=1, key="k", asset="USD", model="m", nano=0, output_tokens=number)


def settlement(id_: str = "r", *, output: int = 5, recovered: bool = False) -> Settlement:
    """Write the settlement of a whole answer, or of a guess after a crash."""
    return Settlement(
        id=id_,
        at_ns=2,
        key="k",
        asset="USD",
        model="m",
        status=Status.COMPLETE,
        usage=Usage(input=3, output=output),
        cost_nano=0,
        attempts=1,
        recovered=recovered,
        estimated=recovered,
    )


def answered(request_id: str = "r") -> Sent:
    """Write what a client got that was answered."""
    return Sent(
        NUMBER, stream=False, reply=Reply(200, {"x-request-id": request_id}, b"", whole=True)
    )


def accounts(*entries: AnyEntry, called: bool = True) -> Accounts:
    """Make the accounts of an upstream that reports five tokens."""
    made = Accounts(5)
    made.ledger(entries)
    made.upstream([NUMBER] if called else [])
    return made


def test_one_request_that_all_agree_on() -> None:
    """Nothing is missing, and everything is counted."""
    made = accounts(hold(), settlement())
    made.clients([answered()])
    assert (made.lost(), made.open_holds, made.faults) == (0, 0, 0)
    assert (made.requests, made.entries, made.calls, made.answered) == (1, 2, 1, 1)


def test_recovered_after_a_kill_is_not_lost() -> None:
    """A call without an answer, settled by the next start at a guess."""
    made = accounts(hold(), settlement(output=9, recovered=True))
    assert (made.lost(), made.faults, made.recovered, made.estimated) == (0, 0, 1, 1)


@pytest.mark.parametrize("entries", [(), (hold(),)], ids=["no hold", "no settlement"])
def test_a_call_without_an_account_is_lost(entries: tuple[AnyEntry, ...]) -> None:
    """The upstream was asked, and the ledger does not say all about it."""
    made = accounts(*entries)
    assert made.lost() == 1
    assert "called without" in made.said[0]


def test_an_answer_that_is_settled_at_a_guess_is_lost() -> None:
    """A client that has its whole answer has a settlement at the upstream's word."""
    made = accounts(hold(), settlement(recovered=True))
    made.clients([answered()])
    assert made.lost() == 1


def test_a_complete_settlement_without_a_call_is_lost() -> None:
    """The ledger says of a call what the upstream never had."""
    assert accounts(hold(), settlement(), called=False).lost() == 1


def test_another_use_than_the_upstream_reported() -> None:
    """The settlement names tokens that nobody reported."""
    assert "another use" in accounts(hold(), settlement(output=6)).said[0]


def test_what_stands_twice_or_comes_from_nowhere() -> None:
    """A second hold of a request, and a settlement without one."""
    assert "held twice" in accounts(hold(), settlement(), hold(id_="s")).said[0]
    assert "without an open hold" in accounts(settlement()).said[0]


def test_an_answer_under_another_name() -> None:
    """The id that the client was told belongs to another request."""
    made = accounts(hold(), settlement())
    made.clients([answered("s")])
    assert made.faults == 1
    assert "two ids" in made.said[0]
