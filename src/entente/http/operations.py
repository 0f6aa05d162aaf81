"""The routes of whoever operates the platform: is it well, and what has it done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.exposing import Exposition
from entente.http.handler import Handler, answer_json
from entente.http.neighbours import key_headers
from entente.http.routes import Match
from entente.telemetry.metrics import CONTENT_TYPE


class Operations:
    """Serves health, readiness and metrics.

    `trouble` says what stands against serving now, `notices` what somebody should look at.
    """

    def __init__(
        self,
        trouble: Callable[[], Mapping[str, str]],
        exposition: Exposition,
        notices: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Take the parts."""
        self._trouble = trouble
        self._notices = notices
        self._exposition = exposition

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {"health": self._health, "ready": self._ready, "metrics": self._metrics}

    async def _health(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /healthz: the process answers."""
        await answer_json(exchange, {"status": "ok"})

    async def _ready(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /readyz: requests can be served now, or what stands against it."""
        trouble, notices = self._trouble(), self._notices()
        body = {
            "status": "unavailable" if trouble else "ok",
            **({"trouble": trouble} if trouble else {}),
            **({"notices": notices} if notices else {}),
        }
        await answer_json(exchange, body, status=503 if trouble else 200)

    async def _metrics(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /metrics: of this worker if another one asks, else of all."""
        exposition = self._exposition
        if exchange.is_passed_on:
            text = exposition.own()
        else:
            text = await exposition.of_all(key_headers(exchange))
        await exchange.answer(200, ((b"content-type", CONTENT_TYPE),), text)
