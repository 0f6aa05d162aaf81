"""Projects, keys and what keys may spend."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.auth.model import KeyRecord
from entente.control.budgets import BudgetView, budget_view, nothing_granted
from entente.control.desk import Desk
from entente.control.key_forms import KeyChange, KeyView, KeyWish, view
from entente.control.projects import ProjectView
from entente.control.reports import utc
from entente.control.table import Page
from entente.control.times import ns_of
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.domain.money import format_nano, parse_nano
from entente.http.admin.forms import (
    GrantForm,
    GrantView,
    KeyChangeForm,
    KeyQuery,
    KeyWithSecret,
    Listing,
    NewKeyForm,
    NewProject,
    ProjectChange,
    ProjectQuery,
    Rotation,
    T,
)
from entente.http.admin.operation import Asked, Operation
from entente.ledger.model import Grant


def listing(page: Page[T], ids: tuple[str, ...]) -> Listing[T]:
    """Make a page of a list, whose items are called `ids`."""
    return Listing(
        data=page.found,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=page.has_more,
    )


# ---- projects ----


def _list_projects(desk: Desk, asked: Asked) -> Listing[ProjectView]:
    query: ProjectQuery = asked.query
    page = desk.projects.list(
        asked.actor, limit=query.limit, after=query.after, archived=query.archived
    )
    shown = tuple(each.view() for each in page.found)
    return listing(Page(shown, page.has_more), tuple(each.id for each in shown))


def _create_project(desk: Desk, asked: Asked) -> ProjectView:
    body: NewProject = asked.body
    return desk.projects.create(asked.actor, body.id, body.name).view()


def _get_project(desk: Desk, asked: Asked) -> ProjectView:
    return desk.projects.get(asked.actor, asked.place["project"]).view()


def _change_project(desk: Desk, asked: Asked) -> ProjectView:
    body: ProjectChange = asked.body
    return desk.projects.rename(asked.actor, asked.place["project"], body.name).view()


def _archive_project(desk: Desk, asked: Asked) -> ProjectView:
    return desk.projects.archive(asked.actor, asked.place["project"]).view()


# ---- keys ----


def _key(desk: Desk, asked: Asked) -> KeyRecord:
    """Find the key of the path, by its whole id. Raises ObjectNotFound."""
    found = desk.store.get(asked.actor, asked.place["key"])
    if found is None:
        message = f"There is no key with the id {asked.place['key']!r}."
        raise ObjectNotFound(message, param="key", code="not_found")
    return found


def _list_keys(desk: Desk, asked: Asked) -> Listing[KeyView]:
    query: KeyQuery = asked.query
    found = desk.store.page(
        asked.actor,
        limit=query.limit + 1,
        after=query.after,
        project=query.project,
        user=query.user,
        with_revoked=query.revoked,
    )
    shown = tuple(view(each) for each in found[: query.limit])
    page = Page(shown, len(found) > query.limit)
    return listing(page, tuple(each.id for each in shown))


def _create_key(desk: Desk, asked: Asked) -> KeyWithSecret:
    body: NewKeyForm = asked.body
    desk.check_models(body.models or ())
    wish = KeyWish(
        name=body.name,
        role=body.role,
        project=body.project,
        user=body.user,
        tags=body.tags,
        expires_ns=None if body.expires is None else ns_of(body.expires),
        budgeted=body.budget_usd is not None,
        models=body.models,
        requests_per_minute=body.requests_per_minute,
        tokens_per_minute=body.tokens_per_minute,
        price_factor=body.price_factor,
    )
    nano = _budget(body.budget_usd)
    with desk.base.database.transaction():
        made = desk.keys.create(asked.actor, wish)
        if nano:
            key_id = made.record.principal.key_id
            desk.grants.add(asked.actor, key_id, nano, before=nothing_granted(key_id))
    return _with_secret(made.record, made.secret.reveal())


def _budget(text: str | None) -> int:
    """Read the budget of a new key, which may be one of nothing. Raises InvalidParameter."""
    if text is None or not text.strip("0."):
        return 0
    nano = _nano(text, "budget_usd")
    if nano < 0:
        message = "`budget_usd` must not be negative."
        raise InvalidParameter(message, param="budget_usd", code="invalid_value")
    return nano


def _create_key_again(desk: Desk, asked: Asked, made: str) -> KeyWithSecret:
    found = desk.store.get(asked.actor, made)
    if found is None:
        raise ObjectNotFound(f"There is no key {made!r}.", param="key", code="not_found")
    return _with_secret(found, None)


def _with_secret(record: KeyRecord, secret: str | None) -> KeyWithSecret:
    return KeyWithSecret(**msgspec.structs.asdict(view(record)), key=secret)


def _get_key(desk: Desk, asked: Asked) -> KeyView:
    return view(_key(desk, asked))


def _change_key(desk: Desk, asked: Asked) -> KeyView:
    body: KeyChangeForm = asked.body
    desk.check_models(body.models or ())
    named = msgspec.structs.asdict(body)
    expires = named.pop("expires")
    if expires is not msgspec.UNSET:
        named["expires_ns"] = None if expires is None else ns_of(expires)
    key_id = _key(desk, asked).principal.key_id
    return view(desk.keys.change(asked.actor, key_id, KeyChange(**named)))


def _rotate_key(desk: Desk, asked: Asked) -> KeyWithSecret:
    body: Rotation = asked.body
    key_id = _key(desk, asked).principal.key_id
    made = desk.keys.rotate(asked.actor, key_id, grace_s=body.grace_s)
    return _with_secret(made.record, made.secret.reveal())


def _revoke_key(desk: Desk, asked: Asked) -> KeyView:
    return view(desk.keys.revoke(asked.actor, _key(desk, asked).principal.key_id))


# ---- what keys may spend ----


def _get_budget(desk: Desk, asked: Asked) -> BudgetView:
    record = _key(desk, asked)
    return budget_view(desk.grants.standing(asked.actor, record.principal.key_id))


def _create_grant(desk: Desk, asked: Asked) -> GrantView:
    body: GrantForm = asked.body
    key_id = _key(desk, asked).principal.key_id
    nano = _nano(body.usd, "usd")
    return _grant(desk.grants.add(asked.actor, key_id, nano, before=asked.ready, note=body.note))


def _create_grant_again(desk: Desk, asked: Asked, made: str) -> GrantView:
    return _grant(desk.grants.get(asked.actor, made))


def _grant(made: Grant) -> GrantView:
    return GrantView(
        id=made.id,
        key=made.key,
        currency=made.asset,
        amount=format_nano(made.nano),
        note=made.note,
        created=utc(made.at_ns),
    )


def _nano(text: str, param: str) -> int:
    """Read an amount that is not zero. Raises InvalidParameter."""
    try:
        nano = parse_nano(text)
    except ValueError as error:
        raise InvalidParameter(f"`{param}`: {error}.", param=param, code="invalid_value") from None
    if not nano:
        message = f"`{param}` must not be zero."
        raise InvalidParameter(message, param=param, code="invalid_value")
    return nano


KEY_OPERATIONS: Final = {
    "admin_list_projects": Operation(
        summary="List projects, by id.",
        do=_list_projects,
        query=ProjectQuery,
        answer=Listing[ProjectView],
    ),
    "admin_create_project": Operation(
        summary="Make a project, for keys to belong to.",
        do=_create_project,
        again=lambda desk, asked, made: desk.projects.get(asked.actor, made).view(),
        body=NewProject,
        answer=ProjectView,
        writes=True,
    ),
    "admin_get_project": Operation(summary="Get a project.", do=_get_project, answer=ProjectView),
    "admin_change_project": Operation(
        summary="Give a project another name.",
        do=_change_project,
        body=ProjectChange,
        answer=ProjectView,
        writes=True,
    ),
    "admin_archive_project": Operation(
        summary="End a project and, with it, its keys. It cannot be undone.",
        do=_archive_project,
        answer=ProjectView,
        writes=True,
    ),
    "admin_list_keys": Operation(
        summary="List keys, oldest first.",
        do=_list_keys,
        query=KeyQuery,
        answer=Listing[KeyView],
    ),
    "admin_create_key": Operation(
        summary="Make a key. The answer has its secret, this one time.",
        do=_create_key,
        again=_create_key_again,
        body=NewKeyForm,
        answer=KeyWithSecret,
        writes=True,
        grants=True,
    ),
    "admin_get_key": Operation(summary="Get a key.", do=_get_key, answer=KeyView),
    "admin_change_key": Operation(
        summary="Change a key: what is not named stays, null takes away.",
        do=_change_key,
        body=KeyChangeForm,
        answer=KeyView,
        writes=True,
    ),
    "admin_rotate_key": Operation(
        summary="Give a key another secret; the one before is good for a while.",
        do=_rotate_key,
        body=Rotation,
        answer=KeyWithSecret,
        writes=True,
    ),
    "admin_revoke_key": Operation(
        summary="End a key. It cannot be undone.", do=_revoke_key, answer=KeyView, writes=True
    ),
    "admin_get_budget": Operation(
        summary="See where a key's granted budget stands.", do=_get_budget, answer=BudgetView
    ),
    "admin_create_grant": Operation(
        summary="Add to a key's budget, or take away; from then on it is a hard one.",
        prepare=lambda desk, asked: desk.grants.standing(
            asked.actor, _key(desk, asked).principal.key_id
        ),
        do=_create_grant,
        again=_create_grant_again,
        body=GrantForm,
        answer=GrantView,
        writes=True,
        grants=True,
    ),
}
