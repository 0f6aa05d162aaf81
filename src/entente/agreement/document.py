"""The document: every clause list in one typed tree, and what surrounds it in the file.

`Agreement` is what `decide`, `settle` and `simulate` read: one version, everything resolved.
`Document` is what people write: the same, with includes, parameters, amendments and
scenarios, which loading has used up when an `Agreement` comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec

from entente.agreement import values
from entente.agreement.clauses import Clause, Trust
from entente.agreement.conditions import Condition
from entente.agreement.conditions import parse as parse_condition
from entente.agreement.conditions import schema as condition_schema
from entente.agreement.money import Header, MoneyClauses
from entente.agreement.occasions import Event, Trigger, Window
from entente.agreement.rights import (
    Asset,
    Attribute,
    Channel,
    Exclusivity,
    Exemption,
    Grant,
    Party,
    Precedence,
    Product,
    Prohibition,
    Relation,
    Text,
)
from entente.agreement.values import Name, When


class Head(Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the whole document goes by, and from when it holds."""

    effective: When
    """Before this nothing in it holds."""
    source: str = ""
    trust: Trust | None = None
    note: str = ""


class Agreement(MoneyClauses, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of an agreement, whole: what `decide` and `settle` read."""

    agreement: Head
    attributes: tuple[Attribute, ...] = ()
    parties: tuple[Party, ...] = ()
    entity_graph: tuple[Relation, ...] = ()
    assets: tuple[Asset, ...] = ()
    products: tuple[Product, ...] = ()
    channels: tuple[Channel, ...] = ()
    windows: tuple[Window, ...] = ()
    events: tuple[Event, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    grants: tuple[Grant, ...] = ()
    exclusivities: tuple[Exclusivity, ...] = ()
    prohibitions: tuple[Prohibition, ...] = ()
    exceptions: tuple[Exemption, ...] = ()
    precedences: tuple[Precedence, ...] = ()

    def clauses(self) -> Iterator[tuple[str, int, Clause]]:
        """Give every clause with the name of its list and its place in it."""
        for section in SECTIONS:
            for position, clause in enumerate(getattr(self, section)):
                yield section, position, clause


SECTIONS: Final = tuple(
    field.name for field in msgspec.structs.fields(Agreement) if field.name != "agreement"
)
"""The clause lists of a document, by name."""


class ParameterKind(StrEnum):
    """What a parameter stands for."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    FORM = "form"
    """A mapping, a list, or nothing, as it would stand in the document."""


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is declared beside the clauses, with the same origin as they have."""

    id: Name
    source: str = ""
    quote: str = ""
    trust: Trust | None = None
    note: str = ""


class Parameter(_Declared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that has to be said before the document means anything.

    `{parameter: ID}` stands for it anywhere that a value may stand.
    """

    kind: ParameterKind
    meaning: Text
    choices: tuple[Any, ...] = ()
    """The values there are; without it, any of the kind."""
    value: Any | msgspec.UnsetType = msgspec.UNSET
    """Its value; without it, whoever uses the document has to give one."""


class _Overlay(_Declared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to clauses: first what ends, then what is replaced, then what is added."""

    end: tuple[Name, ...] = ()
    """Clauses that are gone."""
    replace: dict[Name, dict[str, Any]] = msgspec.field(default_factory=dict)
    """By clause, the fields that are different; null takes a field away."""
    add: dict[Name, tuple[dict[str, Any], ...]] = msgspec.field(default_factory=dict)
    """By list, whole clauses."""


class Amendment(_Overlay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change that counts from a day on. Those of one day follow each other as written."""

    effective: When
    known: When | None = None
    """When it was learnt, where that was later than it counts."""


class Scenario(_Overlay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reading of the document: parameters, and clauses as they might have been.

    Its overlay changes the document before any amendment does.
    """

    set: dict[Name, Any] = msgspec.field(default_factory=dict)
    """Values of parameters."""


class Document(Agreement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file as people write it."""

    include: tuple[Text, ...] = ()
    """Files whose lists come before those of this one; paths inside the document's folder."""
    parameters: tuple[Parameter, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    scenarios: tuple[Scenario, ...] = ()


def dec_hook(kind: type, value: object) -> object:
    """Let msgspec read the types of an agreement."""
    return parse_condition(value) if kind is Condition else values.dec_hook(kind, value)


def enc_hook(value: object) -> object:
    """Let msgspec write the types of an agreement."""
    return value.written if isinstance(value, Condition) else values.enc_hook(value)


def schema_hook(kind: type) -> dict[str, Any]:
    """Describe the types of an agreement in JSON Schema."""
    return condition_schema() if kind is Condition else values.schema_hook(kind)


def canonical(agreement: Agreement) -> bytes:
    """Write a version in its one form: the bytes that its hash is of, and a document again."""
    return msgspec.json.encode(agreement, enc_hook=enc_hook, order="sorted")
