"""The address of a PostgreSQL database: whole for the driver, without its secret for people."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from entente.domain.secret import MASK, Secret

BEGINNINGS: Final = ("postgresql://", "postgres://")
"""As libpq has them, letter for letter."""
PASSWORD_PARAMETERS: Final = ("password", "sslpassword")
"""Where an address can carry a secret besides in front of the host."""


class Address:
    """Where a PostgreSQL database is. Its text form has no user, password or parameter."""

    __slots__ = ("_passwords", "place", "url")

    def __init__(self, url: Secret, place: str, passwords: tuple[str, ...]) -> None:
        """Take the parts as `address_of` finds them."""
        self.url = url
        self.place = place
        """Such as `db.example.com:5432/entente`."""
        self._passwords = passwords

    def __repr__(self) -> str:
        """Only where it is."""
        return self.place

    __str__ = __repr__

    def masked(self, text: str) -> str:
        """Give a driver's words without the password, should they have it in them."""
        if not self._passwords:
            return text
        return re.sub("|".join(map(re.escape, self._passwords)), MASK, text)


def address_of(url: Secret) -> Address:
    """Read `postgresql://user:password@host:port/name?parameters`.

    Raises ValueError with what is wrong, never with the text itself.
    """
    parts = _split(url)
    # Without both slashes a driver takes the text for another form, and says all of it.
    if not url.reveal().startswith(BEGINNINGS):
        message = 'must begin with "postgresql://", as in "postgresql://user@host:5432/entente"'
        raise ValueError(message)
    if "@" not in parts.netloc and "@" in parts.path + parts.fragment:
        message = "has a password that breaks it off: write its / as %2F, ? as %3F and # as %23"
        raise ValueError(message)
    name = unquote(parts.path.removeprefix("/"))
    asked = parse_qs(parts.query)
    name = name or "".join(asked.get("dbname", [])[-1:])
    if not name:
        message = 'names no database: end it with one, as in "postgresql://user@host:5432/entente"'
        raise ValueError(message)
    at = parts.netloc.rpartition("@")[2] or "".join(asked.get("host", ["local socket"])[-1:])
    written = parts.password or ""
    found = [written, unquote(written)]
    for parameter in PASSWORD_PARAMETERS:
        found += asked.get(parameter, [])
    passwords = sorted({text for text in found if text}, key=len, reverse=True)
    return Address(url, f"{at}/{name}", tuple(passwords))


def _split(url: Secret) -> SplitResult:
    try:
        return urlsplit(url.reveal())
    except ValueError:
        message = "is not an address: brackets or a port in it do not fit"
        raise ValueError(message) from None  # what it says may have the password in it
