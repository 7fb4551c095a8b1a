"""Whom the adapter signs in as, and where: frozen values that never show a secret."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hotshotd import __version__
from hotshotd.errors import ConfigError

#: What may stand in a user agent of ours; anything else could break the header.
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class AccountCredentials:
    """A bot's account and app. With a `refresh_token` the password is not used.

    `client_secret` is empty for an installed app, which can only use a refresh token.
    """

    username: str
    client_id: str
    password: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sites:
    """Where tokens are asked for and where the API is; plain http only on a loopback address.

    Raises:
        ConfigError: If an address would send credentials in the clear.
    """

    reddit_url: str = "https://www.reddit.com"
    oauth_url: str = "https://oauth.reddit.com"

    def __post_init__(self) -> None:
        for key, url in (("reddit_url", self.reddit_url), ("oauth_url", self.oauth_url)):
            if not url.startswith("https://") and not is_loopback(url):
                raise ConfigError(f"reddit.{key}: must start with https:// unless it is a loopback address")


def is_loopback(url: str) -> bool:
    """Tell whether an http(s) address points to this machine."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme in ("http", "https") and _is_here(host)


# Kept: it is asked of the same few hosts at each request, and what `ipaddress` runs costs each worker 0.1 MB.
@functools.lru_cache(maxsize=16)
def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_id_hash(client_id: str) -> str:
    """Name a Reddit app without telling its id: bots with the same hash share one rate."""
    return hashlib.sha256(b"reddit-client:" + client_id.encode()).hexdigest()[:12]


def build_user_agent(*, operator: str, username: str) -> str:
    """Give the user agent that Reddit's rules ask for, with the bot's account behind it."""
    by, bot = (_NOT_A_NAME.sub("", name) for name in (operator, username))
    return f"linux:hotshotd:{__version__} (by /u/{by}) for /u/{bot}"
