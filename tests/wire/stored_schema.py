"""What stored objects and lists of them have to look like, and a checker of it.

As in `responses_schema`: our own reading, and the vendor's specification where it is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.support.contract.schemas import Schema, defects
from tests.support.contract.schemas import one_of as _one
from tests.wire.responses_schema import RESPONSE, as_specified, vendor_defects

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer"}
_FLAG: Final = {"type": "boolean"}
_METADATA: Final = {"type": ["object", "null"]}


def _object(**members: Any) -> Schema:
    return {"type": "object", "required": list(members), "properties": members}


def _list(items: Schema) -> Schema:
    return _object(
        object=_one("list"),
        data={"type": "array", "items": items},
        first_id=_TEXT,
        last_id=_TEXT,
        has_more=_FLAG,
    )


_COMPLETION: Final = _object(
    id=_TEXT,
    object=_one("chat.completion"),
    created=_COUNT,
    model=_TEXT,
    choices={"type": "array"},
    metadata=_METADATA,
)
_ITEM: Final = _object(id=_TEXT, type=_TEXT)
SCHEMAS: Final[Mapping[str, Schema]] = {
    "CreateChatCompletionResponse": _COMPLETION,
    "ChatCompletionList": _list(_COMPLETION),
    "ChatCompletionMessageList": _list(_object(id=_TEXT, role=_TEXT, content={})),
    "ChatCompletionDeleted": _object(
        object=_one("chat.completion.deleted"), id=_TEXT, deleted=_FLAG
    ),
    "Response": RESPONSE,
    "ResponseItemList": _list(_ITEM),
    "ConversationResource": _object(
        id=_TEXT, object=_one("conversation"), metadata=_METADATA, created_at=_COUNT
    ),
    "ConversationItem": _ITEM,
    "ConversationItemList": _list(_ITEM),
    "DeletedConversationResource": _object(
        object=_one("conversation.deleted"), id=_TEXT, deleted=_FLAG
    ),
    "TokenCountsResource": _object(object=_one("response.input_tokens"), input_tokens=_COUNT),
    "CompactResource": _object(
        id=_TEXT,
        object=_one("response.compaction"),
        output={"type": "array", "items": _ITEM},
        created_at=_COUNT,
        usage={"type": "object"},
    ),
}


def assert_is(name: str, value: Any) -> None:
    """Fail with what is wrong with a body, by the name of its schema."""
    assert list(defects(value, SCHEMAS[name], {})) == []
    if name == "Response":
        value = as_specified(value)
    assert vendor_defects(value, name) == []
