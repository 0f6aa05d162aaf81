"""Price books: which there are, which is in force, and what stands in them."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.control.desk import Desk
from entente.control.prices import BookView
from entente.control.table import Page
from entente.domain.errors import ObjectNotFound
from entente.http.admin.forms import BookWithLines, Listing, PageQuery
from entente.http.admin.keys import listing
from entente.http.admin.operation import Asked, Operation


def _list_prices(desk: Desk, asked: Asked) -> Listing[BookView]:
    query: PageQuery = asked.query
    books = desk.prices.list(asked.actor)
    versions = [book.version for book in books]
    start = versions.index(query.after) + 1 if query.after in versions else 0
    rest = books[start:] if query.after is None or start else []
    found = tuple(rest[: query.limit])
    page = Page(found, len(rest) > query.limit)
    return listing(page, tuple(book.version for book in found))


def _get_prices(desk: Desk, asked: Asked) -> BookWithLines:
    version = asked.place["version"]
    for view in desk.prices.list(asked.actor):
        if view.version == version:
            book = msgspec.json.decode(desk.prices.resolve(version).encode())
            return BookWithLines(**msgspec.structs.asdict(view), book=book)
    message = f"There is no price book {version!r}: `GET /admin/v1/prices` lists them."
    raise ObjectNotFound(message, param="version", code="not_found")


PRICE_OPERATIONS: Final = {
    "admin_list_prices": Operation(
        summary="List price books that were imported, the latest first.",
        do=_list_prices,
        query=PageQuery,
        answer=Listing[BookView],
    ),
    "admin_get_prices": Operation(
        summary="Get a price book, with its lines.", do=_get_prices, answer=BookWithLines
    ),
}
