"""One request of a batch, where what asks it has a defect."""

from __future__ import annotations

import asyncio
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import msgspec

from entente.domain.batches import Batch, Ending
from entente.domain.ids import Ids
from entente.gateway.batches.asking import Asking
from entente.gateway.batches.forms import BATCH
from entente.gateway.running import Running

if TYPE_CHECKING:
    import pytest

    from entente.domain.principal import Principal
    from entente.gateway.pipeline import Gateway


def test_a_defect_fails_one_line_and_not_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets an error with the request's id, and the log says what was wrong."""

    def find_key(_: str) -> Principal:
        message = "nobody has thought of this"
        raise ValueError(message)

    async def pause(_: float) -> bool:
        return True

    ids = Ids(lambda: 1, lambda _: 1)
    nobody = cast("Gateway", None)  # it does not come that far
    asking = Asking(nobody, ids, find_key, Fraction(1), Running(), drain_s=1)
    batch = Batch(id="batch_1", kind=BATCH, route="/v1/chat/completions", created_s=1, expires_s=2)
    with caplog.at_level(logging.ERROR, "entente.batches"):
        result = asyncio.run(asking.ask(batch, "key_1", ("a", b"{}"), pause))
    assert (result.ending, result.custom_id, result.status) == (Ending.FAILED, "a", 500)
    error = msgspec.json.decode(result.body)["error"]
    assert result.request_id in error["message"]
    assert "nobody has thought of this" not in error["message"]
    assert result.request_id in caplog.text
    assert "nobody has thought of this" in caplog.text
