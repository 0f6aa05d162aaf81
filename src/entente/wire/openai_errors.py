"""OpenAI's error envelope: one table from our errors to status, type and code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entente.domain.errors import (
    AgreementForbids,
    AuthenticationError,
    BodyTimeout,
    BodyTooLarge,
    BudgetExceeded,
    Conflict,
    EntenteError,
    InvalidKey,
    InvalidParameter,
    LedgerError,
    LimitError,
    MethodNotAllowed,
    ModelNotFound,
    ObjectNotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RequestError,
    RequestTooLarge,
    StorageUnavailable,
    UnknownRoute,
    Unpriced,
    UpstreamBusy,
    UpstreamConnectError,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)

OVERLOADED_RETRY_MS: Final = 1_000
NO_REASON: Final = "The provider answered with status {} and did not say why."


class _Row(msgspec.Struct, frozen=True):
    """How one kind of error looks to a client of this dialect."""

    status: int
    type: str
    code: str | None = None
    retry: bool | None = None
    """What `x-should-retry` says; None leaves it to the status."""


_INVALID: Final = "invalid_request_error"
_BUSY: Final = "service_unavailable_error"

TABLE: Final[Mapping[type[EntenteError], _Row]] = {
    RequestError: _Row(400, _INVALID),
    ObjectNotFound: _Row(404, _INVALID),
    Conflict: _Row(409, _INVALID, retry=False),
    BodyTooLarge: _Row(413, _INVALID, "request_too_large"),
    BodyTimeout: _Row(408, _INVALID, "request_timeout", retry=False),
    UnknownRoute: _Row(404, _INVALID),
    MethodNotAllowed: _Row(405, _INVALID),
    AuthenticationError: _Row(401, _INVALID),
    InvalidKey: _Row(401, _INVALID, "invalid_api_key"),
    PermissionDenied: _Row(403, _INVALID, "permission_denied"),
    AgreementForbids: _Row(403, _INVALID, "agreement_forbids"),
    ModelNotFound: _Row(404, _INVALID, "model_not_found"),
    LimitError: _Row(429, "requests", "rate_limit_exceeded"),
    RateLimited: _Row(429, "requests", "rate_limit_exceeded"),
    RequestTooLarge: _Row(429, "tokens", "rate_limit_exceeded", retry=False),
    BudgetExceeded: _Row(429, "insufficient_quota", "insufficient_quota", retry=False),
    Unpriced: _Row(403, _INVALID, "model_not_priced"),
    UpstreamError: _Row(502, "server_error", "upstream_failed"),
    UpstreamConnectError: _Row(502, "server_error", "upstream_unavailable"),
    UpstreamTimeout: _Row(504, "timeout", "timeout"),
    UpstreamBusy: _Row(503, _BUSY, "server_is_overloaded"),
    UpstreamRefused: _Row(502, "server_error", "upstream_refused_credentials", retry=False),
    LedgerError: _Row(503, _BUSY, "ledger_unavailable", retry=True),
    StorageUnavailable: _Row(503, _BUSY, "storage_unavailable", retry=True),
    Overloaded: _Row(503, _BUSY, "server_is_overloaded", retry=True),
    EntenteError: _Row(500, "server_error"),
}
"""By class; a class without a row takes the row of its nearest base."""


_BY_STATUS: Final[Mapping[int, tuple[str, str | None]]] = {
    408: ("timeout", "timeout"),
    429: ("requests", "rate_limit_exceeded"),
    503: (_BUSY, "server_is_overloaded"),
    504: ("timeout", "timeout"),
    529: (_BUSY, "server_is_overloaded"),
}
_HTTP_SERVER: Final = 500


class ErrorReply(msgspec.Struct, frozen=True):
    """An error as an HTTP answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def retry_after_ms(error: EntenteError) -> int | None:
    """Give the time after which a retry may succeed; None where waiting alone does not help."""
    match error:
        case LimitError():
            return error.retry_after_ms
        case LedgerError() | Overloaded() | UpstreamBusy():
            return OVERLOADED_RETRY_MS
        case _:
            return None


def head(error: EntenteError, *, retry: bool | None) -> tuple[tuple[bytes, bytes], ...]:
    """Write the headers of an error, which are the same in every dialect.

    `retry` is what `x-should-retry` says where no time is known; None leaves it out.
    """
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode()))
    wait_ms = retry_after_ms(error)
    if wait_ms is not None:
        headers.append((b"retry-after-ms", b"%d" % wait_ms))
        headers.append((b"retry-after", b"%d" % -(-wait_ms // 1_000)))
        retry = True
    if retry is not None:
        headers.append((b"x-should-retry", b"true" if retry else b"false"))
    return tuple(headers)


def render(error: EntenteError) -> ErrorReply:
    """Write an error as OpenAI would."""
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    param, code, kind = None, row.code, row.type
    match error:
        case InvalidParameter():
            param, code = error.param, error.code
        case RateLimited():
            kind = error.unit
        case _:
            pass
    body = {"error": {"message": error.message, "type": kind, "param": param, "code": code}}
    return ErrorReply(row.status, head(error, retry=row.retry), msgspec.json.encode(body))


def passed_on(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """Write the body of an error that a provider of another dialect answered with.

    `param` and `code` are for who knows them; else the status gives the code.
    """
    kind = _INVALID if status < _HTTP_SERVER else "server_error"
    kind, usual = _BY_STATUS.get(status, (kind, None))
    body = {"error": {"message": message, "type": kind, "param": param, "code": code or usual}}
    return msgspec.json.encode(body)
