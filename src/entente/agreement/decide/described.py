"""A request in the agreement's words: what it says itself, and what is known of what it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from entente.agreement.conditions import Scalar

Traits: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Scalar]]]
"""By attribute and its value further ones: `{"provider": {"east": {"host": "azure"}}}`. Later
attributes win over earlier ones, and all of them over what a request says itself."""


def described(said: Mapping[str, Scalar], traits: Traits) -> dict[str, Scalar]:
    """Add what is known of a request's model, provider, project and key."""
    found = dict(said)
    for name, by_value in traits.items():
        found |= by_value.get(str(found.get(name)), {})
    return found
