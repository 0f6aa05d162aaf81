"""Rules: how much somebody may use in a window. A budget is a rule that counts money. Pure data."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from entente.domain.windows import UTC_NAME, Window

EACH: Final = "*"
"""The name that stands for every member of a level, each counted for itself."""
KEY_RULE: Final = "key"
DEPLOYMENT_RULE: Final = "deployment"
"""Ids of the limits that stand on a key and on a deployment; their subjects are called so, too."""


class Level(StrEnum):
    """What a rule is about, from the widest to the narrowest."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    MODEL = "model"
    TAG = "tag"
    USER = "user"
    """The person that a key belongs to."""
    END_USER = "end_user"
    """Whom a request is made for, as the request says."""
    KEY = "key"


class Unit(StrEnum):
    """What is counted."""

    SPEND = "spend"
    """Nano-units of the rule's asset."""
    REQUESTS = "requests"
    TOKENS = "tokens"
    """Of all classes, in and out."""
    CONCURRENCY = "concurrency"
    """Requests at once."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """At most `amount` of `unit`, for `name` at `level`, in each `window` of the calendar."""

    id: str
    level: Level
    name: str
    unit: Unit
    amount: int
    window: Window = Window.LIFETIME
    """A lifetime, too, where requests at once are counted: they are, at any time."""
    zone: str = UTC_NAME
    asset: str = ""
    """What spend is counted in."""
    hard: bool = True
    """What does not fit is refused; else it is only told of."""
    thresholds: tuple[int, ...] = ()
    """Parts of the amount, in percent, that are told of when they are reached."""
