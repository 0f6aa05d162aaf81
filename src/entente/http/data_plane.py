"""The data plane, called once per exchange: route, authorise, decode, serve, refuse.

This is one of the two places that catch everything: whatever a request runs into, its
client gets an answer in its own dialect, and the server goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from entente.auth import KeyRing
from entente.domain.chat import Front, Surface
from entente.domain.errors import (
    EntenteError,
    InvalidKey,
    InvalidToken,
    MissingKey,
    Overloaded,
    PermissionDenied,
    UnknownRoute,
)
from entente.domain.ids import Ids
from entente.domain.principal import Principal
from entente.gateway.running import Running
from entente.gateway.sides import client_side
from entente.http.exchange import ClientGone, Exchange
from entente.http.handler import JSON, Handler, is_anthropics, presented_key
from entente.http.routes import NO_DEPLOYMENTS, Match, Route, Router
from entente.routing.deployments import Deployments
from entente.telemetry.metrics import Monitor
from entente.wire import azure, azure_management
from entente.wire.carried import carried
from entente.wire.openai_errors import ErrorReply

OPEN_WHILE_STOPPING: Final = frozenset({"/healthz", "/readyz"})
HINT_CHARS: Final = 8
HINT_TAIL_CHARS: Final = 4
TOKEN_DOTS: Final = 2
"""A JSON Web Token has three parts; our keys have no dot."""

FindBearer: TypeAlias = Callable[[bytes], Awaitable[Principal | None]]
"""Gives whom a bearer token of a configured issuer stands for, None if it is not valid."""

_log = logging.getLogger("entente.http")


class DataPlane:
    """Serves the route table.

    `handlers` has one for each action of the table, `ring` gives the keys in force, and
    `bearer` reads tokens of issuers if there are any; `session_key` finds whose a key is that
    opens realtime sessions only.
    """

    def __init__(
        self,
        *,
        router: Router,
        handlers: Mapping[str, Handler],
        ring: Callable[[], KeyRing],
        bearer: FindBearer | None,
        session_key: FindBearer | None = None,
        monitor: Monitor,
        ids: Ids,
        running: Running,
        inflight_max: int,
        deployments: Deployments = NO_DEPLOYMENTS,
    ) -> None:
        """Take the parts, all made and owned by `app`."""
        self._router = router
        self._handlers = handlers
        self._ring = ring
        self._bearer = bearer
        self._session_key = session_key
        self._monitor = monitor
        self._ids = ids
        self._running = running
        self._inflight_max = inflight_max
        self._deployments = deployments
        self.inflight = 0
        """Requests being served now."""
        self.stopping = False

    async def __call__(self, exchange: Exchange) -> None:
        """Serve one HTTP request."""
        exchange.request_id = self._ids.new("req")
        self.inflight += 1
        who: Principal | None = None
        try:
            match = self._find(exchange)
            who = await self._authorise(match.route, exchange)
            if who is not None:
                self._running.begin(who.key_id, exchange, self._cut)
            await self._handlers[match.route.action](exchange, who, match)
        except ClientGone:
            exchange.abandon()
        except EntenteError as error:
            await self._refuse(exchange, error)
        except asyncio.CancelledError:
            if exchange.cut:
                exchange.abandon()
                return
            await self._refuse(exchange, Overloaded(STOPPING))
            raise
        except Exception:  # noqa: BLE001  (an outer boundary)
            _log.exception("request %s failed inside the server", exchange.request_id)
            await self._refuse(exchange, EntenteError(_INTERNAL.format(exchange.request_id)))
        finally:
            self.inflight -= 1
            if who is not None:
                self._running.end(who.key_id, exchange)

    async def serve_passed_on(self, exchange: Exchange) -> None:
        """Serve a request that another worker has passed on; it goes no further."""
        exchange.is_passed_on = True
        await self(exchange)

    def _find(self, exchange: Exchange) -> Match:
        """Find the route, if another request can be served now."""
        if self.stopping and exchange.path not in OPEN_WHILE_STOPPING:
            raise Overloaded(STOPPING)
        if self.inflight > self._inflight_max:
            raise Overloaded(_FULL)
        if azure.is_azure(exchange.path):
            return self._find_azure(exchange)
        if azure_management.is_management(exchange.path):
            return self._router.find(exchange.method, azure_management.route_of(exchange.path))
        return self._router.find(exchange.method, exchange.path)

    def _find_azure(self, exchange: Exchange) -> Match:
        """Find the route that a path of Azure's stands for."""
        place = azure.locate(exchange.path, exchange.query.decode("latin-1"))
        match = self._router.find(exchange.method, place.path)
        if place.deployment is not None and match.route.action == "list_completions":
            message = f"Invalid URL ({exchange.method} {exchange.path})"
            raise UnknownRoute(message)  # a deployment is asked; what is kept is the project's
        return msgspec.structs.replace(
            match,
            front=Front.AZURE,
            deployment=place.deployment,
            deployments=self._deployments,
        )

    async def _authorise(self, route: Route, exchange: Exchange) -> Principal | None:
        """Find who is asking and whether the route is theirs. None on routes for anyone."""
        if not route.roles:
            return None
        presented = presented_key(exchange, handshake=route.action == "realtime")
        if presented is None:
            raise MissingKey(_NO_KEY)
        who = self._ring().find(presented) or await self._holder(presented, route)
        if who.role not in route.roles:
            message = f"This key has the role {who.role}; {route.path} needs {_names(route)}."
            raise PermissionDenied(message)
        return who

    async def _holder(self, presented: bytes, route: Route) -> Principal:
        """Find whom a bearer token stands for, where it is no key of ours.

        A key of a session is good for opening one, and for nothing else.
        """
        if self._session_key is not None and route.action == "realtime":
            who = await self._session_key(presented)
            if who is not None:
                return who
        if self._bearer is None or presented.count(b".") != TOKEN_DOTS:
            raise InvalidKey(_BAD_KEY.format(_masked(presented)))
        who = await self._bearer(presented)
        if who is None:
            raise InvalidToken(_NOT_ACCEPTED)
        return who

    async def _refuse(self, exchange: Exchange, error: EntenteError) -> None:
        """Answer with an error; an answer that has begun is cut off instead, as a broken one."""
        if exchange.started:
            exchange.abandon()
            return
        reply = self._reply(exchange, error)
        await exchange.answer(reply.status, reply.headers, reply.body)

    def _cut(self, exchange: Exchange, error: EntenteError) -> None:
        """Tell a client that its request is cut; what was begun for it is drained and settled."""
        if exchange.decided or exchange.complete:
            return
        if not exchange.started:
            reply = self._reply(exchange, error)
            exchange.dismiss_with(reply.status, reply.headers, reply.body)
            return
        last = b""
        if exchange.fail is not None:
            with contextlib.suppress(EntenteError):  # no room for an error: it breaks off
                last = exchange.fail(error)
        exchange.dismiss(last)

    def _reply(self, exchange: Exchange, error: EntenteError) -> ErrorReply:
        """Write an error in the dialect of who asked."""
        surface = self._router.surface(exchange.path)
        if is_anthropics(exchange, surface):
            surface = Surface.MESSAGES
        front = Front.AZURE if azure.is_azure(exchange.path) else Front.OPENAI
        side = client_side(surface, front)
        reply = side.error(error, exchange.request_id)
        self._monitor.refused(reply.status)
        headers = (JSON, *reply.headers)
        if side.headers is not None:
            headers += side.headers(exchange.request_id, carried=carried(exchange.headers))
        return msgspec.structs.replace(reply, headers=headers)


def _masked(presented: bytes) -> str:
    """Show enough of a wrong key to recognise it, never half of it."""
    text = presented.decode("latin-1")
    if not text.isascii() or not text.isprintable() or len(text) < 4 * HINT_CHARS:
        return "***"
    return f"{text[:HINT_CHARS]}***{text[-HINT_TAIL_CHARS:]}"


def _names(route: Route) -> str:
    """List the roles of a route."""
    return " or ".join(sorted(route.roles))


_NOT_ACCEPTED: Final = (
    "The bearer token is not valid here, or stands for no key. "
    "An administrator finds what is accepted under [auth.issuers] in the configuration."
)
STOPPING: Final = "The server is stopping. Try again in a moment."
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
