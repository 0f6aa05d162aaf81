"""The data plane as one ASGI callable: route, authorise, decode, serve, refuse.

This is one of the two places that catch everything: whatever a request runs into, its
client gets an answer in its own dialect, and the server goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import msgspec

from entente.auth import KeyRing
from entente.domain.errors import (
    EntenteError,
    InvalidKey,
    MissingKey,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
)
from entente.domain.ids import Ids
from entente.domain.principal import Principal
from entente.gateway.pipeline import Gateway
from entente.http.client import ClientGone, HttpClient, Receive, Send
from entente.http.routes import Match, Route, Router
from entente.policy.access import may_use
from entente.routing.catalog import Catalog, Model
from entente.telemetry.metrics import CONTENT_TYPE, Monitor
from entente.wire import openai
from entente.wire.openai_errors import render

BODY_IDLE_S: Final = 30.0
CLIENT_STALL_S: Final = 120.0
"""A client that takes nothing for so long has left."""
WATCH_S: Final = 1.0
OPEN_WHILE_STOPPING: Final = frozenset({"/healthz", "/readyz"})
HINT_CHARS: Final = 8
HINT_TAIL_CHARS: Final = 4

Scope: TypeAlias = MutableMapping[str, Any]
_Handler: TypeAlias = Callable[
    ["Match", "Scope", Principal | None, HttpClient, str], Awaitable[None]
]

_log = logging.getLogger("entente.http")
_JSON: Final = (b"content-type", b"application/json")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The data plane's slice of the configuration."""

    body_bytes_max: int
    inflight_max: int
    drain_s: float
    started_s: int
    """When the server started, seconds since 1970: models have existed since then."""


class DataPlane:
    """Serves the route table. `ring` gives the keys in force, `trouble` what is wrong now."""

    def __init__(
        self,
        *,
        router: Router,
        gateway: Gateway,
        catalog: Catalog,
        ring: Callable[[], KeyRing],
        trouble: Callable[[], dict[str, str]],
        monitor: Monitor,
        ids: Ids,
        settings: Settings,
    ) -> None:
        """Take the parts, all made and owned by `app`."""
        self._router = router
        self._gateway = gateway
        self._catalog = catalog
        self._ring = ring
        self._trouble = trouble
        self._monitor = monitor
        self._ids = ids
        self._settings = settings
        self._clients: set[HttpClient] = set()
        self.stopping = False
        self._handlers: dict[str, _Handler] = {
            "chat": self._chat,
            "list_models": self._list_models,
            "get_model": self._get_model,
            "health": self._health,
            "ready": self._ready,
            "metrics": self._metrics,
        }

    @property
    def inflight(self) -> int:
        """Requests being served now."""
        return len(self._clients)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        request_id = self._ids.new("req")
        client = HttpClient(receive, send, request_id, asyncio.get_running_loop().time())
        self._clients.add(client)
        try:
            await self._serve(scope, client, request_id)
        except ClientGone:
            return
        except EntenteError as error:
            await self._refuse(client, error)
        except asyncio.CancelledError:
            if not client.cut:
                raise
        except Exception:  # noqa: BLE001  (an outer boundary)
            _log.exception("request %s failed inside the server", request_id)
            await self._refuse(client, EntenteError(_INTERNAL.format(request_id)))
        finally:
            self._clients.discard(client)

    async def _serve(self, scope: Scope, client: HttpClient, request_id: str) -> None:
        """Route, authorise and hand over to the route's handler."""
        if self.stopping and scope["path"] not in OPEN_WHILE_STOPPING:
            raise Overloaded(_STOPPING)
        if len(self._clients) > self._settings.inflight_max:
            raise Overloaded(_FULL)
        match = self._router.find(scope["method"], scope["path"])
        who = self._authorise(match.route, scope["headers"])
        await self._handlers[match.route.action](match, scope, who, client, request_id)

    async def watch(self) -> None:
        """Look after the clients that a request's own task cannot look after, once a second.

        Ends the drain of those that have left, and cuts off those that stopped reading.
        Runs until cancelled.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_S)
            now = loop.time()
            for client in list(self._clients):
                stalled = client.stalled_since_s
                if (stalled is not None and now - stalled > CLIENT_STALL_S) or (
                    client.body_read and client.gone and client.left_for_s > self._settings.drain_s
                ):
                    client.cut_off()

    def _authorise(self, route: Route, headers: list[tuple[bytes, bytes]]) -> Principal | None:
        """Find who is asking and whether the route is theirs. None on routes for anyone."""
        if not route.roles:
            return None
        presented = presented_key(headers)
        if presented is None:
            raise MissingKey(_NO_KEY)
        who = self._ring().find(presented)
        if who is None:
            raise InvalidKey(_BAD_KEY.format(_masked(presented)))
        if who.role not in route.roles:
            message = f"This key has the role {who.role}; {route.path} needs {_names(route)}."
            raise PermissionDenied(message)
        return who

    async def _refuse(self, client: HttpClient, error: EntenteError) -> None:
        """Answer with an error; once an answer has begun there is nothing more to say."""
        if client.started:
            return
        reply = render(error)
        self._monitor.refused(reply.status)
        await client.answer(reply.status, (_JSON, *reply.headers), reply.body)

    async def _chat(
        self, _: Match, scope: Scope, who: Principal | None, client: HttpClient, request_id: str
    ) -> None:
        """POST /v1/chat/completions."""
        assert who is not None  # noqa: S101  (the route has roles)
        body = await client.body(
            scope["headers"], bytes_max=self._settings.body_bytes_max, idle_s=BODY_IDLE_S
        )
        await self._gateway.chat(who, openai.decode_chat(body), request_id, client)

    async def _list_models(
        self, _: Match, __: Scope, who: Principal | None, client: HttpClient, ___: str
    ) -> None:
        """GET /v1/models."""
        listed = [self._model(m) for m in self._catalog.values() if who and may_use(who, m.name)]
        await _json(client, {"object": "list", "data": listed})

    async def _get_model(
        self, match: Match, _: Scope, who: Principal | None, client: HttpClient, __: str
    ) -> None:
        """GET /v1/models/{id}."""
        model = self._catalog.get(match.parameter)
        if model is None or who is None or not may_use(who, model.name):
            raise ModelNotFound(match.parameter)
        await _json(client, self._model(model))

    async def _health(
        self, _: Match, __: Scope, ___: Principal | None, client: HttpClient, ____: str
    ) -> None:
        """GET /healthz: the process answers."""
        await _json(client, {"status": "ok"})

    async def _ready(
        self, _: Match, __: Scope, ___: Principal | None, client: HttpClient, ____: str
    ) -> None:
        """GET /readyz: requests can be served now, or what stands against it."""
        trouble = self._trouble()
        if self.stopping:
            trouble["server"] = _STOPPING
        body = {
            "status": "unavailable" if trouble else "ok",
            **({"trouble": trouble} if trouble else {}),
        }
        await _json(client, body, status=503 if trouble else 200)

    async def _metrics(
        self, _: Match, __: Scope, ___: Principal | None, client: HttpClient, ____: str
    ) -> None:
        """GET /metrics."""
        await client.answer(200, ((b"content-type", CONTENT_TYPE),), self._monitor.render())

    def _model(self, model: Model) -> dict[str, object]:
        """Write a model as OpenAI lists it."""
        return {
            "id": model.name,
            "object": "model",
            "created": self._settings.started_s,
            "owned_by": model.owned_by,
        }


def presented_key(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Give the key of `Authorization: Bearer KEY` or `api-key: KEY`, None for neither."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer" and key.strip():
                return key.strip()
        elif name == b"api-key" and value:
            return value.strip()
    return None


async def _json(client: HttpClient, body: object, status: int = 200) -> None:
    """Answer with JSON."""
    await client.answer(status, (_JSON,), msgspec.json.encode(body))


def _masked(presented: bytes) -> str:
    """Show enough of a wrong key to recognise it, never half of it."""
    text = presented.decode("latin-1")
    if not text.isascii() or not text.isprintable() or len(text) < 4 * HINT_CHARS:
        return "***"
    return f"{text[:HINT_CHARS]}***{text[-HINT_TAIL_CHARS:]}"


def _names(route: Route) -> str:
    """List the roles of a route."""
    return " or ".join(sorted(route.roles))


_STOPPING: Final = "The server is stopping. Try again in a moment."
_FULL: Final = "The server has reached its bound of requests at once. Try again in a moment."
_INTERNAL: Final = (
    "The server had an error while processing your request. Sorry about that! "
    "Please give the request id {} to your administrator."
)
_NO_KEY: Final = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or in an api-key header. "
    "An administrator makes keys with `entente keys create`."
)
_BAD_KEY: Final = (
    "Incorrect API key provided: {}. "
    "An administrator lists keys with `entente keys list` and makes them with "
    "`entente keys create`."
)
