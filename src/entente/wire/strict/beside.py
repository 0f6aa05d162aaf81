"""What stands beside the making of responses: counts, compactions, conversations. Pure.

Checked in the order of the conversations: the model or what has to be there, unknown names, then
values. Values are those of a response, and refused as they are there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.errors import MalformedJson
from entente.wire import openai_stored
from entente.wire.members import split
from entente.wire.openai_responses import faults, stored
from entente.wire.openai_responses.decode import check_model
from entente.wire.openai_responses.shapes import SHAPES
from entente.wire.parameters import MALFORMED, decoded, missing
from entente.wire.strict.responses import check_responses

TOLD: Final = frozenset({"truncation"})
"""What a count takes as a response does, although no token depends on it."""
PERSONALITY: Final = "personality"
"""What only a count takes: any word."""
COUNTED: Final = stored.COUNTED | TOLD | {PERSONALITY}
COMPACTED: Final = stored.COMPACTED
NEW: Final = frozenset({"items", "metadata"})
CHANGED: Final = frozenset({"metadata"})
ADDED: Final = frozenset({"items"})

_string: Final[msgspec.json.Decoder[str | None]] = msgspec.json.Decoder(str | None)


def check_input_tokens(body: bytes, *, with_store: bool = False) -> None:
    """Check a request to count what a response would be told."""
    members = check_model(body)
    _check_names(members, COUNTED)
    check_responses(stored.only(body, COUNTED - {PERSONALITY}), with_store=with_store)
    decoded(members, PERSONALITY, _string, "a string")


def check_compaction(body: bytes, *, with_store: bool = False) -> None:
    """Check a request to compact what a response would be told."""
    _check_names(check_model(body), COMPACTED)
    check_responses(stored.only(body, COMPACTED), with_store=with_store)


def check_new_conversation(body: bytes) -> None:
    """Check a request for a conversation, which may be empty."""
    if not body.strip():
        return
    members = _members(body)
    _check_names(members, NEW)
    openai_stored.metadata_of(members)
    _check_items(members, needed=False)


def check_changed_conversation(body: bytes) -> None:
    """Check a request for other metadata."""
    members = _members(body)
    if "metadata" not in members:
        raise missing("metadata")
    _check_names(members, CHANGED)
    openai_stored.metadata_of(members)


def check_added_items(body: bytes) -> None:
    """Check a request to add items to a conversation."""
    members = _members(body)
    if "items" not in members:
        raise missing("items")
    _check_names(members, ADDED)
    _check_items(members, needed=True)


def _members(body: bytes) -> dict[str, Raw]:
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    return members


def _check_names(members: Mapping[str, Raw], known: Collection[str]) -> None:
    for name in members:
        if name not in known:
            raise faults.unknown(name, sorted(known), members.keys())


def _check_items(members: Mapping[str, Raw], *, needed: bool) -> None:
    for at, item in enumerate(stored.read_new_items(members, needed=needed)):
        faults.check_inside(f"items[{at}]", item, SHAPES["input"])
