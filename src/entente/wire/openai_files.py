"""OpenAI's files and uploads: what a client asks for, and what it is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from entente.domain.errors import InvalidParameter, MalformedJson, ObjectNotFound
from entente.wire.openai_responses import faults

PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
"""What a client may say that a file is for; ours is besides `batch_output`."""
EXPIRES_S_MIN: Final = 3600
EXPIRES_S_MAX: Final = 30 * 24 * 3600
BATCH_EXPIRES_S: Final = EXPIRES_S_MAX
"""Files for batches are kept so long if nothing else is said."""
UPLOAD_EXPIRES_S: Final = 3600
FILENAME_CHARS_MAX: Final = 1024
PARTS_MAX: Final = 10_000
METADATA_MAX: Final = 16
METADATA_NAME_CHARS_MAX: Final = 64
METADATA_VALUE_CHARS_MAX: Final = 512

_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file as it is kept; `blob` is the name of its bytes."""

    id: str
    bytes: int
    created_s: int
    filename: str
    purpose: str
    expires_s: int | None = None
    """Seconds since 1970."""


class Wish(msgspec.Struct, frozen=True):
    """What a client says of a file that it sends."""

    purpose: str
    expires_s: int | None
    """Seconds that it is kept; None for ever."""


class UploadRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An upload as it is kept."""

    id: str
    bytes: int
    created_s: int
    filename: str
    purpose: str
    mime_type: str = ""
    kept_s: int | None = None
    """How long the file will be kept."""
    status: str = "pending"
    file: FileRecord | None = None


class Completion(msgspec.Struct, frozen=True):
    """How a client completes an upload."""

    part_ids: tuple[str, ...]
    md5: str | None


def read_wish(fields: Mapping[str, str]) -> Wish:
    """Read the plain fields of a form that brings a file. Raises InvalidParameter.

    What is inside of a field has its name in brackets, or behind a dot as Azure's guides write it.
    """
    purpose = fields.get("purpose")
    if purpose is None:
        raise faults.missing("purpose")
    anchor = fields.get("expires_after[anchor]", fields.get("expires_after.anchor"))
    seconds = fields.get("expires_after[seconds]", fields.get("expires_after.seconds"))
    after: object = None
    if anchor is not None or seconds is not None:
        digits = (seconds or "").isdecimal() and len(seconds or "") < 19  # noqa: PLR2004
        after = {"anchor": anchor, "seconds": int(seconds or "") if digits else seconds}
    elif "expires_after" in fields:
        after = _json(fields["expires_after"].encode(), "expires_after")
    return _wish(purpose, after, PURPOSES)


def _json(text: bytes, name: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise faults.wrong_type(name, "an object", "a string") from None


def _wish(purpose: object, after: object, purposes: Collection[str]) -> Wish:
    if not isinstance(purpose, str):
        raise faults.wrong_type("purpose", "a string", _kind(purpose))
    if purpose not in purposes:
        raise faults.wrong_value("purpose", purpose, purposes)
    kept_s = read_expiry(after, "expires_after")
    return Wish(purpose, BATCH_EXPIRES_S if kept_s is None and purpose == "batch" else kept_s)


def read_expiry(after: object, name: str) -> int | None:
    """Read how long something is kept. Raises InvalidParameter."""
    if after is None:
        return None
    if not isinstance(after, dict):
        raise faults.wrong_type(name, "an object", _kind(after))
    anchor, seconds = after.get("anchor"), after.get("seconds")
    if anchor is None:
        raise faults.missing(f"{name}.anchor")
    if anchor != "created_at":
        raise faults.wrong_value(f"{name}.anchor", str(anchor), ("created_at",))
    if seconds is None:
        raise faults.missing(f"{name}.seconds")
    if type(seconds) is not int:
        raise faults.wrong_type(f"{name}.seconds", "an integer", _kind(seconds))
    if not EXPIRES_S_MIN <= seconds <= EXPIRES_S_MAX:
        raise faults.out_of_bounds(f"{name}.seconds", seconds, EXPIRES_S_MIN, EXPIRES_S_MAX)
    return seconds


def read_members(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises MalformedJson."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(_NOT_JSON) from None


def text(members: Mapping[str, Any], name: str, chars_max: int = FILENAME_CHARS_MAX) -> str:
    """Read a text that has to be there. Raises InvalidParameter."""
    value = members.get(name)
    if value is None:
        raise faults.missing(name)
    if not isinstance(value, str):
        raise faults.wrong_type(name, "a string", _kind(value))
    if len(value) > chars_max:
        raise faults.too_long(name, len(value), chars_max)
    return value


def refuse_unknown(members: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a member that nobody knows. Raises InvalidParameter."""
    for name in members:
        if name not in known:
            raise faults.unknown(name, known, members)


def read_metadata(value: object) -> dict[str, str] | None:
    """Read metadata: at most 16 pairs of text. Raises InvalidParameter."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise faults.wrong_type("metadata", "an object", _kind(value))
    if len(value) > METADATA_MAX:
        message = (
            f"Invalid 'metadata': too many properties. Expected an object with at most "
            f"{METADATA_MAX} properties, but got an object with {len(value)} properties instead."
        )
        raise InvalidParameter(message, param="metadata", code="object_above_max_properties")
    for name, inner in value.items():
        path = f"metadata.{name}"
        if len(name) > METADATA_NAME_CHARS_MAX:
            message = f"Invalid 'metadata': a name is longer than {METADATA_NAME_CHARS_MAX}."
            code = "property_name_above_max_length"
            raise InvalidParameter(message, param="metadata", code=code)
        if not isinstance(inner, str):
            raise faults.wrong_type(path, "a string", _kind(inner))
        if len(inner) > METADATA_VALUE_CHARS_MAX:
            raise faults.too_long(path, len(inner), METADATA_VALUE_CHARS_MAX)
    return value


def read_upload(body: bytes, *, id: str, created_s: int, bytes_max: int) -> UploadRecord:
    """Read a request for an upload. Raises MalformedJson or InvalidParameter."""
    members = read_members(body)
    known = ("filename", "purpose", "bytes", "mime_type", "expires_after")
    filename = clean(text(members, "filename"))
    wish = _wish(members.get("purpose") or text(members, "purpose"), members.get("expires_after"),
                 PURPOSES)  # fmt: skip
    size = members.get("bytes")
    if size is None:
        raise faults.missing("bytes")
    if type(size) is not int:
        raise faults.wrong_type("bytes", "an integer", _kind(size))
    if not 0 <= size <= bytes_max:
        raise faults.out_of_bounds("bytes", size, 0, bytes_max)
    mime_type = text(members, "mime_type")
    refuse_unknown(members, known)
    return UploadRecord(
        id=id,
        bytes=size,
        created_s=created_s,
        filename=filename,
        purpose=wish.purpose,
        mime_type=mime_type,
        kept_s=wish.expires_s,
    )


def read_completion(body: bytes) -> Completion:
    """Read how an upload is completed. Raises MalformedJson or InvalidParameter."""
    members = read_members(body)
    parts = members.get("part_ids")
    if parts is None:
        raise faults.missing("part_ids")
    if not isinstance(parts, list):
        raise faults.wrong_type("part_ids", "an array of strings", _kind(parts))
    if len(parts) > PARTS_MAX:
        raise faults.out_of_bounds("part_ids", len(parts), 0, PARTS_MAX)
    for number, part in enumerate(parts):
        if not isinstance(part, str):
            raise faults.wrong_type(f"part_ids[{number}]", "a string", _kind(part))
    digest = members.get("md5")
    if digest is not None and not (isinstance(digest, str) and _MD5.fullmatch(digest)):
        message = "Invalid 'md5': expected the 32 hexadecimal digits of an MD5 checksum."
        raise InvalidParameter(message, param="md5", code="invalid_value")
    refuse_unknown(members, ("part_ids", "md5"))
    return Completion(tuple(parts), digest.lower() if digest else None)


def clean(filename: str) -> str:
    """Give a file's name as it is kept: the last part of a path, without control characters."""
    last = re.split(r"[/\\]", _CONTROL.sub("", filename))[-1]
    return last or "file"


def write_file(record: FileRecord) -> dict[str, object]:
    """Write a file object."""
    written: dict[str, object] = {
        "object": "file",
        "id": record.id,
        "purpose": record.purpose,
        "filename": record.filename,
        "bytes": record.bytes,
        "created_at": record.created_s,
    }
    if record.expires_s is not None:
        written["expires_at"] = record.expires_s
    return {**written, "status": "processed"}


def write_upload(record: UploadRecord) -> dict[str, object]:
    """Write an upload object."""
    written: dict[str, object] = {
        "id": record.id,
        "object": "upload",
        "bytes": record.bytes,
        "created_at": record.created_s,
        "filename": record.filename,
        "purpose": record.purpose,
        "status": record.status,
        "expires_at": record.created_s + UPLOAD_EXPIRES_S,
    }
    if record.file is not None:
        written["file"] = write_file(record.file)
    return written


def write_part(id: str, upload: str, created_s: int) -> dict[str, object]:
    """Write the object of a part."""
    return {"id": id, "object": "upload.part", "created_at": created_s, "upload_id": upload}


def write_list(objects: list[dict[str, object]], *, has_more: bool) -> dict[str, object]:
    """Write a page of a list."""
    return {
        "object": "list",
        "data": objects,
        "has_more": has_more,
        "first_id": objects[0]["id"] if objects else "",
        "last_id": objects[-1]["id"] if objects else "",
    }


def no_file(id: str) -> ObjectNotFound:
    """Say that there is no such file."""
    message = f"No such File object: {id[: faults.NAME_CHARS_MAX]}"
    return ObjectNotFound(message, param="id", code=None)


def no_upload(id: str) -> ObjectNotFound:
    """Say that there is no such upload, or none any more."""
    message = f"No upload found with id '{id[: faults.NAME_CHARS_MAX]}', or it has expired."
    return ObjectNotFound(message, param="upload_id", code=None)


def not_pending(record: UploadRecord) -> InvalidParameter:
    """Say that an upload takes nothing more."""
    message = f"Upload '{record.id}' is {record.status}; only a pending one can be changed."
    return InvalidParameter(message, param="upload_id", code=None)


_KINDS: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "another type")


_NOT_JSON: Final = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The API expects a JSON payload, but what was sent was not valid "
    "JSON.)"
)
