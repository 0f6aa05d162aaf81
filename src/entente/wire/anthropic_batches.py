"""Anthropic's message batches: the request for one, its results, and its object. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from entente.domain.batches import Batch, Ending, Result
from entente.domain.errors import InvalidParameter, MalformedJson, ObjectNotFound
from entente.wire.anthropic.decode import MALFORMED
from entente.wire.anthropic.form import invalid, missing

REQUESTS_MAX: Final = 100_000
KEPT_S: Final = 29 * 24 * 3600
"""Results are there for so long."""
ID_CHARS_MAX: Final = 64

_CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Asked(msgspec.Struct):
    requests: list[msgspec.Raw] | None = None


class _Request(msgspec.Struct):
    custom_id: str | None = None
    params: msgspec.Raw = msgspec.Raw()


def read_create(body: bytes) -> list[bytes]:
    """Read a request for a batch; give its requests, as lines for the executor.

    What the requests ask is looked at when they are run, as Anthropic does. Raises
    MalformedJson or InvalidParameter.
    """
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except msgspec.ValidationError:
        raise invalid("requests", "Input should be a valid array") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    if asked.requests is None:
        raise missing("requests")
    if not 1 <= len(asked.requests) <= REQUESTS_MAX:
        raise invalid("requests", f"List should have 1 to {REQUESTS_MAX} items")
    seen: set[str] = set()
    return [_line(raw, f"requests.{number}", seen) for number, raw in enumerate(asked.requests)]


def _line(raw: msgspec.Raw, at: str, seen: set[str]) -> bytes:
    try:
        request = msgspec.json.decode(raw, type=_Request)
    except msgspec.ValidationError:
        raise invalid(at, "Input should be an object with custom_id and params") from None
    except UnicodeDecodeError:
        raise MalformedJson(MALFORMED) from None
    if request.custom_id is None:
        raise missing(f"{at}.custom_id")
    if not _CUSTOM_ID.fullmatch(request.custom_id):
        pattern = f"String should match pattern '^{_CUSTOM_ID.pattern}$'"
        raise invalid(f"{at}.custom_id", pattern)
    if request.custom_id in seen:
        raise invalid(f"{at}.custom_id", "custom_id must be unique within the batch")
    seen.add(request.custom_id)
    if not bytes(request.params).startswith(b"{"):
        raise missing(f"{at}.params")
    return msgspec.json.encode(request).replace(b"\n", b" ") + b"\n"


def read_line(raw: bytes) -> tuple[str, bytes]:
    """Give the custom id and the request of a line."""
    request = msgspec.json.decode(raw, type=_Request)
    return request.custom_id or "", bytes(request.params)


def write_result(result: Result, _: str) -> bytes:
    """Write a line of the results."""
    outcome: dict[str, object]
    match result.ending:
        case Ending.COMPLETED:
            outcome = {"type": "succeeded", "message": msgspec.Raw(result.body)}
        case Ending.CANCELLED:
            outcome = {"type": "canceled"}
        case Ending.EXPIRED:
            outcome = {"type": "expired"}
        case Ending.INTERRUPTED:
            outcome = {"type": "errored", "error": _interrupted(result)}
        case _:
            outcome = {"type": "errored", "error": msgspec.Raw(result.body)}
    return msgspec.json.encode({"custom_id": result.custom_id, "result": outcome}) + b"\n"


def _interrupted(result: Result) -> dict[str, object]:
    message = "The server ended twice while this request ran. It is not begun a third time."
    error = {"type": "api_error", "message": message}
    return {"type": "error", "error": error, "request_id": result.request_id or None}


def write_batch(batch: Batch, results_url: str) -> dict[str, Any]:
    """Write a batch object. While it runs, all its requests count as processing."""
    ended = batch.ended_s is not None
    counts = batch.counts
    status = "canceling" if batch.cancelling_s is not None else "in_progress"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else status,
        "request_counts": {
            "processing": 0 if ended else counts.total,
            "succeeded": counts.completed if ended else 0,
            "errored": counts.failed if ended else 0,
            "canceled": counts.cancelled if ended else 0,
            "expired": counts.expired if ended else 0,
        },
        "ended_at": _moment(batch.ended_s),
        "created_at": _moment(batch.created_s),
        "expires_at": _moment(batch.expires_s),
        "archived_at": None,
        "cancel_initiated_at": _moment(batch.cancelling_s),
        "results_url": results_url if ended else None,
    }


def write_list(batches: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Write a page of a list."""
    return {
        "data": batches,
        "has_more": has_more,
        "first_id": batches[0]["id"] if batches else None,
        "last_id": batches[-1]["id"] if batches else None,
    }


def _moment(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def no_batch(id: str) -> ObjectNotFound:
    """Say that there is no such batch."""
    message = f"Message Batch {id[:ID_CHARS_MAX]} not found"
    return ObjectNotFound(message, param=None, code=None)


def not_ended(batch: Batch, what: str) -> InvalidParameter:
    """Say that a batch has to end before this."""
    message = f"Message Batch {batch.id} is still processing. {what}"
    return InvalidParameter(message, param=None, code=None)
