"""Rules about what watches the daemon: the web hook of alerts, the figures for Prometheus."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from hotshotd.config.extras import NO_PROMETHEUS, is_installed
from hotshotd.config.values import Blame

Data = Mapping[str, Any]

NO_ADDRESS = "is no IP address of this machine: write 127.0.0.1, or 0.0.0.0 (or ::) to let other machines in"
NO_HOOK = "must be the whole address of the web hook, https://... (only one on this machine may be http://)"


def check_metrics(data: Data) -> Iterator[Blame]:
    """Blame metrics without the package that writes them, and an address that is none."""
    metrics = data.get("metrics")
    if not isinstance(metrics, dict):
        return
    on = [key for key in ("port", "textfile") if metrics.get(key) is not None]
    if on and not is_installed("prometheus_client"):
        yield ("metrics", on[0]), NO_PROMETHEUS
    address = metrics.get("address")
    if isinstance(address, str) and address != "localhost" and parse_address(address) is None:
        yield ("metrics", "address"), NO_ADDRESS


def check_alerts(data: Data) -> Iterator[Blame]:
    """Blame a web hook that stands in the file itself and can't be one. Does not repeat it: it is a secret."""
    alerts = data.get("alerts")
    url = alerts.get("webhook_url") if isinstance(alerts, dict) else None
    if isinstance(url, str) and not is_web_hook(url):
        yield ("alerts", "webhook_url"), NO_HOOK


def is_web_hook(url: str) -> bool:
    """Tell whether alerts can be sent to an address: a web address, and one that nobody can read on the way."""
    try:
        parts = urlsplit(url)
        host, is_sound = parts.hostname or "", (parts.port or 1) > 0
    except ValueError:
        return False
    if not host or not is_sound or any(ord(char) <= 32 or ord(char) == 127 for char in url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


# --- what they ask ---------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: 127.0.0.0/8, ::1 or localhost."""
    address = parse_address(host)
    return address.is_loopback if address else host == "localhost"


def is_near(host: str) -> bool:
    """Tell whether a host is in a private network, as far as its address or name shows it."""
    address = parse_address(host)
    if address:
        return address.is_private or address.is_loopback
    return "." not in host or host.endswith((".local", ".lan", ".internal", ".home.arpa", ".localhost"))


def parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Give an IP address, None for what is none."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
