"""Which hosts are this machine, and which are reached through a proxy."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies


def find_proxies(url: str) -> dict[str, str]:
    """Give the proxies that the environment names for an address; none for this machine."""
    host = urlsplit(url).hostname or ""
    return {} if is_loopback(host) else dict(get_environ_proxies(url, no_proxy=None))


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
