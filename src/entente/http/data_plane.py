"""The data plane, called once per exchange: route, authorise, decode, serve, refuse.

This is one of the two places that catch everything: whatever a request runs into, its
client gets an answer in its own dialect, and the server goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from entente.auth import KeyRing
from entente.domain.chat import Call, Front, Surface
from entente.domain.errors import (
    EntenteError,
    InvalidKey,
    InvalidToken,
    MissingKey,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
)
from entente.domain.ids import Ids
from entente.domain.principal import Principal
from entente.gateway.pipeline import Gateway
from entente.gateway.sides import client_side
from entente.http.exchange import ClientGone, Exchange
from entente.http.routes import Match, Route, Router
from entente.policy.access import may_use
from entente.routing.catalog import Catalog, Model
from entente.telemetry.metrics import CONTENT_TYPE, Monitor
from entente.wire import anthropic, anthropic_models, azure, openai, openai_responses

OPEN_WHILE_STOPPING: Final = frozenset({"/healthz", "/readyz"})
HINT_CHARS: Final = 8
HINT_TAIL_CHARS: Final = 4
TOKEN_DOTS: Final = 2
"""A JSON Web Token has three parts; our keys have no dot."""

FindBearer: TypeAlias = Callable[[bytes], Awaitable[Principal | None]]
"""Gives whom a bearer token of a configured issuer stands for, None if it is not valid."""
_Handler: TypeAlias = Callable[[Exchange, Principal | None, Match], Awaitable[None]]
"""Takes the exchange, who is asking, and the row that was found."""

_log = logging.getLogger("entente.http")
_KEY_HEADERS: Final = (b"api-key", b"x-api-key")
_JSON: Final = (b"content-type", b"application/json")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The data plane's slice of the configuration."""

    inflight_max: int
    started_s: int
    """When the server started, seconds since 1970: models have existed since then."""


class DataPlane:
    """Serves the route table.

    `ring` gives the keys in force, `bearer` reads tokens of issuers if there are any, and
    `trouble` says what is wrong now.
    """

    def __init__(
        self,
        *,
        router: Router,
        gateway: Gateway,
        catalog: Catalog,
        ring: Callable[[], KeyRing],
        bearer: FindBearer | None,
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
        self._bearer = bearer
        self._trouble = trouble
        self._monitor = monitor
        self._ids = ids
        self._settings = settings
        self.inflight = 0
        """Requests being served now."""
        self.stopping = False
        self._handlers: dict[str, _Handler] = {
            "chat": self._chat,
            "responses": self._responses,
            "messages": self._messages,
            "list_models": self._list_models,
            "get_model": self._get_model,
            "health": self._health,
            "ready": self._ready,
            "metrics": self._metrics,
        }

    async def __call__(self, exchange: Exchange) -> None:
        """Serve one HTTP request."""
        exchange.request_id = self._ids.new("req")
        self.inflight += 1
        try:
            match = self._find(exchange)
            who = await self._authorise(match.route, exchange.headers)
            await self._handlers[match.route.action](exchange, who, match)
        except ClientGone:
            exchange.abandon()
        except EntenteError as error:
            await self._refuse(exchange, error)
        except asyncio.CancelledError:
            if exchange.cut:
                exchange.abandon()
                return
            await self._refuse(exchange, Overloaded(_STOPPING))
            raise
        except Exception:  # noqa: BLE001  (an outer boundary)
            _log.exception("request %s failed inside the server", exchange.request_id)
            await self._refuse(exchange, EntenteError(_INTERNAL.format(exchange.request_id)))
        finally:
            self.inflight -= 1

    def _find(self, exchange: Exchange) -> Match:
        """Find the route, if another request can be served now."""
        if self.stopping and exchange.path not in OPEN_WHILE_STOPPING:
            raise Overloaded(_STOPPING)
        if self.inflight > self._settings.inflight_max:
            raise Overloaded(_FULL)
        if azure.is_azure(exchange.path):
            return self._find_azure(exchange)
        return self._router.find(exchange.method, exchange.path)

    def _find_azure(self, exchange: Exchange) -> Match:
        """Find the route that a path of Azure's stands for."""
        place = azure.locate(exchange.path, exchange.query.decode("latin-1"))
        match = self._router.find(exchange.method, place.path)
        return msgspec.structs.replace(match, front=Front.AZURE, deployment=place.deployment)

    async def _authorise(
        self, route: Route, headers: list[tuple[bytes, bytes]]
    ) -> Principal | None:
        """Find who is asking and whether the route is theirs. None on routes for anyone."""
        if not route.roles:
            return None
        presented = presented_key(headers)
        if presented is None:
            raise MissingKey(_NO_KEY)
        who = self._ring().find(presented) or await self._holder(presented)
        if who.role not in route.roles:
            message = f"This key has the role {who.role}; {route.path} needs {_names(route)}."
            raise PermissionDenied(message)
        return who

    async def _holder(self, presented: bytes) -> Principal:
        """Find whom a bearer token stands for, where it is no key of ours."""
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
        surface = self._router.surface(exchange.path)
        if _is_anthropics(exchange, surface):
            surface = Surface.MESSAGES
        front = Front.AZURE if azure.is_azure(exchange.path) else Front.OPENAI
        side = client_side(surface, front)
        reply = side.error(error, exchange.request_id)
        self._monitor.refused(reply.status)
        headers = (_JSON, *reply.headers)
        if side.headers is not None:
            headers += side.headers(exchange.request_id)
        await exchange.answer(reply.status, headers, reply.body)

    async def _chat(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/chat/completions."""
        call = openai.decode_chat(_named(await exchange.body(), match))
        await self._gateway.chat(_somebody(who), _from(match, call), exchange.request_id, exchange)

    async def _responses(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/responses."""
        call = openai_responses.decode_responses(_named(await exchange.body(), match))
        await self._gateway.chat(_somebody(who), _from(match, call), exchange.request_id, exchange)

    async def _messages(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """POST /v1/messages."""
        call = anthropic.decode_messages(await exchange.body())
        await self._gateway.chat(_somebody(who), call, exchange.request_id, exchange)

    async def _list_models(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/models, which OpenAI and Anthropic share; a header of Anthropic's tells."""
        who = _somebody(who)
        listed = [model for model in self._catalog.values() if may_use(who, model.name)]
        if _is_anthropics(exchange, match.route.surface):
            names = [model.name for model in listed]
            created_s = self._settings.started_s
            await _json(exchange, anthropic_models.write_list(names, created_s=created_s))
        else:
            await _json(exchange, {"object": "list", "data": [self._model(m) for m in listed]})

    async def _get_model(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/models/{id}."""
        name = match.parameter
        model = self._catalog.get(name)
        if model is None or not may_use(_somebody(who), model.name):
            raise ModelNotFound(name)
        if _is_anthropics(exchange, match.route.surface):
            created_s = self._settings.started_s
            await _json(exchange, anthropic_models.write_model(name, created_s=created_s))
        else:
            await _json(exchange, self._model(model))

    async def _health(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /healthz: the process answers."""
        await _json(exchange, {"status": "ok"})

    async def _ready(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /readyz: requests can be served now, or what stands against it."""
        trouble = self._trouble()
        if self.stopping:
            trouble["server"] = _STOPPING
        body = {
            "status": "unavailable" if trouble else "ok",
            **({"trouble": trouble} if trouble else {}),
        }
        await _json(exchange, body, status=503 if trouble else 200)

    async def _metrics(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /metrics."""
        await exchange.answer(200, ((b"content-type", CONTENT_TYPE),), self._monitor.render())

    def _model(self, model: Model) -> dict[str, object]:
        """Write a model as OpenAI lists it."""
        return {
            "id": model.name,
            "object": "model",
            "created": self._settings.started_s,
            "owned_by": model.owned_by,
        }


def _named(body: bytes, match: Match) -> bytes:
    """Give the body with the model; at Azure the path may name it in its stead."""
    return azure.name_model(body, match.deployment) if match.deployment is not None else body


def _is_anthropics(exchange: Exchange, surface: Surface) -> bool:
    """Say whether a client of Anthropic's asks; models are listed on a path of others, too."""
    if surface is not Surface.MODELS:
        return surface is Surface.MESSAGES
    return any(name == b"anthropic-version" for name, _ in exchange.headers)


def _from(match: Match, call: Call) -> Call:
    """Note whom the client takes us for."""
    if match.front is Front.OPENAI:
        return call
    return msgspec.structs.replace(call, front=match.front)


def _somebody(who: Principal | None) -> Principal:
    """Give the principal of a route that has roles; the table and this code agree or fail."""
    if who is None:
        message = "a route for anyone has a handler that needs a principal"
        raise RuntimeError(message)
    return who


def presented_key(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Give the key of `Authorization: Bearer KEY`, `api-key` or `x-api-key`, None for none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer" and (key := key.strip()):
                return key
        elif name in _KEY_HEADERS and value:
            return value.strip()
    return None


async def _json(exchange: Exchange, body: object, status: int = 200) -> None:
    """Answer with JSON."""
    await exchange.answer(status, (_JSON,), msgspec.json.encode(body))


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
