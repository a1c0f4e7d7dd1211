"""Which network addresses we connect to where somebody else named the place: public ones. Pure.

A webhook's receiver and a phone's push service are such places. Asked at the moment of connecting, of the address
itself: what a name said a moment ago does not count.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

NOT_DIRECT = tuple(
    ip_network(text)
    for text in (
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/23",
        "3fff::/20",
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
)
"""IPv6 forms that hold an IPv4 address: what they lead to is not for us to find out. What belongs to protocols (relays,
tunnels), whatever of it the registries call global by now. And what is for books.
"""
GLOBAL_UNICAST = ip_network("2000::/3")


def may_reach(address: str, *, loopback: bool = False) -> bool:
    """Whether a connection to this address may be opened: one of the wide network, not of this machine, of a house, or
    of a special use. Loopback only where it is allowed.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if found.is_loopback:
        return loopback
    return _is_public(found)


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    if getattr(found, "scope_id", None) is not None:  # of one link
        return False
    if found.is_multicast or found.is_reserved or found.is_unspecified or not found.is_global:
        return False
    if found.version == 6 and found not in GLOBAL_UNICAST:
        return False
    return not any(found in network for network in NOT_DIRECT if network.version == found.version)
