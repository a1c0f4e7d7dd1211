"""The networks that a machine may come from: written down as CIDR, and whether an address lies in one. Pure.

Without a list it may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from epro.errors import Invalid

MOST = 20


def check(texts: Sequence[str]) -> list[str]:
    """The networks as they are kept, each once. Raises Invalid where one is none, or leads everywhere."""
    found = list(dict.fromkeys(_network(text.strip()) for text in texts if text.strip()))
    if len(found) > MOST:
        raise Invalid(f"A key may come from {MOST} networks at most.")
    return found


def split(text: str) -> list[str]:
    """The networks of a text that a person wrote: by spaces, lines or commas."""
    return text.replace(",", " ").split()


def holds(sources: Sequence[str] | None, address: IPv4Address | IPv6Address | None) -> bool:
    """Whether a machine may come from this address; from one that nobody can read only without a list."""
    if not sources:
        return True
    return address is not None and any(address in ip_network(one) for one in sources)


def read(text: str) -> IPv4Address | IPv6Address | None:
    """The address of a client; of an IPv4 one in the clothes of IPv6 the IPv4 address. None for what is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _network(text: str) -> str:
    try:
        found = ip_network(text)
    except ValueError:
        raise Invalid("A network is written as 203.0.113.0/24, 2001:db8::/48 or one address.") from None
    if found.prefixlen == 0:
        raise Invalid("This network is everywhere: leave the list empty instead.")
    return str(found)
