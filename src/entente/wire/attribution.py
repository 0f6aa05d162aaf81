"""Whom a call is put down to: what its body says of that, and its header `Entente-Tags`. Pure.

The header is for us; a wrong one is refused, since budgets and reports go by it. What the
body says is for the provider as well, who may refuse it: here a value of another form than
the vendor's says nothing.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import InvalidParameter
from entente.domain.origin import END_USER_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX

HEADER: Final = "Entente-Tags"
TIER_CHARS_MAX: Final = 32
SIZE_CHARS_MAX: Final = 32

_SAYING: Final = frozenset({"safety_identifier", "user", "metadata", "service_tier", "size"})
_TAG: Final = re.compile(r"[A-Za-z0-9][\w.:/=@+-]*", re.ASCII)
_ALLOWED: Final = (
    f"up to {TAGS_MAX} words with commas between them, each of at most {TAG_CHARS_MAX} letters, "
    "digits and _ . : / = @ + - that begins with a letter or a digit"
)


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_text: Final[msgspec.json.Decoder[str | None]] = msgspec.json.Decoder(str | None)
_metadata: Final[msgspec.json.Decoder[_Metadata | None]] = msgspec.json.Decoder(_Metadata | None)


def attributed(call: Call) -> Call:
    """Read off a call's members whom it serves and what it asks for beside the model."""
    members = call.members
    if _SAYING.isdisjoint(members):
        return call
    if call.surface is Surface.MESSAGES:
        end_user = _user_id(members.get("metadata"))
    else:
        end_user = _said(members.get("safety_identifier")) or _said(members.get("user"))
    return msgspec.structs.replace(
        call,
        end_user=end_user[:END_USER_CHARS_MAX],
        service_tier=_said(members.get("service_tier"))[:TIER_CHARS_MAX],
        size=_said(members.get("size"))[:SIZE_CHARS_MAX],
    )


def read_tags(value: bytes) -> tuple[str, ...]:
    """Read the header: in alphabetical order, each tag once. Raises InvalidParameter."""
    tags = {tag.strip() for tag in value.decode("latin-1").split(",")}
    fits = all(len(tag) <= TAG_CHARS_MAX and _TAG.fullmatch(tag) for tag in tags)
    if not fits or len(tags) > TAGS_MAX:
        message = f"Invalid header {HEADER}: expected {_ALLOWED}."
        raise InvalidParameter(message, param=HEADER, code="invalid_value")
    return tuple(sorted(tags))


def _said(raw: Raw | None) -> str:
    """Read a text; what is none says nothing."""
    if raw is None:
        return ""
    try:
        return _text.decode(raw) or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _user_id(raw: Raw | None) -> str:
    """Read the user out of Anthropic's `metadata`."""
    if raw is None:
        return ""
    try:
        found = _metadata.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return (found.user_id or "") if found is not None else ""
