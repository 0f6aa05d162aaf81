"""One realtime session: events pass both ways, and what governs it is done in between.

A client's event that begins a response goes on once its hold is durable; the event that
ends one goes to the client once its settlement is. Whoever ends the session, a response
that still runs is cancelled, awaited and settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from entente.domain.chat import Status
from entente.domain.errors import (
    EntenteError,
    InvalidKey,
    InvalidParameter,
    LimitError,
    ModelNotFound,
    Overloaded,
    RateLimited,
    RequestError,
    RequestTooLarge,
    Unpriced,
    UpstreamClosed,
)
from entente.domain.principal import Principal
from entente.gateway.reserve import Reserve
from entente.net import Message, Socket
from entente.net.socket import passed_on
from entente.wire import openai_realtime as events

WATCH_S: Final = 0.5
"""How often a session looks whether its time is up, and its key still good."""
AUDIO_BYTES_PER_TOKEN_MIN: Final = 256
"""A token of audio is 50 ms or more: 400 bytes in the leanest format, and more as text."""
POLICY: Final = 1008
"""RFC 6455: what the client did, or has left to do it with, is against a rule of ours."""
GOING_AWAY: Final = 1001
BROKEN: Final = 1011
NORMAL: Final = 1000

_BROKEN_OFF: Final = (
    "The provider's session broke off in the middle of a response. What was sent so far is not "
    "the whole of it."
)
_TOO_LONG: Final = "Your session hit the maximum duration of {:g} minutes."
_TOO_QUIET: Final = "Nothing was said in your session for {:g} minutes."
_SAID_ONLY: Final = (RequestError, RateLimited, RequestTooLarge, ModelNotFound, Unpriced)
"""Errors about one event of the client's; the session goes on."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long a session may take, and how large its messages may be."""

    idle_s: float
    """Without an event from either side."""
    session_s: float
    message_bytes_max: int
    drain_s: float
    """A response that runs when its client is not served any more has so long to end."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What a session asks of its surroundings."""

    holder: Callable[[str], Principal | None]
    """Gives the holder of a key by its id, None once it is revoked."""
    stopping: Callable[[], bool]
    """Whether the server stops."""
    scribe: Callable[[str], Reserve | None]
    """Gives what pays for a model that transcribes, None where it may not be used.

    Raises Unpriced.
    """
    new_id: Callable[[str], str]


class Session:
    """A client and a provider in conversation."""

    def __init__(
        self,
        client: Socket,
        upstream: Socket,
        reserve: Reserve,
        around: Around,
        bounds: Bounds,
        *,
        opening: bytes | None,
        tokens_max: int | None,
        transcribes: bool,
    ) -> None:
        """Take both ends. `opening` is the event that the provider is to hear first.

        `tokens_max` bounds what a response may give, None leaves it to the model.
        """
        self._client = client
        self._upstream = upstream
        self._reserve = reserve
        self._scribe: Reserve | None = reserve if transcribes else None
        self._scribes: dict[str, Reserve] = {}
        self._around = around
        self._bounds = bounds
        self._opening = opening
        self._tokens_max = tokens_max
        self._automatic = not transcribes
        """The provider may begin responses by itself; so it does where nothing is said."""
        self._over = False
        """The client is not served any more."""
        self._defect: BaseException | None = None
        self._opened = asyncio.Event()
        if opening is None:
            self._opened.set()
        self._now_s = asyncio.get_running_loop().time
        self._began_s = self._spoken_s = self._now_s()

    async def run(self) -> None:
        """Pass events until both sides have closed, or one has and all is settled."""
        loop = asyncio.get_running_loop()
        aside = [loop.create_task(self._hear_client()), loop.create_task(self._watch())]
        for task in aside:
            task.add_done_callback(self._aside_ended)
        try:
            await self._hear_provider()
        finally:
            for task in aside:
                task.cancel()
            await asyncio.wait(aside)
        if self._defect is not None:
            raise self._defect

    def settle(self) -> list[asyncio.Future[None]]:
        """Close all holds; to be called once, in the end."""
        status = Status.CANCELLED if self._over else Status.TRUNCATED
        return [done for reserve in self._reserves for done in reserve.close(status)]

    # ---- from the client ----

    async def _hear_client(self) -> None:
        """Pass the client's events on, until it leaves."""
        await self._opened.wait()
        while (message := await self._client.receive()) is not None and not self._over:
            self._spoken_s = self._now_s()
            self._look_at_key()
            about: str | None = None
            try:
                heard = events.hear(message.data)
                about = heard.event_id
                await self._pass_on(heard, text=message.text)
            except _SAID_ONLY as error:
                self._say(error, about)
        if not self._over:
            self._wind_up()

    async def _pass_on(self, heard: events.Heard, *, text: bool) -> None:
        """Pass an event on, once what it may begin is paid for."""
        data, creates = heard.data, heard.type == events.CREATE
        if creates or heard.type in events.UPDATES:
            data = events.limit_output(data, self._tokens_max)
        if heard.type in events.UPDATES:
            data = events.without_model(data)
            self._expect(events.read_session(data))
        if self._scribe is not None:
            await self._scribe.ready()
        if creates or self._automatic:
            await self._reserve.ready()
        if creates:
            event_id = heard.event_id or self._around.new_id("event")
            if heard.event_id is None:
                data = events.named(data, event_id)
            await self._reserve.promise(event_id)
            if self._automatic:
                self._reserve.renew()
        self._count(len(data), audio=heard.type in events.AUDIO)
        await self._upstream.send(Message(data, text))

    def _expect(self, shape: events.Shape) -> None:
        """Prepare for what a session may become. Raises ModelNotFound or Unpriced."""
        if shape.automatic is not False:
            self._automatic = True
        if shape.transcriber is not None:
            self._transcribe_with(shape.transcriber)

    def _transcribe_with(self, name: str) -> None:
        """Pay for transcriptions by another model from now on."""
        found = self._scribes.get(name) or self._around.scribe(name)
        if found is None:
            raise ModelNotFound(name)
        self._scribe = self._scribes[name] = found
        found.who = self._reserve.who
        found.target = self._reserve.target
        found.renew()

    # ---- from the provider ----

    async def _hear_provider(self) -> None:
        """Pass the provider's events on, until it closes."""
        try:
            while (message := await self._upstream.receive()) is not None:
                self._spoken_s = self._now_s()
                kind = events.type_of(message.data)
                self._count(len(message.data), audio=kind.endswith("audio.delta"))
                data = await self._follow(kind, message.data)
                if data is not None and not self._over:
                    await self._client.send(Message(data, message.text))
                if self._over and not self._busy:
                    self._upstream.close(NORMAL)
        except EntenteError as error:
            self._end(error, BROKEN)
            return
        if not self._over:
            if self._busy:
                self._say(UpstreamClosed(_BROKEN_OFF))
            self._client.close(*passed_on(self._upstream.ending))

    async def _follow(self, kind: str, data: bytes) -> bytes | None:
        """Do what an event governs; give what the client is to see of it.

        Raises LedgerError.
        """
        match kind:
            case "response.created":
                await self._begun(self._reserve, events.read_response(data).id)
            case "response.done":
                await self._done(self._reserve, events.read_response(data))
            case _ if kind in events.CONFIGURED:
                return self._configured(kind, data)
            case "input_audio_buffer.committed" if self._scribe is not None:
                await self._begun(self._scribe, events.read_transcript(data).id)
            case (
                "conversation.item.input_audio_transcription.completed"
                | "conversation.item.input_audio_transcription.failed"
            ):
                for reserve in self._reserves:
                    await self._done(reserve, events.read_transcript(data))
            case "error" if self._opening is not None:
                self._client.post(Message(data))
                self._client.close(POLICY, "The session's configuration was refused.")
                self._wind_up()
            case "error":
                self._reserve.release(events.read_error(data))
        return data

    def _configured(self, kind: str, data: bytes) -> bytes | None:
        """Take note of what the session is; one that has to begin otherwise is not shown yet."""
        if self._opening is not None and kind.endswith(".created"):
            self._upstream.post(Message(self._opening))
            return None
        self._shaped(events.read_session(data))
        if self._opening is None:
            return data
        self._opening = None
        self._opened.set()
        return events.as_created(data)

    async def _begun(self, reserve: Reserve, id: str) -> None:
        """Note that the provider has begun something; where it must not, cancel it."""
        refusal = await reserve.begin(id)
        if refusal is not None or self._over:
            self._upstream.post(Message(events.CANCEL))
        if refusal is not None and isinstance(refusal, RateLimited | RequestTooLarge):
            self._say(refusal)
        elif refusal is not None:
            self._end(refusal, POLICY)
        else:
            self._provide(reserve)

    async def _done(self, reserve: Reserve, done: events.Done) -> None:
        """Settle what has come to its end, durably."""
        settled = reserve.end(done.id, done.status, done.usage)
        if settled is not None:
            await settled
            self._provide(reserve)

    def _provide(self, reserve: Reserve) -> None:
        """Put aside for what the provider may begin by itself."""
        by_itself = reserve is self._scribe or (reserve is self._reserve and self._automatic)
        if by_itself and not self._over:
            reserve.renew()

    def _shaped(self, shape: events.Shape) -> None:
        """Take note of what the session is now."""
        if shape.automatic is not None:
            self._automatic = shape.automatic
        if shape.transcriber is not None:
            try:
                self._transcribe_with(shape.transcriber)
            except (ModelNotFound, Unpriced) as error:
                self._end(error, POLICY)
        elif shape.says_transcriber and self._scribe is not self._reserve:
            self._scribe = None

    # ---- the end ----

    @property
    def _busy(self) -> bool:
        """Whether anything runs that will have to be paid for."""
        return any(reserve.busy for reserve in self._reserves)

    @property
    def _reserves(self) -> tuple[Reserve, ...]:
        """All that the session is paid from, each once."""
        others = [scribe for scribe in self._scribes.values() if scribe is not self._reserve]
        return (self._reserve, *others)

    async def _watch(self) -> None:
        """End the session when its time is up, its key is gone or the server stops."""
        bounds = self._bounds
        while True:
            await asyncio.sleep(WATCH_S)
            self._look_at_key()
            now_s = self._now_s()
            if self._around.stopping() and not self._busy:
                self._end(Overloaded("The server is stopping. Connect again."), GOING_AWAY)
            elif now_s - self._began_s >= bounds.session_s:
                self._end(_expired(_TOO_LONG.format(bounds.session_s / 60)), GOING_AWAY)
            elif now_s - self._spoken_s >= bounds.idle_s:
                self._end(_expired(_TOO_QUIET.format(bounds.idle_s / 60)), GOING_AWAY)

    def _look_at_key(self) -> None:
        """See that the key still holds. Raises InvalidKey."""
        who = self._around.holder(self._reserve.who.key_id)
        if who is None:
            raise InvalidKey("The key of this session was revoked.")
        for reserve in self._reserves:
            reserve.who = who

    def _aside_ended(self, task: asyncio.Task[None]) -> None:
        """End the session on what went wrong aside."""
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, EntenteError):
            against = isinstance(error, LimitError | InvalidKey)
            self._end(error, POLICY if against else BROKEN)
        elif error is not None:
            self._defect = error
            self._upstream.abort()

    def _end(self, error: EntenteError, code: int) -> None:
        """Tell the client why it is not served any more, and close."""
        if self._over:
            return
        self._say(error)
        self._client.close(code, error.message)
        self._wind_up()

    def _wind_up(self) -> None:
        """Let nothing more begin, and close with the provider once all is settled."""
        self._over = True
        if self._busy:
            self._upstream.post(Message(events.CANCEL))
            asyncio.get_running_loop().call_later(self._bounds.drain_s, self._upstream.abort)
        else:
            self._upstream.close(*passed_on(self._client.ending))

    def _say(self, error: EntenteError, about: str | None = None) -> None:
        """Send an error as an event."""
        event = events.error_event(error, self._around.new_id("event"), about)
        self._client.post(Message(event))

    def _count(self, size: int, *, audio: bool) -> None:
        """Note what a message can stand for at most, in tokens."""
        tokens = size // AUDIO_BYTES_PER_TOKEN_MIN + 1 if audio else size
        for reserve in self._reserves:
            reserve.passed(tokens)


def _expired(message: str) -> InvalidParameter:
    """Say that a session's time is up."""
    return InvalidParameter(message, param=None, code="session_expired")
