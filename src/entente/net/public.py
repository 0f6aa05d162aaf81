"""Which addresses are out in the world, and which are somebody's own: ours, most of all.

Whoever may name an address that we connect to could reach with it what only we can reach: this
machine, the network that it stands in, a cloud's metadata service. Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address


def is_public(text: str) -> bool:
    """Say whether an address is in the public Internet; what is no address is not."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _is_out_there(address) and all(map(_is_out_there, _inside(address)))


def _is_out_there(address: Address) -> bool:
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special


def _inside(address: Address) -> tuple[Address, ...]:
    """Give the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return ()
    tunnelled = address.teredo or ()
    return tuple(
        each for each in (address.ipv4_mapped, address.sixtofour, *tunnelled) if each is not None
    )
