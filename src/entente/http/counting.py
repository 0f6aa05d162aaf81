"""The route that counts tokens before a message is sent."""

from __future__ import annotations

from collections.abc import Mapping

from entente.domain.principal import Principal
from entente.gateway.counting import Counting
from entente.http.exchange import Exchange
from entente.http.handler import Handler, somebody
from entente.http.inference import as_sent
from entente.http.routes import Match
from entente.wire import anthropic, strict
from entente.wire.carried import BETAS, carried


class Counts:
    """Serves counts of tokens."""

    def __init__(self, counting: Counting, *, is_strict: bool = False) -> None:
        """Take who counts. `is_strict` refuses what the vendor would."""
        self._is_strict = is_strict
        self._counting = counting

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {"count_tokens": self._messages}

    async def _messages(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """POST /v1/messages/count_tokens."""
        body = await exchange.body()
        if self._is_strict:
            strict.check_count_tokens(body, names_a_beta=BETAS in carried(exchange.headers))
        call = as_sent(exchange, match, anthropic.decode_count_tokens(body))
        reply = await self._counting.messages(somebody(who), call, exchange.request_id)
        about = (b"request-id", exchange.request_id.encode())
        await exchange.answer(reply.status, (*reply.headers, about), reply.body)
