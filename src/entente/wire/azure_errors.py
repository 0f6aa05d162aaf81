"""Azure's error bodies: one table from our errors to status and code. Pure.

Azure has three forms. Its front answers with a `code` and a `message`; the model's own
checks come through in OpenAI's form; and a token that is not accepted has no `error`
around it. Where clients are known to read a sentence of Azure's, it is that sentence. The
event that breaks a stream off is OpenAI's, `wire.openai.stream_error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from entente.domain.errors import (
    AgreementForbids,
    AuthenticationError,
    BodyTimeout,
    BodyTooLarge,
    BudgetExceeded,
    Conflict,
    EntenteError,
    InvalidParameter,
    InvalidToken,
    LedgerError,
    LimitError,
    MethodNotAllowed,
    ModelNotFound,
    ObjectNotFound,
    OperationNotSupported,
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
from entente.wire import openai_errors
from entente.wire.azure import VERSION_PARAMETER
from entente.wire.openai_errors import ErrorReply, head

ACCESS_DENIED: Final = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide "
    "a valid key for an active subscription and use a correct regional API endpoint for your "
    "resource."
)
NO_DEPLOYMENT: Final = (
    "The API deployment for this resource does not exist. If you created the deployment within "
    "the last 5 minutes, please wait a moment and try again."
)
UNAUTHORIZED: Final = (
    "Unauthorized. Access token is missing, invalid, audience is incorrect "
    "(https://cognitiveservices.azure.com), or have expired."
)
PROMPT_FILTERED: Final = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management "
    "policy. Please modify your prompt and retry. To learn more about our content filtering "
    "policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
)
NO_OPERATION: Final = (
    "The {} operation does not work with the specified model, {}. Please choose different model "
    "and try again. You can learn more about which models can be used with each operation here: "
    "https://go.microsoft.com/fwlink/?linkid=2197993."
)
_INVALID: Final = "invalid_request_error"
_FILTERED: Final = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
"""Codes with which a prompt is refused because of what it says."""
_BAD_REQUEST: Final = 400
_MS_PER_S: Final = 1_000


class _Row(msgspec.Struct, frozen=True):
    """How one kind of error looks to a client of Azure."""

    status: int
    code: str | None
    message: str | None = None
    """Azure's own sentence; None for the error's."""
    type: str | None = None
    """Set for what Azure says in OpenAI's form."""
    retry: bool | None = None
    """What `x-should-retry` says; None leaves it to the status."""


TABLE: Final[Mapping[type[EntenteError], _Row]] = {
    RequestError: _Row(400, None, type=_INVALID),
    ObjectNotFound: _Row(404, None, type=_INVALID),
    Conflict: _Row(409, None, type=_INVALID, retry=False),
    BodyTooLarge: _Row(413, "RequestEntityTooLarge"),
    BodyTimeout: _Row(408, "RequestTimeout", retry=False),
    UnknownRoute: _Row(404, "404", "Resource not found"),
    MethodNotAllowed: _Row(405, "405"),
    AuthenticationError: _Row(401, "401", ACCESS_DENIED),
    InvalidToken: _Row(401, None, UNAUTHORIZED),
    PermissionDenied: _Row(401, "PermissionDenied"),
    AgreementForbids: _Row(403, "agreement_forbids"),
    ModelNotFound: _Row(404, "DeploymentNotFound", NO_DEPLOYMENT, type=_INVALID),
    LimitError: _Row(429, "429"),
    RequestTooLarge: _Row(429, "429", retry=False),
    BudgetExceeded: _Row(429, "insufficient_quota", type="insufficient_quota", retry=False),
    Unpriced: _Row(403, "403"),
    UpstreamError: _Row(502, "BadGateway"),
    UpstreamTimeout: _Row(504, "Timeout"),
    UpstreamBusy: _Row(503, "ServiceUnavailable"),
    UpstreamRefused: _Row(502, "BadGateway", retry=False),
    LedgerError: _Row(503, "ServiceUnavailable", retry=True),
    StorageUnavailable: _Row(503, "ServiceUnavailable", retry=True),
    Overloaded: _Row(503, "ServiceUnavailable", retry=True),
    EntenteError: _Row(500, "InternalServerError"),
}
"""By class; a class without a row takes the row of its nearest base."""


def render(error: EntenteError) -> ErrorReply:
    """Write an error as Azure would."""
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    body = _body(error, row)
    return ErrorReply(row.status, head(error, retry=row.retry), msgspec.json.encode(body))


def _body(error: EntenteError, row: _Row) -> dict[str, object]:
    """Write the body in the form that Azure has for this kind of error."""
    message = row.message or error.message
    if isinstance(error, InvalidToken):
        return {"statusCode": row.status, "message": message}
    if isinstance(error, InvalidParameter) and error.param == VERSION_PARAMETER:
        return {"error": {"code": error.code, "message": message}}
    if isinstance(error, LimitError) and error.retry_after_ms is not None:
        seconds = -(-error.retry_after_ms // _MS_PER_S)
        message = f"{message} Please retry after {seconds} seconds."
    if isinstance(error, OperationNotSupported):
        message = NO_OPERATION.format(error.operation, error.model)
        return {"error": {"code": "OperationNotSupported", "message": message}}
    if isinstance(error, ModelNotFound):
        return {"error": {"type": row.type, "code": row.code, "message": message}}
    if row.type is None:
        return {"error": {"code": row.code, "message": message}}
    known = error if isinstance(error, InvalidParameter) else None
    param, code = (known.param, known.code) if known else (None, row.code)
    return {"error": {"message": message, "type": row.type, "param": param, "code": code}}


_BY_STATUS: Final[Mapping[int, str]] = {
    404: "DeploymentNotFound",
    408: "RequestTimeout",
    413: "RequestEntityTooLarge",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
    529: "ServiceUnavailable",
}


class _Inner(msgspec.Struct):
    content_filter_result: dict[str, Any] | None = None
    content_filter_results: dict[str, Any] | None = None


class _Said(msgspec.Struct):
    """An error in OpenAI's form, and what Azure adds to it."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None
    innererror: _Inner | None = None


class _Body(msgspec.Struct):
    error: _Said


_said_decoder = msgspec.json.Decoder(_Body)


def passed_on(status: int, message: str) -> bytes:
    """Write the body of an error that a provider of another dialect answered with."""
    if status == _BAD_REQUEST:
        error = {"message": message, "type": _INVALID, "param": None, "code": None}
        return msgspec.json.encode({"error": error})
    code = _BY_STATUS.get(status, str(status))
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def from_openai(status: int, body: bytes) -> bytes:
    """Say for a client of Azure's what a provider said in OpenAI's form.

    What a model's own checks found comes through as it is, at Azure as here; that a prompt was
    filtered, and everything that is no fault of the request, Azure says in its own form.
    """
    said = _said(body)
    if status != _BAD_REQUEST:
        return passed_on(
            status, (said.message if said else None) or openai_errors.NO_REASON.format(status)
        )
    if said is None or said.code not in _FILTERED:
        return body
    inner = said.innererror or _Inner()
    results = inner.content_filter_result or inner.content_filter_results or {}
    return prompt_filtered(results).body


def for_openai(status: int, body: bytes) -> bytes:
    """Say for a client of OpenAI's what Azure said, with its parameter and code."""
    said = _said(body)
    if said is None:
        return openai_errors.passed_on(status, openai_errors.NO_REASON.format(status))
    is_its_form = said.param is not None or said.type is not None
    code = str(said.code) if said.code is not None and is_its_form else None
    message = said.message or openai_errors.NO_REASON.format(status)
    return openai_errors.passed_on(status, message, param=said.param, code=code)


def _said(body: bytes) -> _Said | None:
    try:
        return _said_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def prompt_filtered(results: Mapping[str, object]) -> ErrorReply:
    """Write the refusal of a prompt by a content filter.

    `results` are those of the filter by category, as in `content_filter_results`. The live
    service says `innererror` and `content_filter_result`, whatever its specification says.
    """
    inner = {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": dict(sorted(results.items())),
    }
    body = {
        "error": {
            "message": PROMPT_FILTERED,
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": inner,
        }
    }
    headers = ((b"x-should-retry", b"false"),)
    return ErrorReply(400, headers, msgspec.json.encode(body))
