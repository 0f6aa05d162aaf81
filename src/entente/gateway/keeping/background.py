"""Responses in the background: they run on when their client has left, to be fetched later.

Each runs through the gateway as every call does, under its key's limits and budget, with
a hold and a settlement. What the server cannot bring to an end, because it stops or has
died, is a failed response that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from entente.domain.chat import Call
from entente.domain.errors import EntenteError, LimitError, Overloaded, StorageUnavailable
from entente.domain.principal import Principal, Role
from entente.gateway.keeping.recorder import Shelf
from entente.gateway.keeping.responses import Entry, names_in
from entente.gateway.keeping.run import Run
from entente.gateway.pipeline import Gateway
from entente.gateway.running import Running
from entente.objects import StoredObject, Wanted
from entente.objects.model import PAGE_MAX
from entente.wire import openai_responses
from entente.wire.openai_responses import State, stored
from entente.wire.sse import events

RUNS_MAX: Final = 1024
"""Responses in the making at once."""
KEY_RUNS_MAX: Final = 256
"""Those of one key, so that none can hold up all others."""
STORAGE_RETRY_S: Final = 1.0
"""How long a response that cannot be written stays in memory before it is tried again."""
RETRY_MS: Final = 5_000
"""When a key that has too many may try again."""
EVENTS_KIND: Final = "response.events"

_NS_PER_S: Final = 1_000_000_000
_FULL: Final = f"{RUNS_MAX} responses are being made in the background already. Try again soon."
_KEYS_FULL: Final = (
    f"{KEY_RUNS_MAX} responses are being made in the background for this key already. "
    "Try again when some have ended."
)
_STOPPED: Final = (
    "The server was stopped before the response was complete. What it used until then is "
    "settled. Send the request again."
)
_DIED: Final = (
    "The server ended while the response was being made, and it cannot be taken up again. What "
    "it may have used is settled at its upper bound. Send the request again."
)
_DEFECT: Final = "The server had an error while making the response. Sorry about that!"
_log = logging.getLogger("entente.gateway")


class _Making(msgspec.Struct):
    """A run, the call of the gateway that makes it, and who waits for its end."""

    run: Run
    serving: asyncio.Task[object]
    ending: asyncio.Task[None] | None = None


class Background:
    """The responses that are being made."""

    def __init__(
        self, gateway: Gateway, shelf: Shelf, running: Running, *, drain_s: float, worker: int
    ) -> None:
        """Take the parts. One that is cut is drained for `drain_s` at most.

        `worker` is the number of this process among those of the host, 0 if it is alone.
        """
        self._worker = worker
        self._gateway = gateway
        self._running = running
        self._drain_s = drain_s
        self._shelf = shelf
        self._making: dict[str, _Making] = {}
        self._late: set[asyncio.Task[None]] = set()
        """What keeps a response that could not be written when it ended."""

    @property
    def running(self) -> int:
        """Responses in the making now."""
        return len(self._making)

    async def begin(
        self, who: Principal, call: Call, asked: State, whole: Call, request_id: str
    ) -> Run:
        """Begin to make a response; it is admitted and on the disk, as queued, when this returns.

        `whole` is the call with what it builds on. Raises what the gateway does for a call
        that it refuses.
        """
        if len(self._making) >= RUNS_MAX:
            raise Overloaded(_FULL)
        if self._made_by(who.key_id) >= KEY_RUNS_MAX:
            raise LimitError(_KEYS_FULL, retry_after_ms=RETRY_MS)
        entry = Entry(self._shelf, who, call, asked, request_id)
        created_s = self._shelf.now_ns() // _NS_PER_S
        head = openai_responses.head(call, id=request_id, created_s=created_s, stored=True)
        queued = stored.queued(head)
        run = Run(entry, queued, streams=call.stream)
        loop = asyncio.get_running_loop()
        serving = loop.create_task(
            self._gateway.chat(who, whole, request_id, run, on_held=run.taken)
        )
        made = self._making[entry.id] = _Making(run, serving)
        self._running.begin(who.key_id, run, self._cut)
        try:
            await asyncio.wait((serving, run.held), return_when=asyncio.FIRST_COMPLETED)
            if not run.held.done():
                serving.result()
            await self._create(run, queued)
        except BaseException:
            serving.cancel()
            self._running.end(who.key_id, run)
            del self._making[entry.id]
            raise
        made.ending = loop.create_task(self._end(made))
        return run

    def _made_by(self, key_id: str) -> int:
        """Count what is being made for a key."""
        return sum(made.run.entry.who.key_id == key_id for made in self._making.values())

    def find(self, who: Principal, id: str) -> Run | None:
        """Give a response that is being made."""
        made = self._making.get(id)
        return made.run if made is not None and made.run.entry.who.project == who.project else None

    async def cancel(self, who: Principal, id: str) -> Run | None:
        """Stop making a response; it has ended when this returns. None if it is not being made."""
        run = self.find(who, id)
        if run is None:
            return None
        made = self._making[id]
        made.serving.cancel()
        if made.ending is not None:
            await asyncio.wait((made.ending,))
        return run

    def _cut(self, run: Run, _: EntenteError) -> None:
        """End a response whose key has ended; its provider is heard to the end, within a bound."""
        made = self._making.get(run.entry.id)
        if made is not None and run.cut():
            asyncio.get_running_loop().call_later(self._drain_s, made.serving.cancel)

    async def follow(self, who: Principal, id: str, after: int) -> AsyncIterator[bytes] | None:
        """Give the events of a response behind a number; None if it is none with events."""
        run = self.find(who, id)
        if run is not None:
            return run.follow(after) if run.streams else None
        kept = await self._shelf.objects.get(who, EVENTS_KIND, events_id(id))
        response = await self._shelf.objects.get(who, stored.KIND, id)
        if kept is None or response is None:
            return None
        log = list(events(kept.body))
        if not log:  # the server died: what it had sent is not known any more
            last = stored.write_event("response.failed", after + 1, response.body)
            return _given([last])
        return _given(log[after + 1 :])

    async def stop(self, within_s: float) -> None:
        """Let what runs come to its end within a time; then it ends as failed."""
        if not self._making:
            return
        running = [made.ending or made.serving for made in self._making.values()]
        await asyncio.wait([*running, *self._late], timeout=within_s)
        late = list(self._making.values())
        for made in late:
            made.run.reason = Overloaded(_STOPPED)
            made.serving.cancel()
        if late:
            await asyncio.wait([made.ending or made.serving for made in late])
        for task in self._late:
            task.cancel()

    async def recover(self, *, of_all: bool) -> None:
        """Fail what a server that died was making, or only the worker before this one.

        The ledger settles their holds by itself.
        """
        states = stored.all_running() if of_all else (stored.queued_at(self._worker),)
        asked = Wanted(limit=PAGE_MAX, states=states)
        while found := (await self._shelf.objects.of_all(stored.KIND, asked)).found:
            for kept in found:
                error = {"code": "server_error", "message": _DIED}
                body = stored.in_state(kept.body, "failed", error)
                ended = msgspec.structs.replace(kept, state="failed", body=body)
                await self._shelf.objects.replace(_owner(kept), ended)
            asked = msgspec.structs.replace(asked, after=found[-1].id)

    async def _create(self, run: Run, queued: bytes) -> None:
        """Write a response that begins, and a place for its events."""
        work = [run.entry.create(queued, stored.queued_at(self._worker))]
        if run.streams:
            work.append(self._shelf.objects.create(run.entry.who, self._events(run)))
        await asyncio.gather(*work)

    async def _end(self, made: _Making) -> None:
        """Wait for the end of a run, keep it, and let its followers know."""
        run, serving = made.run, made.serving
        await asyncio.wait((serving,))
        self._running.end(run.entry.who.key_id, run)
        error = None if serving.cancelled() else serving.exception()
        if error is not None and not isinstance(error, EntenteError):
            _log.error("response %s failed inside the server", run.entry.id, exc_info=error)
            error = EntenteError(_DEFECT)
        kind = run.end(cancelled=serving.cancelled(), error=error)
        try:
            await self._keep(run, kind)
        except StorageUnavailable as fault:
            _log.warning("response %s stays in memory for now: %s", run.entry.id, fault.message)
            task = asyncio.get_running_loop().create_task(self._keep_late(run, kind))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            del self._making[run.entry.id]
        run.close(kind)

    async def _keep_late(self, run: Run, kind: str) -> None:
        """Write what became of a run, as soon as that is possible."""
        while run.entry.id in self._making:
            await asyncio.sleep(STORAGE_RETRY_S)
            with contextlib.suppress(StorageUnavailable):
                await self._keep(run, kind)
                del self._making[run.entry.id]

    async def _keep(self, run: Run, kind: str) -> None:
        """Write what became of it. One that was deleted meanwhile stays deleted."""
        objects, who = self._shelf.objects, run.entry.who
        kept = await objects.get(who, stored.KIND, run.entry.id)
        if kept is None:
            return
        found = stored.read_kept(run.final)
        state = found.status if found is not None else "failed"
        ended = msgspec.structs.replace(kept, state=state, body=run.final)
        await objects.replace(who, ended, names=names_in(found) if found is not None else ())
        if run.streams:
            log = b"".join([*run.log, run.last_event(kind)])
            await objects.replace(who, msgspec.structs.replace(self._events(run), body=log))
        if found is not None and found.status in ("completed", "incomplete"):
            await run.entry.converse(found.output)

    def _events(self, run: Run) -> StoredObject:
        who = run.entry.who
        return StoredObject(
            id=events_id(run.entry.id),
            kind=EVENTS_KIND,
            project=who.project,
            key=who.key_id,
            created_ns=self._shelf.now_ns(),
            expires_ns=self._shelf.expiry_ns(),
            body=b"",
        )


def events_id(id: str) -> str:
    """Give the id of the events of a response: none that a path can name."""
    return f"{id}/events"


async def _given(log: list[bytes]) -> AsyncIterator[bytes]:
    """Give what is there."""
    for event in log:
        yield event


def _owner(kept: StoredObject) -> Principal:
    """Act for the key that made an object."""
    return Principal(key_id=kept.key, name="", role=Role.MEMBER, project=kept.project)
