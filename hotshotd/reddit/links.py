"""Web addresses of Reddit's things to fullnames, without asking anyone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hotshotd.errors import Refused
from hotshotd.platform import Ref

_FULLNAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_SHORT = re.compile(r"[0-9a-z]{1,13}", re.IGNORECASE)


def parse_link(url: str, *, site_url: str) -> Ref:
    """Give the fullname that a permalink of reddit.com, redd.it or the configured site stands for.

    A fullname and a path that starts with `/r/` are taken too. Nothing is fetched.

    Raises:
        Refused: If it is the address of something else.
    """
    url = url.strip()
    if _FULLNAME.fullmatch(url.lower()):
        return Ref(url.lower())
    host, parts = _split(url)
    if host in ("redd.it", "www.redd.it") and len(parts) == 1 and _SHORT.fullmatch(parts[0]):
        return Ref(f"t3_{parts[0].lower()}")
    if not _is_reddit(url, host, site_url):
        raise _refuse("it is no address of Reddit")
    if "s" in parts[:-1] and "comments" not in parts:
        raise _refuse("it is a share link: open it and copy the address that it leads to")
    return _parse_parts(parts)


def _split(url: str) -> tuple[str, list[str]]:
    try:
        pieces = urlsplit(url if "//" in url or url.startswith("/") else f"https://{url}")
        return (pieces.hostname or "").lower(), [part for part in pieces.path.split("/") if part]
    except ValueError as exc:
        raise _refuse("it is no web address") from exc


def _is_reddit(url: str, host: str, site_url: str) -> bool:
    if url.startswith(("/r/", "/u/", "/user/", "/comments/")):
        return True
    if host == "reddit.com" or host.endswith(".reddit.com"):
        return True
    try:
        return urlsplit(url).netloc.lower() == urlsplit(site_url).netloc.lower()
    except ValueError:
        return False


def _parse_parts(parts: list[str]) -> Ref:
    if "comments" not in parts[:-1]:
        raise _refuse("it leads to no post and no comment")
    # .../comments/LINK[/slug[/COMMENT]]; the new site writes the word "comment" for the slug.
    tail = parts[parts.index("comments") + 1 :]
    short, prefix = (tail[2], "t1") if len(tail) >= 3 else (tail[0], "t3")
    if not _SHORT.fullmatch(short):
        raise _refuse("its last part is no id")
    return Ref(f"{prefix}_{short.lower()}")


def _refuse(why: str) -> Refused:
    return Refused(f"this address can't be used: {why}", why="bad_link")
