"""Which addresses are out on the internet: the only ones to which a stranger may send the daemon."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

#: Gives the addresses of a host, best first. Blocks as long as the machine's resolver does.
LookUp = Callable[[str, int], Sequence[str]]

_V4 = ipaddress.IPv4Address
_V6 = ipaddress.IPv6Address

#: Never on the internet, or a relay to elsewhere, whatever the standard library of the day says of them.
_V4_REFUSED = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip

#: What IPv6 gives out to the world; all else (loopback, link-local, private, multicast, IPv4-mapped) lies outside.
_V6_WORLD = ipaddress.IPv6Network("2000::/3")

#: Inside it: protocols such as Teredo, which hide an IPv4 address; documentation; 6to4.
_V6_REFUSED = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

#: How a network without IPv4 reaches it: the last four bytes are the address that counts.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an address belongs to a host on the internet; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(parsed) if isinstance(parsed, _V4) else _is_public_v6(parsed)


def _is_public_v4(address: _V4) -> bool:
    return address.is_global and not any(address in network for network in _V4_REFUSED)


def _is_public_v6(address: _V6) -> bool:
    if address in _NAT64 and address.scope_id is None:
        return _is_public_v4(_V4(address.packed[-4:]))
    is_world = address in _V6_WORLD and address.scope_id is None and address.is_global
    return is_world and not any(address in network for network in _V6_REFUSED)


def look_up(host: str, port: int) -> tuple[str, ...]:
    """Ask the machine's resolver once for the addresses of a host, best first.

    Raises:
        OSError: If there are none.
    """
    # ADDRCONFIG: no IPv6 address where this machine has no IPv6.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
