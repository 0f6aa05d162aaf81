"""Responses, checked as OpenAI does: `wire.openai_responses` has the order and the words. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.wire.openai_responses.decode import check_head, decode_responses
from entente.wire.openai_responses.request_reader import check_items, check_tools, read_request

_NO_ITEMS: Final = msgspec.Raw(b"[]")


def check_responses(body: bytes, *, with_store: bool = False) -> None:
    """Check a request to create a response: names, the input's items, then the other parameters.

    `with_store` says that responses are kept here, so that a request may build on one.
    """
    check_items(check_head(body), with_store=with_store)
    call = decode_responses(body, strict=True, with_store=with_store)
    others = {**call.members, "input": _NO_ITEMS}
    read_request(msgspec.structs.replace(call, members=others))
    if "tools" in call.members:
        check_tools(call.members["tools"])
