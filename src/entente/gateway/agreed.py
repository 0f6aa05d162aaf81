"""The seam between the gateway and an agreement: which targets a request may go to.

The gateway serves without an agreement as well, and then knows nothing of one. What decides
is `gateway.enforcing`; it is made only where the settings name a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from entente.domain.chat import Call, Surface
from entente.domain.principal import Principal
from entente.ledger.model import Settlement
from entente.routing.catalog import Model, Target

STATEFUL_MEMBERS: Final = frozenset({"previous_response_id", "conversation"})
"""Members of a request that continue what is kept somewhere."""
_NULL: Final = b"null"


class Decided(NamedTuple):
    """What the agreement says of one target."""

    version: str
    clauses: tuple[str, ...]


class Allowed(NamedTuple):
    """The part of a plan that the agreement allows, in the plan's order."""

    targets: tuple[Target, ...]
    decided: Mapping[Target, Decided]
    surface: str
    project: str


class Agreed(Protocol):
    """Decides plans."""

    def allow(
        self, who: Principal, model: Model, api: Surface, *, stateful: bool, at_ns: int
    ) -> Allowed:
        """Give what is allowed of a model's targets. Raises AgreementForbids for nothing."""


class InForce(Agreed, Protocol):
    """An agreement while the server runs; its document may change meanwhile."""

    @property
    def notice(self) -> str:
        """Say what is wrong with its files as they are now; nothing where they are in force."""


def stateful(call: Call) -> bool:
    """Say whether a call keeps something, or continues what was kept."""
    if call.stored:
        return True
    continued = STATEFUL_MEMBERS & call.members.keys()
    return bool(continued) and any(bytes(call.members[name]) != _NULL for name in continued)


def marked(entry: Settlement, allowed: Allowed | None, target: Target | None) -> Settlement:
    """Write into a settlement what it was decided by."""
    if allowed is None or not allowed.decided:
        return entry
    decided = allowed.decided.get(target or allowed.targets[0])
    if decided is None:
        return entry
    return msgspec.structs.replace(
        entry,
        agreement=decided.version,
        clauses=decided.clauses,
        surface=allowed.surface,
        project=allowed.project,
    )
