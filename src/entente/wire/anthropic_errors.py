"""Anthropic's error envelope: one table from our errors to status and type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from entente.domain.errors import (
    AgreementForbids,
    AuthenticationError,
    BodyTimeout,
    BodyTooLarge,
    BudgetExceeded,
    EntenteError,
    LedgerError,
    LimitError,
    MethodNotAllowed,
    ModelNotFound,
    ObjectNotFound,
    Overloaded,
    PermissionDenied,
    RequestError,
    RequestTooLarge,
    StorageUnavailable,
    UnknownRoute,
    Unpriced,
    UpstreamBusy,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from entente.wire.openai_errors import ErrorReply, head

_NS_PER_S: Final = 1_000_000_000
_MS_PER_S: Final = 1_000


class _Row(msgspec.Struct, frozen=True):
    """How one kind of error looks to a client of this dialect."""

    status: int
    type: str
    retry: bool | None = None
    """What `x-should-retry` says; None leaves it to the status."""


_INVALID: Final = "invalid_request_error"
_NOT_FOUND: Final = "not_found_error"
_DENIED: Final = "permission_error"
_LIMITED: Final = "rate_limit_error"
_BUSY: Final = "overloaded_error"

TABLE: Final[Mapping[type[EntenteError], _Row]] = {
    RequestError: _Row(400, _INVALID),
    ObjectNotFound: _Row(404, _NOT_FOUND),
    BodyTooLarge: _Row(413, "request_too_large"),
    BodyTimeout: _Row(408, _INVALID, retry=False),
    UnknownRoute: _Row(404, _NOT_FOUND),
    MethodNotAllowed: _Row(405, _INVALID),
    AuthenticationError: _Row(401, "authentication_error"),
    PermissionDenied: _Row(403, _DENIED),
    AgreementForbids: _Row(403, _DENIED),
    ModelNotFound: _Row(404, _NOT_FOUND),
    LimitError: _Row(429, _LIMITED),
    RequestTooLarge: _Row(429, _LIMITED, retry=False),
    BudgetExceeded: _Row(402, "billing_error", retry=False),
    Unpriced: _Row(403, _DENIED),
    UpstreamError: _Row(502, "api_error"),
    UpstreamTimeout: _Row(504, "timeout_error"),
    UpstreamBusy: _Row(529, _BUSY, retry=True),
    UpstreamRefused: _Row(502, "api_error", retry=False),
    LedgerError: _Row(529, _BUSY, retry=True),
    StorageUnavailable: _Row(529, _BUSY, retry=True),
    Overloaded: _Row(529, _BUSY, retry=True),
    EntenteError: _Row(500, "api_error"),
}
"""By class; a class without a row takes the row of its nearest base."""

_BY_STATUS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: _DENIED,
    404: _NOT_FOUND,
    408: "timeout_error",
    413: "request_too_large",
    429: _LIMITED,
    503: _BUSY,
    504: "timeout_error",
    529: _BUSY,
}
_HTTP_SERVER: Final = 500


def render(error: EntenteError, request_id: str) -> ErrorReply:
    """Write an error as Anthropic would; `request_id` is the one in the answer's headers."""
    row = _row(error)
    body = {"type": "error", "error": _error(error, row), "request_id": request_id}
    return ErrorReply(row.status, head(error, retry=row.retry), msgspec.json.encode(body))


def passed_on(status: int, message: str, request_id: str) -> bytes:
    """Write the body of an error that a provider of another dialect answered with."""
    kind = _INVALID if status < _HTTP_SERVER else "api_error"
    error = {"type": _BY_STATUS.get(status, kind), "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def stream_error(error: EntenteError) -> bytes:
    """Write the event that ends a stream in failure; no `message_stop` follows it."""
    body = {"type": "error", "error": _error(error, _row(error))}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


def rate_limit_headers(
    unit: str, *, limit: int, remaining: int, reset_ms: int, now_ns: int
) -> tuple[tuple[bytes, bytes], ...]:
    """Write where a key stands: `unit` is `requests` or `tokens`, `reset_ms` from `now_ns` on.

    Anthropic tells the reset as a moment (RFC 3339), in whole seconds; it is rounded up.
    """
    reset_s = -(-(now_ns + reset_ms * (_NS_PER_S // _MS_PER_S)) // _NS_PER_S)
    reset = datetime.fromtimestamp(reset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = b"anthropic-ratelimit-%b-" % unit.encode()
    return (
        (name + b"limit", b"%d" % limit),
        (name + b"remaining", b"%d" % remaining),
        (name + b"reset", reset.encode()),
    )


def _row(error: EntenteError) -> _Row:
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def _error(error: EntenteError, row: _Row) -> dict[str, str]:
    """Write what is wrong. Of a model that is not there Anthropic gives only the name."""
    message = f"model: {error.model}" if isinstance(error, ModelNotFound) else error.message
    return {"type": row.type, "message": message}
