"""Pictures from addresses that came from outside: a stranger's post, or a service's answer.

Whoever names such an address would like the daemon to ask in its place: for what only this machine reaches, or for
something without an end. So: https, one look-up of the name, whose public address is then connected to, no way to
another host, a size, a time, and first bytes that are a picture's. Only a service's own address, which the
operator wrote, may be plain http or on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import requests

from hotshotd._types import Role
from hotshotd.errors import InferenceError, InferenceNonsense, InferenceRejected, InferenceUnavailable
from hotshotd.inference.addresses import LookUp, is_public, look_up
from hotshotd.inference.base import Endpoint, Picture
from hotshotd.inference.hosts import is_loopback
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, Fetching, ServiceSession, make_ask
from hotshotd.inference.pictures import MAX_PICTURE_BYTES, make_picture
from hotshotd.inference.refusals import Problem

#: Redirects within one host that are followed.
MAX_REDIRECTS = 3

#: The longest address that is taken, in characters.
MAX_URL_CHARS = 4096

#: Under this name fetches stand beside the services, so that a stranger's dead link is nobody's failure.
SERVICE = "picture"

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")


@dataclass(frozen=True, slots=True)
class _Target:
    """An address that was looked through, and how it is reached."""

    parts: SplitResult
    fetching: Fetching = field(default_factory=Fetching)

    @property
    def url(self) -> str:
        return urlunsplit(self.parts)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches pictures with care. Thread-safe.

    `own_url` is the address of the service that names the pictures, where one does. `look_up` and `is_allowed` are
    there for tests: what gives a host's addresses, and which of them may be connected to.
    """

    session: ServiceSession = field(repr=False)
    role: Role
    own_url: str | None = None
    read_seconds: float = SMALL_SECONDS
    look_up: LookUp = look_up
    is_allowed: Callable[[str], bool] = is_public

    def fetch(self, url: str) -> Picture:
        """Fetch one picture.

        Blocks for a look-up, for connecting, and for `read_seconds` at most; again for each redirect within the host.

        Raises:
            QuotaError: The request may not leave.
            InferenceRejected: The address is not one to be fetched from, or refuses; or what lies there is no picture,
                or too large.
            InferenceUnavailable: It can't be reached now.
        """
        target = self._aim(url)
        for _ in range(MAX_REDIRECTS + 1):
            found = self._ask(target)
            if isinstance(found, Picture):
                return found
            target = _follow(target, found)
        raise _refuse(target.parts, f"redirects more than {MAX_REDIRECTS} times")

    def _aim(self, url: str) -> _Target:
        parts = _read(url)
        own = _read(self.own_url) if self.own_url else None
        if own is not None and _find_origin(parts) == _find_origin(own):
            # In the operator's words: `localhost` may be something else to a resolver.
            return _Target(parts._replace(netloc=own.netloc))
        if parts.scheme != "https":
            raise _refuse(parts, "is not https")
        return _Target(parts, Fetching(address=self._find_address(parts)))

    def _find_address(self, parts: SplitResult) -> str:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            found = self.look_up(host, port)
        except (OSError, UnicodeError) as exc:
            raise InferenceUnavailable(f"the picture's host {host} can't be reached: no such host name") from exc
        address = next(filter(self.is_allowed, found), None)
        if address is None:
            raise _refuse(parts, "has no address on the internet")
        return address

    def _ask(self, target: _Target) -> Picture | str:
        """Send one request; give the picture, or where it is said to be."""
        endpoint = Endpoint(name=SERVICE, url=target.url, metered=False, role=self.role)
        call = Call(
            endpoint=endpoint,
            path=target.url,
            payload=None,
            ask=make_ask(endpoint, chars=0),
            read_seconds=self.read_seconds,
            method="GET",
            headers={"Accept": "image/png,image/jpeg,image/webp,image/gif", "Connection": "close"},
            max_bytes=MAX_PICTURE_BYTES,
            fetching=target.fetching,
        )
        try:
            return self.session.send(call, parse=lambda answer: _read_answer(answer, target), refine=_soften)
        except InferenceNonsense as exc:
            # About this picture: it would be the same if it were asked for again.
            raise InferenceRejected(str(exc), status=0) from exc


def _read_answer(answer: Answer, target: _Target) -> Picture | str:
    if answer.status < 300:
        # An own server's plain http address is of no use to anybody else.
        url = target.url if target.parts.scheme == "https" else None
        return make_picture(answer.body, where=answer.where, url=url)
    location = answer.headers.get("Location")
    if not location:
        raise InferenceNonsense(f"{answer.where} answered {answer.status} without a picture")
    return location


def _soften(problem: Problem, error: InferenceError) -> InferenceError:
    """Make of "gone for good" a refusal of this one picture: the next one lies elsewhere."""
    if isinstance(error, InferenceUnavailable):
        return error
    return InferenceRejected(str(error).partition(";")[0], status=problem.status)


def _follow(target: _Target, location: str) -> _Target:
    """Give the target of a redirect, reached by the address that was looked up."""
    parts = _read(urljoin(target.url, location))
    if _find_origin(parts) != _find_origin(target.parts):
        raise _refuse(target.parts, "redirects to another host, which is not followed")
    return replace(target, parts=parts._replace(netloc=target.parts.netloc))


def _read(url: str) -> SplitResult:
    """Take an address apart as the library that sends will: escaped, its name in ASCII.

    Raises:
        InferenceRejected: If it is none.
    """
    try:
        clean = requests.Request("GET", url).prepare().url if len(url) <= MAX_URL_CHARS else None
        parts = urlsplit(clean or "")
        is_sound = parts.scheme in _PORTS and _HOST.fullmatch(parts.hostname or "")
    except (ValueError, requests.RequestException):
        parts, is_sound = urlsplit(""), None
    if not is_sound:
        raise InferenceRejected("the picture's address can't be used: it is no address of a web page", status=0)
    if "@" in parts.netloc:
        raise _refuse(parts, "is written with a user name, which pictures don't need")
    return parts._replace(fragment="")


def _find_origin(parts: SplitResult) -> tuple[str, str, int]:
    host = parts.hostname or ""
    return parts.scheme, "localhost" if is_loopback(host) else host, parts.port or _PORTS[parts.scheme]


def _refuse(parts: SplitResult, why: str) -> InferenceRejected:
    return InferenceRejected(f"the picture is not fetched: {parts.hostname} {why}", status=0)
