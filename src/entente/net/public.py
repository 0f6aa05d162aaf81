"""Which addresses are out in the world, and which are somebody's own: ours, most of all.

Whoever may name an address that we connect to could reach with it what only we can reach: this
machine, the network that it stands in, a cloud's metadata service. Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_IPV4_OF_A_PURPOSE: Final = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays from 6to4, withdrawn
)
_IPV6_OF_A_PURPOSE: Final = (
    IPv6Network("::ffff:0:0/96"),  # an IPv4 address in other words
    IPv6Network("2001::/23"),  # protocol assignments: Teredo, benchmarks, overlay identifiers
    IPv6Network("2002::/16"),  # 6to4: any IPv4 address, private ones as well, behind a relay
    IPv6Network("3fff::/20"),  # documentation
    IPv6Network("fec0::/10"),  # a site's own, deprecated and still in use
)
"""Where Pythons do not agree what is global. Nobody who is to be reached lives there."""


def is_public(text: str) -> bool:
    """Say whether an address is in the public Internet; what is no address is not."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special and not _has_a_purpose(address)


def _has_a_purpose(address: Address) -> bool:
    """Say whether an address is in a network that has a use of its own."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in _IPV4_OF_A_PURPOSE)
    return any(address in network for network in _IPV6_OF_A_PURPOSE)
