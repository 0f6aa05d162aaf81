"""Asking a provider something that costs nothing, to learn whether our credentials are good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

import msgspec

from entente.net import Client

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
OK: Final = 200
REFUSALS: Final = frozenset({401, 403})


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said."""

    asked: str
    """The path that was asked for, without its query."""
    status: int
    accepted: bool | None
    """Whether our credentials are good; None where the answer does not tell."""
    date: str = ""
    """The provider's clock, as an HTTP date; "" where it gave none."""


@runtime_checkable
class Checkable(Protocol):
    """A provider that is reached over the network."""

    async def check(self) -> Checked:
        """Ask what costs nothing, most often for the list of models.

        Raises UpstreamError, UpstreamRefused among them where credentials got no token.
        """


Judge: TypeAlias = Callable[[int, bytes, bytes], bool | None]
"""Tells from status, body and error type (AWS's) whether credentials were accepted."""


def by_status(status: int, _body: bytes, _kind: bytes) -> bool | None:
    """Judge as most vendors mean it."""
    return True if status == OK else False if status in REFUSALS else None


async def ask(client: Client, target: str, headers: bytes, judge: Judge = by_status) -> Checked:
    """Send a GET and judge its answer. Raises UpstreamError."""
    answer = await client.request(b"GET", target.encode("ascii"), headers)
    try:
        body = await answer.read(ANSWER_BYTES_MAX)
    finally:
        await answer.aclose()
    return Checked(
        asked=target.partition("?")[0],
        status=answer.status,
        accepted=judge(answer.status, body, answer.headers.get(b"x-amzn-errortype", b"")),
        date=answer.headers.get(b"date", b"").decode("latin-1"),
    )
