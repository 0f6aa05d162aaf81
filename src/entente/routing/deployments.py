"""Names that stand for models of the catalog, on Azure's routes. Pure.

As in Azure, upper and lower case of a deployment's name are the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entente.domain.quota import Quota


class Deployed(msgspec.Struct, frozen=True):
    """What a name stands for."""

    model: str
    quota: Quota


class Deployments:
    """The deployments of this moment; whoever manages them replaces them."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        """Start with none."""
        self._by_name: Mapping[str, Deployed] = {}

    def replace(self, by_name: Mapping[str, Deployed]) -> None:
        """Take these from now on."""
        self._by_name = {name.lower(): deployed for name, deployed in by_name.items()}

    def get(self, name: str) -> Deployed | None:
        """Find what a name stands for."""
        return self._by_name.get(name.lower()) if self._by_name else None
