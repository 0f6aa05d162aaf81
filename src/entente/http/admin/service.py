"""Serves `/admin/v1`: reads what is asked, has it done at the desk, answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from entente.control.creations import NAME_CHARS_MAX
from entente.control.desk import Clerk, Desk
from entente.domain.errors import InvalidParameter
from entente.domain.origin import plain
from entente.domain.principal import Principal
from entente.http.admin.description import describe
from entente.http.admin.events import EVENT_OPERATIONS
from entente.http.admin.forms import BODY_BYTES_MAX, Nothing
from entente.http.admin.keys import KEY_OPERATIONS
from entente.http.admin.operation import Asked, Operation
from entente.http.admin.paths import DOCUMENT_ACTION
from entente.http.admin.prices import PRICE_OPERATIONS
from entente.http.admin.reading import read_body, read_query
from entente.http.admin.rules import RULE_OPERATIONS
from entente.http.exchange import Exchange
from entente.http.handler import Handler, answer_json, somebody
from entente.http.queries import read_query as fields_of
from entente.http.routes import ROUTES, Match

OPERATIONS: Final[Mapping[str, Operation]] = {
    **KEY_OPERATIONS,
    **RULE_OPERATIONS,
    **PRICE_OPERATIONS,
    **EVENT_OPERATIONS,
}
IDEMPOTENCY: Final = b"idempotency-key"
_BOUND: Final = "the bound of /admin/v1"


class Administration:
    """Serves the control plane, such that this server goes by a change before it is answered.

    `changed` is called when something was; `granted` waits until the ledger has what was granted.
    """

    def __init__(
        self,
        clerk: Clerk,
        *,
        changed: Callable[[], None],
        granted: Callable[[], Awaitable[None]],
    ) -> None:
        """Take the parts."""
        self._clerk = clerk
        self._changed = changed
        self._granted = granted
        self._document = describe(ROUTES, OPERATIONS)

    def handlers(self) -> dict[str, Handler]:
        """Give the handlers by the actions of the route table."""
        serving: dict[str, Handler] = {
            action: partial(self._serve, operation) for action, operation in OPERATIONS.items()
        }
        return {**serving, DOCUMENT_ACTION: self._describe}

    async def _describe(self, exchange: Exchange, _: Principal | None, __: Match) -> None:
        """GET /admin/v1/openapi.json."""
        await answer_json(exchange, self._document)

    async def _serve(
        self, operation: Operation, exchange: Exchange, who: Principal | None, match: Match
    ) -> None:
        """Serve one operation."""
        body = b"".join([piece async for piece in exchange.pieces(BODY_BYTES_MAX, _BOUND)])
        asked = Asked(
            actor=somebody(who),
            place={name: plain(value) for name, value in match.parameters.items()},
            body=_body(body, operation),
            query=read_query(fields_of(exchange.query), operation.query),
        )
        name = _name(exchange, operation)
        digest = sha256(f"{exchange.method} {exchange.path}\n".encode() + body).digest()
        answer = await self._clerk.do(lambda desk: _done(desk, operation, asked, name, digest))
        if operation.grants:
            await self._granted()
        if operation.writes:
            self._changed()
        await answer_json(exchange, answer, status=operation.status)


def _body(body: bytes, operation: Operation) -> msgspec.Struct:
    """Read the body; one that is not needed may be missing."""
    if not body and operation.body in _OPTIONAL:
        return operation.body()
    return read_body(body, operation.body)


def _name(exchange: Exchange, operation: Operation) -> str | None:
    """Read the idempotency key. Raises InvalidParameter."""
    value = exchange.header(IDEMPOTENCY)
    if not value or operation.again is None:
        return None
    name = value.decode("latin-1")
    if len(name) > NAME_CHARS_MAX or not (name.isascii() and name.isprintable()):
        message = f"`Idempotency-Key` must be 1 to {NAME_CHARS_MAX} printable characters of ASCII."
        raise InvalidParameter(message, param="idempotency-key", code="invalid_value")
    return name


def _done(
    desk: Desk, operation: Operation, asked: Asked, name: str | None, digest: bytes
) -> object:
    """Do it, once under a name that the client gave it."""
    if operation.prepare is not None:
        asked = msgspec.structs.replace(asked, ready=operation.prepare(desk, asked))
    if name is None or operation.again is None:
        return operation.do(desk, asked)
    with desk.base.database.transaction():
        made = desk.creations.find(asked.actor, name, digest)
        if made is not None:
            return operation.again(desk, asked, made)
        answer = operation.do(desk, asked)
        desk.creations.note(asked.actor, name, digest, getattr(answer, "id"))  # noqa: B009
        return answer


_OPTIONAL: Final = frozenset(
    operation.body
    for operation in OPERATIONS.values()
    if operation.body is Nothing
    or not any(field.required for field in msgspec.structs.fields(operation.body))
)
