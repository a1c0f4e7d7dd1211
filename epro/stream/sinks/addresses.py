"""Which network addresses a webhook may reach: public ones. Pure."""

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
        "2001::/32",
        "3fff::/20",
    )
)
"""IPv6 forms that hold an IPv4 address: what they lead to is not for us to find out. And what is for books."""
GLOBAL_UNICAST = ip_network("2000::/3")


def may_reach(address: str, *, loopback: bool = False) -> bool:
    """Whether a connection to this address may be opened; loopback only where it is allowed."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if found.is_loopback:
        return loopback
    return _is_public(found)


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    if found.is_multicast or found.is_reserved or found.is_unspecified or not found.is_global:
        return False
    if found.version == 6 and found not in GLOBAL_UNICAST:
        return False
    return not any(found in network for network in NOT_DIRECT if network.version == found.version)
