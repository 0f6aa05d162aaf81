"""OpenAI's batches: the request for one, the lines of its files, and its object. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entente.domain.batches import Batch, Ending, Fault, Result, State
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.wire.nesting import DEPTH_MAX, is_deep
from entente.wire.openai_files import (
    BATCH_EXPIRES_S,
    read_expiry,
    read_members,
    read_metadata,
    refuse_unknown,
    text,
)
from entente.wire.openai_responses import faults

WINDOW: Final = "24h"
WINDOW_S: Final = 24 * 3600
LINES_MAX: Final = 50_000
FAULTS_MAX: Final = 100
CUSTOM_ID_CHARS_MAX: Final = 512
VERSION: Final = "/v1"

_EMPTY: Final = Fault("empty_file", "The input file is empty. Send at least one request.")
_TOO_MANY: Final = Fault(
    "too_many_tasks", f"The input file has more than {LINES_MAX} requests.", None, LINES_MAX + 1
)
_NOT_JSON: Final = "This line is not parseable as valid JSON."
_REASONS: Final = {
    Ending.EXPIRED: (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    Ending.CANCELLED: (
        "batch_cancelled",
        "The batch was cancelled before this request was executed.",
    ),
    Ending.INTERRUPTED: (
        "request_interrupted",
        "The server ended twice while this request ran. It is not begun a third time.",
    ),
}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a batch."""

    input_file_id: str
    endpoint: str
    route: str
    metadata: dict[str, str] | None
    output_kept_s: int | None


class _Written(msgspec.Struct):
    """A line as it stands in a file."""

    custom_id: str | None = None
    method: str | None = None
    url: str | None = None
    body: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    model: str | None = None


def read_create(body: bytes, *, routes: tuple[str, ...], is_azures: bool) -> Wish:
    """Read a request for a batch.

    Azure's clients may leave out `/v1` of the endpoint, and say beside `output_expires_after` what
    its anchor is, as Azure's guides do.

    Raises MalformedJson or InvalidParameter.
    """
    members = read_members(body)
    known = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
    file = text(members, "input_file_id")
    endpoint = text(members, "endpoint")
    route = _route(endpoint, is_azures=is_azures)
    if route not in routes:
        raise faults.wrong_value("endpoint", endpoint, routes)
    window = text(members, "completion_window")
    if window != WINDOW:
        raise faults.wrong_value("completion_window", window, (WINDOW,))
    metadata = read_metadata(members.get("metadata"))
    after = members.get("output_expires_after")
    if is_azures and isinstance(after, dict) and "anchor" in members:
        after = {"anchor": members["anchor"], **after}
    kept_s = read_expiry(after, "output_expires_after")
    if not is_azures:
        refuse_unknown(members, known)
    return Wish(
        input_file_id=file,
        endpoint=endpoint,
        route=route,
        metadata=metadata,
        output_kept_s=BATCH_EXPIRES_S if kept_s is None else kept_s,
    )


def _route(url: str, *, is_azures: bool) -> str:
    return f"{VERSION}{url}" if is_azures and not url.startswith(f"{VERSION}/") else url


class Inspection:
    """Looks at the lines of an input file, one after the other, before any is run."""

    def __init__(self, batch: Batch) -> None:
        """Begin with none."""
        self._batch = batch
        self._ids: set[str] = set()
        self.model = ""
        self.lines = 0
        self.faults: list[Fault] = []

    @property
    def hopeless(self) -> bool:
        """Whether looking at more lines tells nothing more."""
        return len(self.faults) >= FAULTS_MAX or self.lines > LINES_MAX

    def look(self, raw: bytes, number: int) -> None:
        """Look at a line; `number` counts from one."""
        self.lines += 1
        if self.lines > LINES_MAX:
            self.faults.append(_TOO_MANY)
            return
        fault = self._fault(raw, number)
        if fault is not None:
            self.faults.append(fault)

    def close(self) -> None:
        """Take the end of the file."""
        if not self.lines:
            self.faults.append(_EMPTY)

    def _fault(self, raw: bytes, number: int) -> Fault | None:
        """Say what is wrong with a line, if anything is."""
        read = _parsed(raw, number)
        if isinstance(read, Fault):
            return read
        line, model = read
        return (
            self._unnamed(line.custom_id or "", number)
            or self._misdirected(line, number)
            or self._of_another_model(model, number)
        )

    def _unnamed(self, custom_id: str, number: int) -> Fault | None:
        if len(custom_id) > CUSTOM_ID_CHARS_MAX:
            message = f"custom_id has more than {CUSTOM_ID_CHARS_MAX} characters."
            return Fault("invalid_request", message, "custom_id", number)
        if custom_id in self._ids:
            message = (
                f"The custom_id '{custom_id}' of this request is that of another one. "
                "Each has to be unique in a batch."
            )
            return Fault("duplicate_custom_id", message, "custom_id", number)
        self._ids.add(custom_id)
        return None

    def _misdirected(self, line: _Written, number: int) -> Fault | None:
        batch = self._batch
        if line.method != "POST":
            return Fault("invalid_method", "The method has to be POST.", "method", number)
        if _route(line.url or "", is_azures=batch.is_azures) != batch.route:
            message = f"The url of this request is not the batch's endpoint '{batch.endpoint}'."
            return Fault("url_mismatch", message, "url", number)
        return None

    def _of_another_model(self, model: str, number: int) -> Fault | None:
        if not model:
            message = "you must provide a model parameter"
            return Fault("missing_required_parameter", message, "body.model", number)
        self.model = self.model or model
        if model != self.model:
            message = (
                f"The model '{model}' of this request is not '{self.model}', that of the "
                "first one. All requests of a batch use one model."
            )
            return Fault("model_mismatch", message, "body.model", number)
        return None


def _parsed(raw: bytes, number: int) -> tuple[_Written, str] | Fault:
    """Read a line and the model that it asks."""
    if is_deep(raw):
        message = f"The line is nested more than {DEPTH_MAX} levels deep. Send it flatter."
        return Fault("invalid_json_line", message, None, number)
    try:
        line = msgspec.json.decode(raw, type=_Written)
        asked = msgspec.json.decode(bytes(line.body) or b"{}", type=_Body)
    except msgspec.ValidationError:
        message = "The line is not a request: an object with custom_id, method, url and body."
        return Fault("invalid_request", message, None, number)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault("invalid_json_line", _NOT_JSON, None, number)
    for name in ("custom_id", "method", "url", "body"):
        if not (bytes(line.body) if name == "body" else getattr(line, name)):
            message = f"Missing required parameter: '{name}'."
            return Fault("missing_required_parameter", message, name, number)
    return line, asked.model or ""


def no_model(model: str) -> Fault:
    """Say that the batch's model is not there for its key."""
    message = f"The model '{model}' does not exist or you do not have access to it."
    return Fault("model_not_found", message, "body.model", 1)


def read_line(raw: bytes) -> tuple[str, bytes]:
    """Give the custom id and the request of a line that has been looked at."""
    written = msgspec.json.decode(raw, type=_Written)
    return written.custom_id or "", bytes(written.body)


def write_result(result: Result, id: str) -> bytes:
    """Write a line of the file of results, or of errors."""
    response: dict[str, object] | None = None
    error: dict[str, str] | None = None
    if result.ending in _REASONS:
        code, message = _REASONS[result.ending]
        error = {"code": code, "message": message}
    else:
        response = {
            "status_code": result.status,
            "request_id": result.request_id,
            "body": msgspec.Raw(result.body),
        }
    line: dict[str, object] = {
        "id": id,
        "custom_id": result.custom_id,
        "response": response,
        "error": error,
    }
    if result.times > 1:
        line["attempts"] = result.times
    return msgspec.json.encode(line) + b"\n"


_MOMENTS: Final = {
    State.COMPLETED: "completed_at",
    State.FAILED: "failed_at",
    State.EXPIRED: "expired_at",
    State.CANCELLED: "cancelled_at",
}


def write_batch(batch: Batch) -> dict[str, Any]:
    """Write a batch object."""
    written: dict[str, Any] = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.window,
        "status": batch.state,
        "output_file_id": batch.output_id or None,
        "error_file_id": batch.error_id or None,
        "created_at": batch.created_s,
        "in_progress_at": batch.in_progress_s,
        "expires_at": batch.expires_s,
        "finalizing_at": batch.finalizing_s,
        **dict.fromkeys(_MOMENTS.values()),
        "cancelling_at": batch.cancelling_s,
        "request_counts": {
            "total": batch.counts.total,
            "completed": batch.counts.completed,
            "failed": batch.counts.failed,
        },
        "usage": _usage(batch),
        "metadata": batch.metadata,
    }
    if batch.model:
        written["model"] = batch.model
    if batch.faults:
        data = [msgspec.structs.asdict(fault) for fault in batch.faults]
        written["errors"] = {"object": "list", "data": data}
    if batch.state in _MOMENTS:
        written[_MOMENTS[batch.state]] = batch.ended_s
    if batch.state not in _MOMENTS:  # they are reserved before they are written
        written |= {"output_file_id": None, "error_file_id": None}
    return written


def _usage(batch: Batch) -> dict[str, Any]:
    used = batch.usage
    return {
        "input_tokens": used.input_total,
        "input_tokens_details": {"cached_tokens": used.cache_read},
        "output_tokens": used.output_total,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.total,
    }


def no_batch(id: str) -> ObjectNotFound:
    """Say that there is no such batch."""
    message = f"No batch found with id '{id[: faults.NAME_CHARS_MAX]}'."
    return ObjectNotFound(message, param=None, code=None)


def not_cancellable(batch: Batch) -> InvalidParameter:
    """Say that a batch is past cancelling."""
    message = f"Cannot cancel a batch with status '{batch.state}'."
    return InvalidParameter(message, param=None, code=None)
