"""Access: deny by default."""

from __future__ import annotations

import pytest

from entente.domain.principal import Principal, Role
from entente.policy.access import may_use


@pytest.mark.parametrize(
    ("models", "allowed"), [(None, True), (("m",), True), (("other",), False), ((), False)]
)
def test_access(models: tuple[str, ...] | None, allowed: bool) -> None:
    """None is all; an empty list is none."""
    who = Principal(key_id="k", name="n", role=Role.MEMBER, models=models)
    assert may_use(who, "m") is allowed
