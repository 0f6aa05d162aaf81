"""Who may do what: parties, the things they deal in, and the clauses that allow and bar.

What nothing bars is allowed. Four clauses bar, each inside its own scope only: a reserved
asset without a grant, an exclusivity, a prohibition, a precedence. An exemption (a line of
`exceptions`) takes a part out of the scope of the clauses that it names.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from entente.agreement.clauses import Clause
from entente.agreement.conditions import ALWAYS, Condition
from entente.agreement.values import Exact, Name

ANYONE: Final = "anyone"
"""As `to` of a grant: every party."""
LIST_MAX: Final = 1_000

_DURATION: Final = r"^(\d{1,5})([dh])$"
_HOURS: Final = {"h": 1, "d": 24}
_NS_PER_HOUR: Final = 3_600_000_000_000

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Value: TypeAlias = Text | bool | int
"""The value of an attribute, as a request or a thing has it."""
Names: TypeAlias = Name | Annotated[tuple[Name, ...], Meta(min_length=1, max_length=LIST_MAX)]
Texts: TypeAlias = Text | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=LIST_MAX)]
AttributeName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})?$",
        description="An attribute of requests, such as `surface` or `asset.open_weight`.",
    ),
]
Trait: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Duration: TypeAlias = Annotated[
    str, Meta(pattern=_DURATION, description="Hours or days of 24 hours: 12h, 30d, 0d.")
]


def listed(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Give one name or many as a tuple."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else names


def duration_ns(text: str) -> int:
    """Read a duration, in nanoseconds."""
    found = re.fullmatch(_DURATION, text)
    if found is None:
        message = f"{text!r} is not a duration such as 30d or 12h"
        raise ValueError(message)
    return int(found[1]) * _HOURS[found[2]] * _NS_PER_HOUR


class AttributeKind(StrEnum):
    """What the values of an attribute are."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"


class Attribute(Clause, frozen=True, kw_only=True):
    """A word that requests are described with; the id is its name.

    The usual ones (docs/agreement/deciding.md) need no declaration. One is declared to give
    it choices, groups, or the duty to be said.
    """

    id: AttributeName
    kind: AttributeKind = AttributeKind.TEXT
    choices: tuple[Text, ...] = ()
    """The values there are, where these are all; a condition on another one is an error."""
    groups: dict[Text, tuple[Text, ...]] = msgspec.field(default_factory=dict)
    """Names for several choices at once; a condition on a group means each of its values."""
    required: bool = False
    """A clause that bars counts a request that doesn't say this as one that it means."""


class PartyKind(StrEnum):
    """What a party is."""

    LAB = "lab"
    CLOUD = "cloud"
    NONPROFIT = "nonprofit"
    COMPANY = "company"
    INVESTORS = "investors"
    CUSTOMERS = "customers"
    RESELLER = "reseller"
    AUTHOR = "author"
    PANEL = "panel"
    OTHER = "other"


class Party(Clause, frozen=True, kw_only=True):
    """Primitive 1: who has rights, duties, shares, or a say."""

    kind: PartyKind
    name: str = ""
    """What people call it; statements print it."""
    members: tuple[Name, ...] = ()
    """Those who attest one by one, for a panel."""


class RelationKind(StrEnum):
    """How two parties stand to one another."""

    CONTROLS = "controls"
    GENERAL_PARTNER = "general_partner"
    LIMITED_PARTNER = "limited_partner"
    OWNS = "owns"


class Relation(Clause, frozen=True, kw_only=True):
    """Primitive 2: one line of the entity graph, read "`party` controls `of`"."""

    party: Name
    kind: RelationKind
    of: Name


class AssetKind(StrEnum):
    """What an asset is."""

    MODEL = "model"
    MODEL_IP = "model_ip"
    PRODUCT_IP = "product_ip"
    RESEARCH_IP = "research_ip"
    WEIGHTS = "weights"
    HARDWARE = "hardware"
    DATA = "data"
    OTHER = "other"


class Asset(Clause, frozen=True, kw_only=True):
    """Primitive 3: something that rights are about."""

    kind: AssetKind
    owner: Name
    reserved: bool = False
    """Nobody but the owner may, except by a grant."""
    part_of: Name | None = None
    """A clause about the whole is about its parts."""
    models: tuple[Text, ...] = ()
    """Forms of model names, such as `gpt-*`, that are this asset; the longest form wins."""
    traits: dict[Trait, Value] = msgspec.field(default_factory=dict)
    """What conditions read as `asset.NAME`: open_weight, post_agi, capability, …"""


class Product(Clause, frozen=True, kw_only=True):
    """Primitive 4: what customers use; fills in what a request for it does not say."""

    surface: Text | None = None
    """api_stateless, api_stateful, first_party, embedded, or another of your own words."""
    asset: Name | None = None
    developed_with: Text | None = None
    traits: dict[Trait, Value] = msgspec.field(default_factory=dict)
    """What conditions read as `product.NAME`."""


class Channel(Clause, frozen=True, kw_only=True):
    """Primitive 5: where it is sold and served; fills in what a request does not say."""

    seller: Name
    host: Text | None = None
    region: Text | None = None
    segment: Text | None = None


class Grant(Clause, frozen=True, kw_only=True):
    """Primitive 6: parties may use reserved assets."""

    to: Names
    """Parties, or `anyone`."""
    affiliates: bool = False
    """Whoever a party controls has the right, too."""
    asset: Names
    exclude: Names | None = None
    """Assets that are not meant, parts of the ones that are."""
    what: Condition = ALWAYS
    """Which uses are meant."""
    provided: Condition = ALWAYS
    """What has to be so for the right to hold: the conditions of a licence."""
    exclusive: bool
    """No one else but the owner has the right while it holds."""


class Exclusivity(Clause, frozen=True, kw_only=True):
    """Primitive 7: requests inside `what` are allowed where `only` holds, else barred."""

    holder: Name
    """Whom it serves; for who reads the document."""
    what: Condition
    only: Condition
    overrides: Names | None = None
    """Clauses that do not apply to requests inside `what`."""


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bound on a number that requests say; one that does not say it is barred."""

    of: AttributeName
    at_most: Exact


class Prohibition(Clause, frozen=True, kw_only=True):
    """Primitive 8: requests inside `what` are barred, or barred above a limit."""

    binds: Names | None = None
    """The parties that it binds; all without it."""
    what: Condition
    limit: Bound | None = None
    overrides: Names | None = None


class Exemption(Clause, frozen=True, kw_only=True):
    """Primitive 9: the clauses named in `overrides` do not apply `when` this holds."""

    overrides: Names
    when: Condition


class FirstShip(Clause, frozen=True, kw_only=True, tag_field="kind", tag="first_ship"):
    """Primitive 13: a thing ships on one place first.

    Requests inside `what` are allowed where `place` holds; elsewhere once the thing has been
    shipped there for `lead`, or while `waiver` holds.
    """

    holder: Name
    """Who comes first; for who reads the document."""
    what: Condition
    place: Condition
    per: AttributeName
    """What a thing is: `product`, `model`, …"""
    shipped: Name
    """The event, declared for each thing, that it is available there."""
    lead: Duration
    waiver: Condition | None = None


class FirstRefusal(Clause, frozen=True, kw_only=True, tag_field="kind", tag="first_refusal"):
    """Primitive 13: a thing is offered to one party first.

    Requests inside `what` are allowed where `place` holds; elsewhere once the thing was offered
    and the holder declined, or let `response` go by without accepting.
    """

    holder: Name
    """Who comes first; for who reads the document."""
    what: Condition
    place: Condition
    per: AttributeName
    offered: Name
    accepted: Name
    declined: Name
    response: Duration


Precedence: TypeAlias = FirstShip | FirstRefusal
Barring: TypeAlias = Exclusivity | Prohibition | FirstShip | FirstRefusal
