"""A stand-in for a provider of realtime sessions: a WebSocket server that is not our own.

What a response is like is said by the words of the last user item, see `Sitting._respond`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any, Final, Self

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    import ssl

    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import Server
    from websockets.http11 import Request, Response

    from tests.support.server import EntenteServer

KEY: Final = "vendor-key-9a7c31"
MODEL: Final = "gpt-realtime"
USAGE: Final = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
"""The specification's own example."""
COST_NANO: Final = 55 * 4_000 + 64 * 400 + 13 * 32_000 + 30 * 16_000 + 91 * 64_000
"""What that costs at `PRICE`."""
HOLD_NANO: Final = 1_000 * 32_000 + 4_096 * 64_000
"""The most that a response of the model `rt` can cost."""
PRICE: Final = (
    'price = { currency = "USD", per = "1M tokens", input = "4", cached_input = "0.4", '
    'output = "16", audio_input = "32", audio_output = "64" }'
)
SCRIBE_USAGE: Final = {
    "type": "tokens",
    "total_tokens": 22,
    "input_tokens": 13,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
    "output_tokens": 9,
}
SPEECH: Final = "c3BlZWNo"
"""Audio at whose end the provider begins a response by itself, if it listens for turns."""


def config(base_url: str, *, extra: str = "") -> str:
    """Configure a model that is served by a stand-in, and some that are not."""
    return f"""
[providers.vendor]
kind = "openai"
base_url = "{base_url}/v1"
api_key = "env:VENDOR_KEY"

[providers.cloud]
kind = "azure"
base_url = "{base_url}"
api_key = "env:VENDOR_KEY"
api_version = "2025-04-01-preview"

[providers.fake]
kind = "scripted"

[models."rt"]
targets = [{{ provider = "vendor", model = "{MODEL}" }}]
context_tokens = 1000
output_tokens_max = 4096
{PRICE}

[models."cloudy"]
targets = [{{ provider = "cloud", model = "my deployment" }}]
context_tokens = 1000
output_tokens_max = 4096
{PRICE}

[models."scribe"]
targets = [{{ provider = "vendor", model = "scribe" }}]
context_tokens = 1000
output_tokens_max = 1000
price = {{ currency = "USD", per = "1M tokens", input = "2", output = "5", audio_input = "6" }}

[models."free"]
targets = [{{ provider = "vendor", model = "{MODEL}" }}]

[models."text"]
targets = [{{ provider = "fake", model = "text" }}]
{extra}
"""


ENVIRON: Final = {"VENDOR_KEY": KEY}


class Sitting:
    """One session, from the provider's side."""

    def __init__(self, vendor: Vendor, socket: ServerConnection) -> None:
        """Begin as the vendor does: audio in and out, listening for turns."""
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.raw: list[str | bytes] = []
        self.closed = asyncio.Event()
        self._vendor = vendor
        self._ids = itertools.count(1)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._words = ""
        request = socket.request
        assert request is not None
        only_hears = "intent=transcription" in request.path
        self.session: dict[str, Any] = {
            "type": "transcription" if only_hears else "realtime",
            "object": "realtime.session",
            "id": "sess_1",
            "model": MODEL,
            "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": True}}},
        }

    async def say(self, kind: str, **fields: Any) -> None:
        """Send an event; to a client that has gone it is none."""
        event = {"type": kind, "event_id": f"event_{next(self._ids)}", **fields}
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(json.dumps(event))

    async def run(self) -> None:
        """Serve until the client leaves."""
        try:
            await self.say("session.created", session=self.session)
            async for message in self.socket:
                self.raw.append(message)
                event = json.loads(message)
                self.heard.append(event)
                try:
                    await self._hear(event)
                except (KeyError, IndexError, TypeError, AttributeError, ValueError):
                    error = {"type": "invalid_request_error", "message": "That is no event."}
                    await self.say("error", error=error)
        except (ConnectionClosed, ValueError):
            pass
        finally:
            for task in self._running.values():
                task.cancel()
            self.closed.set()

    async def _hear(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self._update(event["session"])
                await self.say("session.updated", session=self.session)
            case "conversation.item.create":
                item = {"id": f"item_{next(self._ids)}", **event["item"]}
                self._words = item["content"][0].get("text", "")
                await self.say("conversation.item.added", item=item)
            case "response.create" if self._words == "refuse":
                error = {
                    "type": "invalid_request_error",
                    "code": "conversation_already_has_active_response",
                    "message": "There is an active response.",
                    "param": None,
                    "event_id": event.get("event_id"),
                }
                await self.say("error", error=error)
            case "response.create":
                await self._begin()
            case "response.cancel":
                for id, task in list(self._running.items()):
                    task.cancel()
                    await self._done(id, "cancelled", USAGE)
            case "input_audio_buffer.append":
                await self._listen(event["audio"])
            case "input_audio_buffer.commit":
                await self._commit(f"item_{next(self._ids)}")

    def _update(self, session: dict[str, Any]) -> None:
        """Change what is said, and nothing else."""
        given = session.get("audio", {}).get("input", {})
        self.session["audio"]["input"].update(given)
        self.session.update({name: value for name, value in session.items() if name != "audio"})

    async def _listen(self, audio: str) -> None:
        """Take audio; a turn may end in it."""
        turns = self.session["audio"]["input"]["turn_detection"]
        if audio != SPEECH or turns is None:
            return
        item_id = f"item_{next(self._ids)}"
        await self.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id)
        await self._commit(item_id)
        if turns.get("create_response", True) and self.session["type"] == "realtime":
            await self._begin()

    async def _commit(self, item_id: str) -> None:
        """Make an item of what was heard, and transcribe it if that is wanted."""
        await self.say("input_audio_buffer.committed", item_id=item_id)
        if self.session["audio"]["input"].get("transcription"):
            kind = "conversation.item.input_audio_transcription.completed"
            fields = {"item_id": item_id, "content_index": 0, "transcript": "Hello."}
            await self.say(kind, **fields, usage=SCRIBE_USAGE)

    async def _begin(self) -> None:
        """Begin a response, which a cancellation that comes with the event finds begun."""
        id = f"resp_{next(self._ids)}"
        self._vendor.begun += 1
        await self.say("response.created", response={"id": id, "status": "in_progress"})
        self._running[id] = asyncio.get_running_loop().create_task(self._respond(id, self._words))

    async def _respond(self, id: str, words: str) -> None:
        """Go on with a response: `wait` waits in it, `break` breaks off, `bye` closes."""
        place = {"item_id": f"item_of_{id}", "output_index": 0, "content_index": 0}
        await self.say("response.output_audio.delta", response_id=id, delta="AAAA" * 100, **place)
        if words == "wait":
            await self._vendor.go_on.wait()
        elif words == "break":
            self.socket.transport.abort()
            return
        elif words == "bye":
            await self.socket.close(4321, "enough for today")
            return
        usage = None if words == "no usage" else USAGE
        status = "incomplete" if words == "long" else "completed"
        await self._done(id, status, usage)

    async def _done(self, id: str, status: str, usage: dict[str, Any] | None) -> None:
        self._running.pop(id, None)
        details = (
            {"type": status, "reason": "max_output_tokens"} if status == "incomplete" else None
        )
        response = {"id": id, "object": "realtime.response", "status": status, "output": []}
        await self.say(
            "response.done", response={**response, "status_details": details, "usage": usage}
        )


class Vendor:
    """Listens on loopback; `sittings` are its sessions, `begun` counts responses."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Keep what it listens on; use as an async context manager."""
        self.port = port
        self.sittings: list[Sitting] = []
        self.requests: list[Request] = []
        self.begun = 0
        self.go_on = asyncio.Event()
        """What responses wait for that wait."""
        self._tls = tls
        self._server: Server | None = None

    @property
    def base_url(self) -> str:
        """Base URL without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await serve(
            self._sit,
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            process_request=self._admit,
            max_size=2**26,
            compression=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Look at the credentials as the vendor does; some paths are refused."""
        self.requests.append(request)
        shown = request.headers.get("authorization") or request.headers.get("api-key")
        if shown not in (f"Bearer {KEY}", KEY):
            return connection.respond(401, '{"error":{"message":"no"}}')
        if "forbidden-model" in request.path:
            body = '{"error":{"message":"No such model.","type":"invalid_request_error"}}'
            return connection.respond(404, body)
        return None

    async def _sit(self, socket: ServerConnection) -> None:
        sitting = Sitting(self, socket)
        self.sittings.append(sitting)
        await sitting.run()


def url(server: EntenteServer, path: str = "/v1/realtime?model=rt") -> str:
    """Write a WebSocket's address at a server of ours."""
    return f"ws://127.0.0.1:{server.port}{path}"


def dial(
    server: EntenteServer, key: str, path: str = "/v1/realtime?model=rt", **options: Any
) -> connect:
    """Connect as a client that is none of ours does."""
    headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
    options.setdefault("compression", None)
    options.setdefault("open_timeout", None)  # `run` has the bound, for a machine that is busy
    return connect(
        url(server, path), additional_headers=headers, max_size=None, proxy=None, **options
    )


async def until_type(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Read on until an event of a type."""
    while True:
        event: dict[str, Any] = json.loads(await socket.recv())
        if event["type"] == kind:
            return event


async def ask(socket: ClientConnection, words: str) -> None:
    """Say something, and ask for a response."""
    content = [{"type": "input_text", "text": words}]
    item = {"type": "message", "role": "user", "content": content}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create"}))


async def listen_for_no_turns(socket: ClientConnection) -> None:
    """Have the provider begin no response by itself."""
    audio = {"input": {"turn_detection": None}}
    session = {"type": "realtime", "audio": audio}
    await socket.send(json.dumps({"type": "session.update", "session": session}))
    await until_type(socket, "session.updated")
