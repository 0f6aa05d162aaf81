"""The plan of who is asked, and when another may be."""

from __future__ import annotations

import pytest

from entente.domain.errors import (
    UpstreamBusy,
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamTimeout,
)
from entente.routing.catalog import Model, Target, plan, retriable, retriable_status


def test_the_plan_asks_each_target_once_in_order() -> None:
    """Its length is the bound on attempts."""
    targets = (Target("a", "x"), Target("b", "y"))
    assert plan(Model(name="m", targets=targets, output_tokens_max=1)) == targets
    assert str(targets[0]) == "a/x"


@pytest.mark.parametrize(
    ("error", "another"),
    [
        (UpstreamConnectError("no connection"), True),
        (UpstreamBusy("too many"), True),
        (UpstreamTimeout("slow", phase="connect"), True),
        (UpstreamTimeout("slow", phase="first_byte"), False),
        (UpstreamClosed("closed"), False),
        (UpstreamProtocolError("no HTTP"), False),
        (UpstreamRefused("401"), False),
        (UpstreamError("other"), False),
    ],
)
def test_another_target_only_if_this_one_got_nothing(error: UpstreamError, another: bool) -> None:
    """A request that may have been served is not paid for twice."""
    assert retriable(error) is another


@pytest.mark.parametrize(
    "status", [200, 301, 400, 401, 403, 404, 408, 422, 429, 500, 501, 503, 529]
)
def test_statuses(status: int) -> None:
    """Overload and outage are worth another target; the client's own mistakes are not."""
    assert retriable_status(status) is (status in {408, 429, 500, 502, 503, 504, 529})
