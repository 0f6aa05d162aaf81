"""Which models a principal may use. Deny by default. Pure."""

from __future__ import annotations

from entente.domain.principal import Principal


def may_use(principal: Principal, model: str) -> bool:
    """Say whether a principal may use, and see, a model."""
    return principal.models is None or model in principal.models
