"""Addresses that a driver would read otherwise: refused, and never said."""

from __future__ import annotations

import pytest

from entente.db.address import address_of
from entente.domain.secret import Secret


@pytest.mark.parametrize(
    "text",
    [
        "postgres:/entente:canary@host/db",
        "postgresql:entente:canary@host/db",
        "PostgreSQL://entente:canary@host/db",
        "mysql://entente:canary@host/db",
        "host=db password=canary",
    ],
)
def test_an_address_in_another_form_is_refused_without_being_said(text: str) -> None:
    """The driver's own words would have the whole text in them."""
    with pytest.raises(ValueError, match='must begin with "postgresql://"') as refused:
        address_of(Secret(text))
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_schemes_of_the_driver_are_taken(scheme: str) -> None:
    """Either word begins an address, and the rest is read the same."""
    address = address_of(Secret(f"{scheme}://entente:canary@host:5432/db"))
    assert str(address) == "host:5432/db"


@pytest.mark.parametrize("password", ["can/ary", "can#ary", "/canary"])
def test_a_password_that_ends_the_host_is_refused_without_being_said(password: str) -> None:
    """Read as it stands, a part of the password would be the host's name."""
    with pytest.raises(ValueError, match="write its / as %2F") as refused:
        address_of(Secret(f"postgresql://entente:{password}@host/db"))
    assert "can" not in str(refused.value)
