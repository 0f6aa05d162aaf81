"""The provider itself: finds the reply for a call and plays it."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from entente.domain.chat import Surface
from entente.domain.errors import (
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from entente.providers.scripted.embeddings import plan_embeddings
from entente.providers.scripted.plan import Frame, Plan, plan_answer, plan_error
from entente.providers.scripted.request import ChatRequest, decode_request
from entente.providers.scripted.script import ErrorReply, Reply, Script, When
from entente.providers.scripted.wire import Stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from entente.domain.ids import NowNs
    from entente.providers.base import Ask

CALLS_KEPT_MAX: Final = 1_000
CALLS_KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
_QUOTED_CHARS_MAX: Final = 80
_MS_PER_S: Final = 1_000
_NS_PER_S: Final = 1_000_000_000

Sleep: TypeAlias = "Callable[[float], Awaitable[None]]"
"""Waits for so many seconds."""


class SeenCall(msgspec.Struct, frozen=True):
    """A call as it reached the provider."""

    model: str
    body: bytes
    request_id: str


class _Rule:
    """A reply, its compiled condition, and how often it may still be given."""

    __slots__ = ("_left", "_pattern", "reply")

    def __init__(self, reply: Reply) -> None:
        """Compile the reply's regular expression."""
        self.reply = reply
        self._left = reply.times
        when = reply.when
        self._pattern = re.compile(when.matches) if when and when.matches is not None else None

    def take(self, request: ChatRequest) -> bool:
        """Tell whether the reply answers this request, and count it if so."""
        if self._left == 0 or not self._holds(self.reply.when, request):
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def _holds(self, when: When | None, request: ChatRequest) -> bool:
        """Tell whether all conditions hold."""
        if when is None:
            return True
        text = request.last_user_text()
        return (
            (when.model is None or when.model == request.model)
            and (when.stream is None or when.stream == bool(request.stream))
            and (when.last_role is None or when.last_role == request.last_role)
            and (when.tool is None or request.offers(when.tool))
            and (when.contains is None or when.contains in text)
            and (self._pattern is None or self._pattern.search(text) is not None)
        )


class ScriptedProvider:
    """Answers from a script. For one event loop; not for threads.

    A request that no reply matches gets a 400 with the code `no_scripted_reply`.
    """

    dialect = "openai"
    surfaces = frozenset({Surface.CHAT, Surface.EMBEDDINGS})
    credentials = ("api_key",)
    quirks = None

    def __init__(self, name: str, script: Script, *, now_ns: NowNs, sleep: Sleep) -> None:
        """Take the wall clock, which dates the answers, and `sleep`, which paces them."""
        self._name = name
        self._rules = tuple(_Rule(reply) for reply in script.replies)
        self._now_ns = now_ns
        self._sleep = sleep
        self._calls: deque[SeenCall] = deque()
        self._calls_bytes = 0
        self._calls_total = 0
        self._attempts_total = 0
        self._open: set[ScriptedAnswer] = set()
        self._closed = False

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._name

    @property
    def calls(self) -> tuple[SeenCall, ...]:
        """The last calls, oldest first: at most 1,000 and, but for one, 16 MiB of bodies."""
        return tuple(self._calls)

    @property
    def calls_total(self) -> int:
        """All calls that reached the provider."""
        return self._calls_total

    @property
    def attempts_total(self) -> int:
        """All calls, and those for which no connection could be made."""
        return self._attempts_total

    @property
    def open_answers(self) -> int:
        """Answers that were neither read to their end nor closed: at rest there are none."""
        return len(self._open)

    async def open(self, ask: Ask) -> ScriptedAnswer:
        """Find the reply and give the head of its answer, after its delay.

        Raises UpstreamConnectError and UpstreamTimeout where the script says so.
        """
        if self._closed:
            message = f"The provider {self._name} is closed."
            raise UpstreamConnectError(message)
        self._attempts_total += 1
        if ask.surface is Surface.EMBEDDINGS:
            return self._play(plan_embeddings(ask.body, self._stamp(self._record(ask))))
        found = self._find(ask)
        if isinstance(found, ErrorReply):
            return self._play(plan_error(found, self._stamp(self._record(ask))))
        request, reply = found
        number = self._record(ask) if _reaches(reply) else 0
        if reply.first_delay_ms:
            await self._sleep(reply.first_delay_ms / _MS_PER_S)
        self._raise_failure(reply)
        return self._play(plan_answer(request, reply, self._stamp(number)))

    async def aclose(self) -> None:
        """Close all answers; whoever waits on one gets UpstreamClosed."""
        self._closed = True
        for answer in tuple(self._open):
            await answer.aclose()

    def _find(self, ask: Ask) -> tuple[ChatRequest, Reply] | ErrorReply:
        """Read the request and take the first reply that matches, or say what is wrong."""
        if ask.surface is not Surface.CHAT:
            message = f"The scripted provider serves chat and embeddings, not {ask.surface}."
            return ErrorReply(status=404, message=message)
        try:
            request = decode_request(ask.body)
        except ValueError as error:
            return ErrorReply(status=400, message=str(error))
        for rule in self._rules:
            if rule.take(request):
                return request, rule.reply
        said = request.last_user_text()[:_QUOTED_CHARS_MAX]
        message = (
            f"No reply in the script of provider {self._name} matches the model "
            f"{request.model!r} and the user message {said!r}; end the script with a reply "
            f"that has no `when` and no `times`."
        )
        return ErrorReply(status=400, message=message, code="no_scripted_reply")

    def _record(self, ask: Ask) -> int:
        """Log a call that reached the provider, and give its number from 1."""
        self._calls_total += 1
        self._calls.append(SeenCall(ask.model, ask.body, ask.request_id))
        self._calls_bytes += len(ask.body)
        while len(self._calls) > CALLS_KEPT_MAX or (
            self._calls_bytes > CALLS_KEPT_BYTES_MAX and len(self._calls) > 1
        ):
            self._calls_bytes -= len(self._calls.popleft().body)
        return self._calls_total

    def _stamp(self, number: int) -> Stamp:
        """Date an answer."""
        return Stamp(number, self._now_ns() // _NS_PER_S)

    def _raise_failure(self, reply: Reply) -> None:
        """Raise what the script says instead of an answer, or that we closed meanwhile."""
        if self._closed:
            message = f"The provider {self._name} was closed while the call waited."
            raise UpstreamClosed(message)
        if reply.connect_error:
            message = f"The script of provider {self._name} refuses the connection."
            raise UpstreamConnectError(message)
        if reply.timeout is not None:
            message = f"The script of provider {self._name} times out ({reply.timeout})."
            raise UpstreamTimeout(message, phase=reply.timeout)

    def _play(self, plan: Plan) -> ScriptedAnswer:
        """Start an answer and keep it in sight until it ends."""
        answer = ScriptedAnswer(plan, self._sleep, self._open.discard)
        self._open.add(answer)
        return answer


def _reaches(reply: Reply) -> bool:
    """Tell whether the call gets to the provider at all."""
    return not reply.connect_error and reply.timeout != "connect"


class ScriptedAnswer:
    """Plays a plan, for one reader.

    A `chunk` that is cancelled loses nothing: the next one gives the same bytes.
    """

    sends = 1

    def __init__(self, plan: Plan, sleep: Sleep, on_end: Callable[[ScriptedAnswer], None]) -> None:
        """Take the plan, and whom to tell once when the exchange is over."""
        self._plan = plan
        self._sleep = sleep
        self._on_end = on_end
        self._next: Frame | None = None
        self._closed = asyncio.Event()

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._plan.status

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Headers by lower-case name."""
        return self._plan.headers

    async def chunk(self) -> bytes:
        """Give the next frame after its delay, b"" at a clean end.

        Raises UpstreamClosed or UpstreamTimeout where the script breaks the answer, and
        UpstreamClosed once the answer was closed.
        """
        self._raise_if_closed()
        frame = self._next = self._next or next(self._plan.frames, None)
        if frame is None:
            return await self._end()
        if frame.delay_ms:
            await self._sleep(frame.delay_ms / _MS_PER_S)
            self._raise_if_closed()
        self._next = None
        return frame.data

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand on frames after their delays; see `Answer.pour`."""
        while piece := await self.chunk():
            if not take(piece):
                return True
        return False

    async def read(self, bytes_max: int) -> bytes:
        """Give the rest of the body. Raises UpstreamProtocolError past the bound."""
        body = bytearray()
        while piece := await self.chunk():
            body += piece
            if len(body) > bytes_max:
                message = f"The provider's answer is longer than {bytes_max} bytes."
                raise UpstreamProtocolError(message)
        return bytes(body)

    async def aclose(self) -> None:
        """Let go of the exchange; a `chunk` that waits raises UpstreamClosed."""
        self._closed.set()
        self._on_end(self)

    async def _end(self) -> bytes:
        """End the body in the way of the plan."""
        if self._plan.end == "stall":
            await self._closed.wait()
            self._raise_if_closed()
        self._on_end(self)
        if self._plan.end == "close":
            message = "The provider closed the connection in the middle of its answer."
            raise UpstreamClosed(message)
        if self._plan.end == "idle_timeout":
            message = "The provider stopped sending in the middle of its answer."
            raise UpstreamTimeout(message, phase="idle")
        return b""

    def _raise_if_closed(self) -> None:
        """Refuse to read on after `aclose`."""
        if self._closed.is_set():
            message = "The answer was closed by its reader."
            raise UpstreamClosed(message)
