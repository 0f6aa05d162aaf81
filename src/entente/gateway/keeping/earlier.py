"""What a call builds on: earlier responses, a conversation, and items by their ids.

The items themselves are put into the call, so that every provider's model can go on from
what any other has said.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from entente.domain.chat import Call
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.domain.principal import Principal
from entente.objects import Item, Link, Objects, Order, Wanted
from entente.objects.model import PAGE_MAX
from entente.wire import openai_responses
from entente.wire.openai_responses import State, stored

LINKS_MAX: Final = 1000
"""Responses in a row that can build on one another."""
EARLIER_BYTES_MAX: Final = 64 * 1024 * 1024
REFERENCES_MAX: Final = 1000
CONVERSATION_ITEMS_MAX: Final = 10_000


async def expanded(objects: Objects, who: Principal, call: Call, asked: State) -> Call:
    """Give the call with the items that it builds on before its own, and in place of ids.

    Raises InvalidParameter or ObjectNotFound for what is not there for this principal.
    """
    earlier: list[Raw] = []
    if asked.previous_response_id is not None:
        earlier = await before(objects, who, asked.previous_response_id)
    elif asked.conversation is not None:
        own = len(openai_responses.input_items(call))
        earlier = await _conversation(objects, who, asked.conversation, room_for=own)
    given = openai_responses.input_items(call)
    if any(stored.kind_of(item) == stored.REFERENCE for item in given):
        earlier += await _resolved(objects, who, given, earlier)
        call = stored.with_input(call, [])
    return openai_responses.behind(call, earlier) if earlier else call


async def before(objects: Objects, who: Principal, id: str) -> list[Raw]:
    """Give what was said up to a response and in it, in order. Raises InvalidParameter."""
    lineage = await objects.lineage(
        who, stored.KIND, id, links_max=LINKS_MAX, bytes_max=EARLIER_BYTES_MAX
    )
    if lineage is None:
        raise stored.no_previous(id)
    if lineage.missing is not None:
        raise stored.no_previous(lineage.missing)
    if not lineage.complete:
        message = (
            f"The responses that '{stored.cited(id)}' builds on are more than {LINKS_MAX}, or "
            f"longer than {EARLIER_BYTES_MAX} bytes. Compact them, or start anew."
        )
        raise _too_long(message, "previous_response_id")
    if stored.is_running(lineage.links[-1].object.state):
        message = (
            f"Previous response with id '{stored.cited(id)}' is not finished yet. Wait until it "
            "is, or cancel it."
        )
        raise InvalidParameter(message, param="previous_response_id", code=None)
    return [Raw(body) for link in lineage.links for _, body in (*_inputs(link), *_outputs(link))]


async def input_of(objects: Objects, who: Principal, id: str) -> list[tuple[str, bytes]] | None:
    """Give all that a response was told and is still kept, with ids; None if there is none."""
    lineage = await objects.lineage(
        who, stored.KIND, id, links_max=LINKS_MAX, bytes_max=EARLIER_BYTES_MAX
    )
    if lineage is None:
        return None
    said = [item for link in lineage.links[:-1] for item in (*_inputs(link), *_outputs(link))]
    return said + [item for link in lineage.links[-1:] for item in _inputs(link)]


def _inputs(link: Link) -> list[tuple[str, bytes]]:
    return [(item.id, item.body) for item in link.items]


def _outputs(link: Link) -> list[tuple[str, bytes]]:
    found = stored.read_kept(link.object.body)
    return [(stored.id_of(raw) or "", bytes(raw)) for raw in (found.output if found else ())]


async def all_items(objects: Objects, who: Principal, id: str) -> list[Item]:
    """Give all items of a conversation, in order."""
    items: list[Item] = []
    more = True
    while more:
        after = items[-1].id if items else None
        asked = Wanted(limit=PAGE_MAX, order=Order.ASC, after=after)
        page = await objects.items(who, stored.CONVERSATION, id, asked)
        items += page.found
        more = page.has_more
    return items


async def _conversation(objects: Objects, who: Principal, id: str, *, room_for: int) -> list[Raw]:
    if await objects.get(who, stored.CONVERSATION, id) is None:
        raise ObjectNotFound(stored.no_conversation(id), param=None, code=None)
    items = await all_items(objects, who, id)
    if len(items) + room_for > CONVERSATION_ITEMS_MAX:
        raise full(id)
    if sum(len(item.body) for item in items) > EARLIER_BYTES_MAX:
        message = f"The conversation is longer than {EARLIER_BYTES_MAX} bytes. Start another."
        raise _too_long(message, "conversation")
    return [Raw(item.body) for item in items]


def full(id: str) -> InvalidParameter:
    """Say that a conversation takes no more."""
    message = (
        f"Conversation '{stored.cited(id)}' would have more than {CONVERSATION_ITEMS_MAX} items. "
        "Delete some, or start another."
    )
    return InvalidParameter(message, param="conversation", code="conversation_full")


async def _resolved(
    objects: Objects, who: Principal, given: list[Raw], earlier: list[Raw]
) -> list[Raw]:
    """Put the items themselves where a call names them by their ids."""
    there = {stored.id_of(item) for item in earlier}
    found: list[Raw] = []
    looked_up = 0
    for item in given:
        if stored.kind_of(item) != stored.REFERENCE:
            found.append(item)
            continue
        id = stored.id_of(item) or ""
        if id in there:
            continue
        looked_up += 1
        if looked_up > REFERENCES_MAX:
            message = f"The input names more than {REFERENCES_MAX} items by their ids."
            raise InvalidParameter(message, param="input", code="array_above_max_length")
        found.append(await _named(objects, who, id))
    return found


async def _named(objects: Objects, who: Principal, id: str) -> Raw:
    """Find an item of the output of a kept response."""
    response = await objects.named(who, stored.KIND, id)
    kept = stored.read_kept(response.body) if response is not None else None
    for item in kept.output if kept is not None else ():
        if stored.id_of(item) == id:
            return item
    raise ObjectNotFound(stored.no_item(id), param="input", code=None)


def _too_long(message: str, param: str) -> InvalidParameter:
    return InvalidParameter(message, param=param, code="context_length_exceeded")
