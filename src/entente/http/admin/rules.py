"""Rules: budgets and limits of any scope."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from entente.control.desk import Desk
from entente.control.rules import RuleView, RuleWish
from entente.control.table import Page
from entente.domain.errors import InvalidParameter
from entente.domain.money import parse_nano
from entente.domain.rules import EACH, Level, Unit
from entente.http.admin.forms import Listing, NewRule, RuleChange, RuleQuery
from entente.http.admin.keys import listing
from entente.http.admin.operation import Asked, Operation

DOLLARS: Final = "USD"


def _list_rules(desk: Desk, asked: Asked) -> Listing[RuleView]:
    query: RuleQuery = asked.query
    page = desk.rules.list(asked.actor, limit=query.limit, after=query.after, ended=query.ended)
    shown = tuple(each.view() for each in page.found)
    return listing(Page(shown, page.has_more), tuple(each.id for each in shown))


def _create_rule(desk: Desk, asked: Asked) -> RuleView:
    body: NewRule = asked.body
    is_spend = body.unit is Unit.SPEND
    if body.level is Level.MODEL and body.name != EACH:
        desk.check_models((body.name,), param="name")
    wish = RuleWish(
        level=body.level,
        name=body.name,
        unit=body.unit,
        amount=_amount(body.amount, body.unit),
        window=body.window,
        zone=body.zone,
        asset=body.currency or (DOLLARS if is_spend else ""),
        hard=body.hard,
        thresholds=tuple(sorted(set(body.thresholds))),
    )
    return desk.rules.make(asked.actor, wish).view()


def _get_rule(desk: Desk, asked: Asked) -> RuleView:
    return desk.rules.get(asked.actor, asked.place["rule"]).view()


def _change_rule(desk: Desk, asked: Asked) -> RuleView:
    body: RuleChange = asked.body
    rule_id = asked.place["rule"]
    unit = desk.rules.get(asked.actor, rule_id).rule.unit
    thresholds = None if body.thresholds is UNSET else tuple(sorted(set(body.thresholds)))
    return desk.rules.change(
        asked.actor,
        rule_id,
        amount=None if body.amount is UNSET else _amount(body.amount, unit),
        hard=None if body.hard is UNSET else body.hard,
        thresholds=thresholds,
    ).view()


def _end_rule(desk: Desk, asked: Asked) -> RuleView:
    return desk.rules.end(asked.actor, asked.place["rule"]).view()


def _amount(text: str, unit: Unit) -> int:
    """Read money as nano-units, anything else as a whole number. Raises InvalidParameter."""
    if unit is Unit.SPEND:
        return parse_nano(text)
    if not text.isdigit():
        message = f"`amount` must be a whole number for {unit}, in text."
        raise InvalidParameter(message, param="amount", code="invalid_value")
    return int(text)


RULE_OPERATIONS: Final = {
    "admin_list_rules": Operation(
        summary="List budgets and limits, oldest first.",
        do=_list_rules,
        query=RuleQuery,
        answer=Listing[RuleView],
    ),
    "admin_create_rule": Operation(
        summary="Make a budget or a limit.",
        do=_create_rule,
        again=lambda desk, asked, made: desk.rules.get(asked.actor, made).view(),
        body=NewRule,
        answer=RuleView,
        writes=True,
    ),
    "admin_get_rule": Operation(summary="Get a budget or a limit.", do=_get_rule, answer=RuleView),
    "admin_change_rule": Operation(
        summary="Change a budget or a limit; what was used of it stays used.",
        do=_change_rule,
        body=RuleChange,
        answer=RuleView,
        writes=True,
    ),
    "admin_end_rule": Operation(
        summary="Take a budget or a limit out of force, for good.",
        do=_end_rule,
        answer=RuleView,
        writes=True,
    ),
}
