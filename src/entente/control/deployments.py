"""Making, listing and deleting the deployments of the one account that this platform is.

A deployment is a name for a model of the catalog, with a capacity that stands for limits on
Azure's routes. It is on the disk before it is in force; what is in force is replaced whole.
Models of the configuration are deployments of their own name, which nobody can change here.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from entente.auth.model import OPERATOR
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.domain.ids import NowNs
from entente.domain.principal import Principal
from entente.domain.quota import Quota
from entente.objects import Objects, Order, StoredObject, Wanted
from entente.routing.catalog import Catalog
from entente.routing.deployments import Deployed, Deployments
from entente.wire.azure_management import (
    CAPACITY_MAX,
    SKUS,
    Deployment,
    ModelId,
    Place,
    Sku,
    limits_of,
    read_deployment,
)
from entente.wire.azure_management_answers import AvailableModel, QuotaUse

KIND: Final = "azure.deployment"
DEPLOYMENTS_MAX: Final = 1_000
FORMAT: Final = "OpenAI"
OWN_SKU: Final = "GlobalStandard"
"""How the models of the configuration are shown: with all the capacity that there is."""


class ManagedDeployments:
    """The deployments of the account; `in_force` is what the data plane looks at."""

    def __init__(
        self, objects: Objects, catalog: Catalog, in_force: Deployments, *, now_ns: NowNs
    ) -> None:
        """Start with those of the configuration; `load` brings the others."""
        self._objects = objects
        self._catalog = catalog
        self._in_force = in_force
        self._now_ns = now_ns
        self._since_ns = now_ns()
        self._kept: dict[str, tuple[Deployment, StoredObject]] = {}
        """By name in lower case."""
        self._turn = asyncio.Lock()
        """Held by who changes something."""

    async def load(self) -> None:
        """Take what is kept, in the place of what was. Raises StorageUnavailable."""
        wanted = Wanted(limit=DEPLOYMENTS_MAX, order=Order.ASC)
        page = await self._objects.page(OPERATOR, KIND, wanted)
        kept = [(msgspec.json.decode(each.body, type=Deployment), each) for each in page.found]
        self._kept = {deployment.name.lower(): (deployment, each) for deployment, each in kept}
        self._put_in_force()

    def list(self) -> tuple[Deployment, ...]:
        """Give all of them, by name."""
        kept = [deployment for deployment, _ in self._kept.values()]
        own = [self._own(name) for name in self._catalog if name.lower() not in self._kept]
        return tuple(sorted([*kept, *own], key=lambda each: each.name))

    def get(self, name: str) -> Deployment:
        """Give one. Raises ObjectNotFound."""
        found = self._kept.get(name.lower())
        if found is not None:
            return found[0]
        if name in self._catalog:
            return self._own(name)
        raise _not_found(name)

    async def put(self, who: Principal, place: Place, body: bytes) -> tuple[Deployment, bool]:
        """Make a deployment, or change one; say whether it is new.

        Raises InvalidParameter with Azure's codes, MalformedJson, StorageUnavailable.
        """
        async with self._turn:
            now_ns = self._now_ns()
            name = (place.name or "").lower()
            present = self._kept.get(name)
            created_ns = present[0].created_ns if present else now_ns
            wanted = read_deployment(place, body, created_ns=created_ns, now_ns=now_ns)
            self._check(wanted)
            made = StoredObject(
                id=f"{KIND}:{name}",
                kind=KIND,
                project=OPERATOR.project,
                key=who.key_id,
                created_ns=created_ns,
                body=msgspec.json.encode(wanted),
                model=wanted.model.name,
                revision=present[1].revision if present else 1,
            )
            if present is None:
                await self._objects.create(OPERATOR, made)
            elif await self._objects.replace(OPERATOR, made):
                made = msgspec.structs.replace(made, revision=made.revision + 1)
            self._kept[name] = (wanted, made)
            self._put_in_force()
            return wanted, present is None

    async def delete(self, name: str) -> bool:
        """Delete a deployment; False if there is none.

        Raises InvalidParameter for a model of the configuration, StorageUnavailable.
        """
        async with self._turn:
            if name.lower() not in self._kept:
                if name in self._catalog:
                    raise _read_only(name)
                return False
            await self._objects.delete(OPERATOR, KIND, f"{KIND}:{name.lower()}")
            del self._kept[name.lower()]
            self._put_in_force()
            return True

    def models(self) -> tuple[AvailableModel, ...]:
        """Give what can be deployed."""
        return tuple(AvailableModel(model=ModelId(FORMAT, name)) for name in self._catalog)

    def usages(self) -> tuple[QuotaUse, ...]:
        """Give how much of each model is deployed, by the way in which it is sold."""
        return tuple(
            QuotaUse(sku, model, self._used(sku, model), CAPACITY_MAX)
            for model in self._catalog
            for sku in sorted(SKUS)
        )

    def _check(self, wanted: Deployment) -> None:
        """Refuse what stands for nothing, or past what there is."""
        model, name = wanted.model, wanted.name.lower()
        if any(each.lower() == name for each in self._catalog):
            raise _read_only(wanted.name)
        if model.format != FORMAT or model.name not in self._catalog:
            message = (
                f"The model 'Format: {model.format}, Name: {model.name}, Version: "
                f"{model.version}' of account deployment is not supported: it is none of the "
                "models in the configuration."
            )
            param = "properties.model"
            raise InvalidParameter(message, param=param, code="DeploymentModelNotSupported")
        if name not in self._kept and len(self._kept) >= DEPLOYMENTS_MAX:
            message = f"An account has at most {DEPLOYMENTS_MAX} deployments."
            raise InvalidParameter(message, param=None, code="DeploymentsExceeded")
        others = self._used(wanted.sku.name, model.name, but=name)
        if others + wanted.sku.capacity > CAPACITY_MAX:
            message = (
                "This operation require "
                f"{wanted.sku.capacity} new capacity in quota Tokens Per Minute (thousands) - "
                f"{model.name}, which is bigger than the current available capacity "
                f"{CAPACITY_MAX - others}."
            )
            raise InvalidParameter(message, param="sku.capacity", code="InsufficientQuota")

    def _used(self, sku: str, model: str, *, but: str = "") -> int:
        """Sum up what is deployed of a model."""
        return sum(
            deployment.sku.capacity
            for name, (deployment, _) in self._kept.items()
            if name != but and deployment.sku.name == sku and deployment.model.name == model
        )

    def _own(self, name: str) -> Deployment:
        """Show a model of the configuration."""
        return Deployment(
            name=name,
            sku=Sku(OWN_SKU, CAPACITY_MAX),
            model=ModelId(FORMAT, name),
            created_ns=self._since_ns,
            changed_ns=self._since_ns,
            read_only=True,
        )

    def _put_in_force(self) -> None:
        """Let the data plane know."""
        self._in_force.replace(
            {name: _deployed(deployment) for name, (deployment, _) in self._kept.items()}
        )


def _deployed(deployment: Deployment) -> Deployed:
    """Say what a deployment stands for."""
    limits = limits_of(deployment)
    quota = Quota(deployment.name, limits.requests_per_minute, limits.tokens_per_minute)
    return Deployed(deployment.model.name, quota)


def _not_found(name: str) -> ObjectNotFound:
    message = f"The resource 'deployments/{name}' was not found."
    return ObjectNotFound(message, param=None, code="ResourceNotFound")


def _read_only(name: str) -> InvalidParameter:
    message = (
        f"'{name}' is a model of the configuration file and cannot be changed here: choose "
        "another name."
    )
    return InvalidParameter(message, param="name", code="ReadOnlyDeployment")
