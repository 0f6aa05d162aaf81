"""Requests refused as the vendor would refuse them, in its order and its words. Pure.

Lenient is the default: what nobody here knows goes on to a provider of the same dialect, which
knows better, and costs nothing to look at. A server that is told to be strict passes a body
through one of these checks first; they raise MalformedJson or InvalidParameter, and give nothing.
What depends on the model (a parameter that it does not take) only its provider can tell.
"""

from entente.wire.strict.beside import (
    check_added_items,
    check_changed_conversation,
    check_compaction,
    check_input_tokens,
    check_new_conversation,
)
from entente.wire.strict.chat import check_chat
from entente.wire.strict.messages import check_count_tokens, check_messages
from entente.wire.strict.others import check_form, check_json
from entente.wire.strict.responses import check_responses

__all__ = [
    "check_added_items",
    "check_changed_conversation",
    "check_chat",
    "check_compaction",
    "check_count_tokens",
    "check_form",
    "check_input_tokens",
    "check_json",
    "check_messages",
    "check_new_conversation",
    "check_responses",
]
