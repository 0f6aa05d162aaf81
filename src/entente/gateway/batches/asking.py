"""One request of a batch, asked as its key would ask it, and asked again where that is safe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.batches import Batch, Ending, Result
from entente.domain.chat import Call, Front, Status
from entente.domain.errors import (
    EntenteError,
    InvalidKey,
    InvalidParameter,
    LedgerError,
    UpstreamProtocolError,
)
from entente.domain.ids import Ids
from entente.domain.principal import Principal
from entente.domain.usage import NOTHING, Usage
from entente.gateway.batches.collector import Collector
from entente.gateway.batches.forms import ROUTES
from entente.gateway.client import Headers
from entente.gateway.pipeline import Gateway
from entente.gateway.running import Running
from entente.gateway.sides import client_side
from entente.ledger.model import Settlement
from entente.wire.attribution import attributed

RETRIED_STATUSES: Final = frozenset({429, 503, 529})
"""After these nothing was used, unless it `is_unsettled`, and a later request may succeed."""
RETRIES_MAX: Final = 20
RETRY_MS_MIN: Final = 500
RETRY_MS_MAX: Final = 60_000
RETRY_DIGITS_MAX: Final = 9
"""So many are far more than the longest wait."""
MS_PER_S: Final = 1_000
HTTP_NO_ANSWER: Final = 300

_log = logging.getLogger("entente.batches")

Pause = Callable[[float], Awaitable[bool]]
"""Waits so many seconds; False as soon as there is no point in going on."""


class _Reply(msgspec.Struct, frozen=True):
    """What came back once."""

    request_id: str
    status: int
    headers: Headers
    body: bytes
    usage: Usage = NOTHING
    is_unsettled: bool = False
    """A provider may have been asked: what it used goes to the ledger when that can be written."""


class Asking:
    """Asks the gateway for batches."""

    def __init__(
        self,
        gateway: Gateway,
        ids: Ids,
        find_key: Callable[[str], Principal | None],
        price_factor: Fraction,
        running: Running,
        *,
        drain_s: float,
        is_strict: bool = False,
    ) -> None:
        """Take the parts; `find_key` gives the holder of a key that is valid now, by its id.

        A request whose key ends is drained for `drain_s` at most. `is_strict` refuses what the
        vendor of a surface would.
        """
        self._running = running
        self._drain_s = drain_s
        self._is_strict = is_strict
        self._gateway = gateway
        self._ids = ids
        self._find_key = find_key
        self._price_factor = None if price_factor == 1 else price_factor

    async def ask(self, batch: Batch, key: str, line: tuple[str, bytes], pause: Pause) -> Result:
        """Get the answer to a line; wait out limits and overloads, as far as `pause` lets."""
        custom_id, body = line
        reply = await self._once(batch, key, body)
        for retry in range(RETRIES_MAX):
            wait_ms = _wait_ms(reply, retry)
            if wait_ms is None or not await pause(wait_ms / MS_PER_S):
                break
            reply = await self._once(batch, key, body)
        return Result(
            ending=Ending.COMPLETED if reply.status < HTTP_NO_ANSWER else Ending.FAILED,
            custom_id=custom_id,
            request_id=reply.request_id,
            status=reply.status,
            body=reply.body,
            usage=reply.usage,
        )

    async def _once(self, batch: Batch, key: str, body: bytes) -> _Reply:
        """Ask once."""
        request_id = self._ids.new("req")
        serving = ROUTES[batch.route]
        front = Front.AZURE if batch.is_azures else Front.OPENAI
        side = client_side(serving.surface, front)
        got = Collector()
        try:
            who = self._holder(key)
            if self._is_strict and serving.check is not None:
                serving.check(body, batch.is_azures)
            call = _decoded(serving.decode, body, front)
            entry = await self._serve(who, call, request_id, got)
            shown = _on_one_line(got.body)
        except EntenteError as error:
            told = side.error(error, request_id)
            is_unsettled = got.held and isinstance(error, LedgerError)
        except Exception:  # noqa: BLE001  (an outer boundary: the other lines go on)
            _log.exception("request %s of batch %s failed inside the server", request_id, batch.id)
            told = side.error(EntenteError(_DEFECT.format(request_id)), request_id)
            is_unsettled = False
        else:
            return _Reply(request_id, got.status, got.headers, shown, entry.usage)
        return _Reply(request_id, told.status, told.headers, told.body, is_unsettled=is_unsettled)

    def _holder(self, key: str) -> Principal:
        """Give who a key stands for. Raises InvalidKey."""
        who = self._find_key(key)
        if who is None:
            raise InvalidKey(_KEY_GONE)
        return who

    async def _serve(
        self, who: Principal, call: Call, request_id: str, got: Collector
    ) -> Settlement:
        """Have the gateway serve a call. Raises InvalidKey if the key ends meanwhile."""

        def cut(_: Collector, error: EntenteError) -> None:  # noqa: ARG001
            got.gone = True
            bound.reschedule(asyncio.get_running_loop().time() + self._drain_s)

        try:
            async with asyncio.timeout(None) as bound:
                self._running.begin(who.key_id, got, cut)
                entry = await self._gateway.chat(
                    who, call, request_id, got, got.hold, price_factor=self._price_factor
                )
        except TimeoutError:
            raise InvalidKey(_KEY_GONE) from None
        finally:
            self._running.end(who.key_id, got)
        if got.gone and entry.status is Status.CANCELLED:
            raise InvalidKey(_KEY_GONE)
        return entry


def _decoded(decode: Callable[[bytes], Call], body: bytes, front: Front) -> Call:
    call = decode(body)
    if call.stream:
        message = "Streams are not supported in batches. Leave `stream` out."
        raise InvalidParameter(message, param="stream", code="unsupported_value")
    return msgspec.structs.replace(attributed(call), front=front, is_batch=True)


def _on_one_line(body: bytes) -> bytes:
    """Write JSON without line breaks. Raises UpstreamProtocolError for what is none."""
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "The provider's answer does not read as JSON."
        raise UpstreamProtocolError(message) from None


def _wait_ms(reply: _Reply, retry: int) -> int | None:
    """Say how long to wait before the request is sent again; None where that is no use."""
    headers = dict(reply.headers)
    if reply.status not in RETRIED_STATUSES or reply.is_unsettled:
        return None
    if headers.get(b"x-should-retry") == b"false":
        return None
    told = headers.get(b"retry-after-ms", b"")
    if told.isdigit():
        return min(int(told[:RETRY_DIGITS_MAX]) + 1, RETRY_MS_MAX)
    told = headers.get(b"retry-after", b"")
    if told.isdigit():
        return min(int(told[:RETRY_DIGITS_MAX]) * MS_PER_S + 1, RETRY_MS_MAX)
    return int(min(RETRY_MS_MIN * 2**retry, RETRY_MS_MAX))


_DEFECT: Final = (
    "The server had an error while processing this request. "
    "Please give its id {} to your administrator, who finds it in the log."
)
_KEY_GONE: Final = "The key that made the batch is not valid any more."
