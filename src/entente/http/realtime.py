"""The realtime routes: a WebSocket that becomes a session, and keys for browsers to open one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from entente.auth.session_keys import SessionKey, SessionKeys, SessionTerms
from entente.domain.chat import Surface
from entente.domain.errors import InvalidKey, InvalidParameter
from entente.domain.principal import Principal
from entente.gateway.realtime import Realtime, SessionCall
from entente.gateway.sides import client_side
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, presented_key, somebody
from entente.http.routes import Match
from entente.http.upgrade import Upgrade
from entente.net import Socket
from entente.wire import openai_realtime as events
from entente.wire.attribution import read_tags
from entente.wire.carried import TAGS, carried
from entente.wire.openai_realtime import client_secrets as secrets

BETA = "realtime=v1"


class RealtimeRoutes:
    """Serves realtime sessions, and makes their short-lived keys."""

    def __init__(self, realtime: Realtime, keys: SessionKeys, *, message_bytes_max: int) -> None:
        """Take the parts. A longer message than `message_bytes_max` ends a session."""
        self._realtime = realtime
        self._keys = keys
        self._message_bytes_max = message_bytes_max

    def handlers(self) -> dict[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "realtime": self._open,
            "create_client_secret": self._secret(secrets.read_client_secret),
            "create_realtime_session": self._secret(secrets.read_session),
            "create_transcription_session": self._secret(secrets.read_transcription_session),
        }

    async def _open(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/realtime."""
        upgrade = Upgrade(exchange, spoken=events.SPOKEN, message_bytes_max=self._message_bytes_max)
        wanted = events.read_query(exchange.query.decode("latin-1"), match.deployment)
        call = _call(exchange, wanted, await self._bound(exchange))
        deployed = match.deployments.get(call.model)
        if deployed is not None:
            call = msgspec.structs.replace(call, model=deployed.model, quota=deployed.quota)
        if (tags := carried(exchange.headers).get(TAGS)) is not None:
            call = msgspec.structs.replace(call, tags=read_tags(tags))
        said = client_side(Surface.REALTIME, match.front).headers

        def grant() -> Socket:
            headers = said(exchange.request_id) if said is not None else ()
            return upgrade.grant([(n.decode("ascii"), v.decode("ascii")) for n, v in headers])

        declined = await self._realtime.serve(somebody(who), call, grant)
        if declined is None:
            exchange.abandon()
            return
        kind = declined.headers.get(b"content-type", b"application/json")
        await exchange.answer(declined.status, ((b"content-type", kind),), declined.body)

    async def _bound(self, exchange: Exchange) -> SessionKey | None:
        """Give what the client's key is bound to, None where it is an ordinary one."""
        presented = presented_key(exchange, handshake=True)
        return await self._keys.find(presented) if presented is not None else None

    def _secret(self, read: Callable[[bytes], secrets.Asked]) -> Handler:
        """Make the handler of a route that makes a short-lived key."""

        async def handle(exchange: Exchange, who: Principal | None, _: Match) -> None:
            asked = read(await exchange.body())
            holder = somebody(who)
            self._realtime.check(holder, asked.model)
            terms = SessionTerms(
                model=asked.model,
                session=asked.session,
                transcribes=asked.transcribes,
                beta=asked.beta,
            )
            made = await self._keys.create(holder, terms, asked.lives_s)
            session_id = exchange.request_id.replace("req_", "sess_", 1)
            body = asked.answer(made.secret.reveal(), made.expires_s, session_id)
            await answer_json(exchange, body)

        return handle


def _call(exchange: Exchange, wanted: events.Wanted, bound: SessionKey | None) -> SessionCall:
    """Join what the URL asks for with what the key is bound to."""
    beta = events.read_beta(exchange.headers)
    if bound is None:
        if wanted.model is None:
            message = "You must provide a model: name it in the query, as ?model=…"
            raise InvalidParameter(message, param="model", code="missing_required_parameter")
        return SessionCall(
            id=exchange.request_id,
            model=wanted.model,
            transcribes=wanted.transcribes,
            beta=beta,
        )
    terms = bound.terms
    if wanted.model not in (None, terms.model):
        raise InvalidKey(f"This key is for sessions of the model `{terms.model}` only.")
    return SessionCall(
        id=exchange.request_id,
        model=terms.model,
        transcribes=terms.transcribes,
        beta=beta or (BETA if terms.beta else None),
        session=bytes(terms.session),
    )
