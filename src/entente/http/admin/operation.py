"""One operation of `/admin/v1`: what is sent, what is answered, and the use case between.

An operation runs at the desk, in its thread; it gets typed values and gives one. Codes,
bodies and the OpenAPI document follow from its types, so that they cannot say different
things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from entente.control.desk import Desk
from entente.domain.principal import Principal
from entente.http.admin.forms import Nothing


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation is asked for."""

    actor: Principal
    place: Mapping[str, str]
    """The parameters of the path."""
    # Body and query have the types that the operation names; each of them knows its own.
    body: Any
    query: Any
    ready: Any = None
    """What was found out before."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the control plane."""

    summary: str
    do: Callable[[Desk, Asked], object]
    answer: Any
    """The type of what `do` gives."""
    body: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    again: Callable[[Desk, Asked, str], object] | None = None
    """Gives what was made before under the same idempotency key, by its id.

    Operations that have it make something: they take an idempotency key and answer with 201.
    """
    writes: bool = False
    """It changes what the server goes by."""

    prepare: Callable[[Desk, Asked], Any] | None = None
    """Finds out what takes a while, outside of the transaction: it goes to `asked.ready`."""
    grants: bool = False
    """It changes a budget, which stands in the ledger."""

    @property
    def status(self) -> int:
        """The status of its answer."""
        return 201 if self.again is not None else 200
