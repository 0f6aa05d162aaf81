"""The routes that list models, which OpenAI and Anthropic share; a header of the latter's tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.domain.errors import ModelNotFound, ModelRetired, PermissionDenied
from entente.domain.ids import NowNs
from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, is_anthropics, somebody
from entente.http.routes import Match
from entente.policy.access import may_use
from entente.routing.catalog import Catalog, Model
from entente.wire import anthropic_models

NS_PER_S: Final = 1_000_000_000


class Models:
    """Shows the models of the configuration to those who may use them."""

    def __init__(self, catalog: Catalog, now_ns: NowNs) -> None:
        """Take the models, which have existed since now."""
        self._catalog = catalog
        self._now_ns = now_ns
        self._started_s = now_ns() // NS_PER_S

    def handlers(self) -> Mapping[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "list_models": self._list,
            "get_model": self._get,
            "delete_model": self._delete,
        }

    async def _list(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/models: those that are served today."""
        who = somebody(who)
        now_ns = self._now_ns()
        listed = [
            model
            for model in self._catalog.values()
            if may_use(who, model.name) and not model.is_retired(now_ns)
        ]
        if is_anthropics(exchange, match.route.surface):
            names = [model.name for model in listed]
            written = anthropic_models.write_list(names, created_s=self._started_s)
            await answer_json(exchange, written)
        else:
            data = [self._model(model) for model in listed]
            await answer_json(exchange, {"object": "list", "data": data})

    async def _get(self, exchange: Exchange, who: Principal | None, match: Match) -> None:
        """GET /v1/models/{id}."""
        model = self._find(who, match.parameter)
        if is_anthropics(exchange, match.route.surface):
            written = anthropic_models.write_model(model.name, created_s=self._started_s)
            await answer_json(exchange, written)
        else:
            await answer_json(exchange, self._model(model))

    async def _delete(self, _: Exchange, who: Principal | None, match: Match) -> None:
        """DELETE /v1/models/{id}: clients may delete what they have tuned, and here is no such."""
        model = self._find(who, match.parameter)
        message = (
            f"The model `{model.name}` cannot be deleted: only fine-tuned models of one's own can. "
            "An administrator takes a model out of the configuration."
        )
        raise PermissionDenied(message)

    def _find(self, who: Principal | None, name: str) -> Model:
        """Find a model; one that the principal may not use does not exist for it."""
        model = self._catalog.get(name)
        if model is None or not may_use(somebody(who), model.name):
            raise ModelNotFound(name)
        if model.is_retired(self._now_ns()):
            raise ModelRetired(name)
        return model

    def _model(self, model: Model) -> dict[str, object]:
        """Write a model as OpenAI lists it."""
        shown: dict[str, object] = {
            "id": model.name,
            "object": "model",
            "created": self._started_s,
            "owned_by": model.owned_by,
        }
        if model.shutdown_date is not None:
            shown["shutdown_date"] = model.shutdown_date
        return shown
