"""Azure's control plane for one account: its deployments, models and quota."""

from __future__ import annotations

import msgspec

from entente.control.deployments import ManagedDeployments
from entente.domain.errors import ObjectNotFound
from entente.domain.principal import Principal
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, somebody
from entente.http.routes import Match
from entente.wire import azure_management_answers as answers
from entente.wire.azure_management import Place, locate


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the one account is called; Azure takes such names in any case."""

    subscription: str
    resource_group: str
    account: str
    location: str


class Management:
    """Serves the control plane, to admins only."""

    def __init__(self, account: Account, deployments: ManagedDeployments) -> None:
        """Take the parts."""
        self._account = account
        self._deployments = deployments

    def handlers(self) -> dict[str, Handler]:
        """Give the handlers by the actions of the route table."""
        return {
            "list_deployments": self._list,
            "get_deployment": self._get,
            "put_deployment": self._put,
            "delete_deployment": self._delete,
            "list_deployable_models": self._models,
            "list_quota": self._usages,
        }

    async def _list(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET …/accounts/{account}/deployments."""
        place = self._place(exchange)
        await answer_json(exchange, answers.write_deployments(place, self._deployments.list()))

    async def _get(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET …/deployments/{deployment}."""
        place = self._place(exchange)
        found = self._deployments.get(place.name or "")
        await answer_json(exchange, answers.write_deployment(place, found))

    async def _put(self, exchange: Exchange, who: Principal | None, _: Match) -> None:
        """PUT …/deployments/{deployment}: in force when this is answered, so not long-running."""
        place = self._place(exchange)
        body = await exchange.body()
        made, is_new = await self._deployments.put(somebody(who), place, body)
        written = answers.write_deployment(place, made)
        await answer_json(exchange, written, status=201 if is_new else 200)

    async def _delete(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """DELETE …/deployments/{deployment}."""
        place = self._place(exchange)
        there = await self._deployments.delete(place.name or "")
        await exchange.answer(200 if there else 204, (), b"")

    async def _models(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET …/models, of the account or of its location."""
        place = self._place(exchange)
        await answer_json(exchange, answers.write_models(place, self._deployments.models()))

    async def _usages(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET …/usages, of the account or of its location."""
        self._place(exchange)
        await answer_json(exchange, answers.write_usages(self._deployments.usages()))

    def _place(self, exchange: Exchange) -> Place:
        """Read what the path is about. Raises ObjectNotFound for what is not this account."""
        place = locate(exchange.path, exchange.query.decode("latin-1"))
        own = self._account
        for said, name, code in (
            (place.subscription, own.subscription, "SubscriptionNotFound"),
            (place.resource_group, own.resource_group, "ResourceGroupNotFound"),
            (place.account, own.account, "ResourceNotFound"),
            (place.location, own.location, "LocationNotFound"),
        ):
            if said is not None and said.lower() != name.lower():
                message = f"'{said}' could not be found: here it is called '{name}' (see [azure])."
                raise ObjectNotFound(message, param=None, code=code)
        return place
