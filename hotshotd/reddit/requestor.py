"""The one place where a request to Reddit leaves: limits, pace, and writes that are sent once.

prawcore repeats any request, writes too, after resets, time-outs and 5xx answers, and sleeps in
between. Nothing of that happens here: whatever is not a usable answer becomes an error of the port at
once, which prawcore lets pass. Only a refused token (401) goes back to prawcore, which gets a new one and
sends the same request again; that is safe, because a 401 means that nothing was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import requests
from prawcore import Requestor
from prawcore.const import ACCESS_TOKEN_PATH

from hotshotd.admission import Pace, RateHeaders
from hotshotd.clock import Clock
from hotshotd.errors import Down, PlatformError, QuotaError, Refused, Retry, Unknown
from hotshotd.platform import CLOCK_TOLERANCE_SECONDS
from hotshotd.reddit.outcome import error_of_token_status, parse_date, parse_retry_after, refusal_of_status
from hotshotd.reddit.transport import RedditSession, describe_failure, read_body, was_never_sent

#: Seconds to wait where the process that keeps the pace can't be asked.
_NO_PACE_SECONDS = 5.0

#: Statuses after which nobody can tell whether the request was carried out.
_AMBIGUOUS_STATUS = frozenset({408, *range(500, 600)})


class Traffic(Enum):
    """What a request is for; decides its pace and what its loss means."""

    TOKEN = auto()
    READ = auto()
    #: Makes something new; must not be sent twice.
    WRITE = auto()
    #: Changes something, with the same result however often it is sent.
    REPEATABLE = auto()
    #: The bytes of a picture, to the store that Reddit named; carries no token.
    UPLOAD = auto()


_CLOCK_TOLERANCE = timedelta(seconds=CLOCK_TOLERANCE_SECONDS)

#: Paths of writes that may be repeated, without slashes at their ends.
_REPEATABLE_PATHS = frozenset({"/api/read_message", "/api/del", "/api/block_user", "/api/media/asset.json"})

#: Paces that draw on what is kept for writes.
_WRITING = frozenset({Traffic.WRITE, Traffic.REPEATABLE})


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Limits of one HTTP request: seconds to connect, seconds to wait for and to read the answer, bytes."""

    connect_seconds: float = 5.0
    read_seconds: float = 16.0
    max_bytes: int = 16 * 1024 * 1024


def classify(method: str, path: str) -> Traffic:
    """Say what an API request is for. An unknown POST counts as a write."""
    if method.upper() in ("GET", "HEAD"):
        return Traffic.READ
    return Traffic.REPEATABLE if "/" + path.strip("/") in _REPEATABLE_PATHS else Traffic.WRITE


def lost(traffic: Traffic, *, what: str) -> PlatformError:
    """Give the error for a request that was sent and brought no usable answer."""
    if traffic is Traffic.WRITE:
        return Unknown(f"Reddit may or may not have done it: {what}")
    return Down(f"Reddit gave no usable answer: {what}")


class OnceRequestor(Requestor):
    """A prawcore requestor that sends each request once and raises the port's errors.

    Belongs to one thread. `in_flight` and `refused` may be read from others.
    """

    # Defaults on the class: Requestor.__getattr__ would look for missing ones on the HTTP session.
    #: When the request under way must be over, in seconds of the clock; None between requests.
    in_flight: float | None = None
    #: What the newest request was for; None when none was made since `begin`.
    traffic: Traffic | None = None
    #: Whether the newest answer refused the token.
    refused: bool = False
    #: How far our wall clock is ahead of Reddit's, by the newest answer; none where nobody can tell.
    ahead: timedelta = timedelta()

    def __init__(
        self,
        *,
        oauth_url: str,
        reddit_url: str,
        user_agent: str,
        session: RedditSession,
        limits: CallLimits,
        pace: Pace,
        clock: Clock,
    ) -> None:
        super().__init__(oauth_url=oauth_url, reddit_url=reddit_url, session=session, user_agent=user_agent)
        self._limits, self._pace, self._clock = limits, pace, clock

    def begin(self) -> None:
        """Forget the last call: what follows belongs to a new one."""
        self.traffic, self.refused = None, False

    def request(self, *args: Any, timeout: Any = None, **kwargs: Any) -> requests.Response:  # noqa: ARG002
        """Send a request once, under our limits whatever `timeout` says, and give a 2xx or a 401 answer.

        Blocks for the connect and read limits together at most.

        Raises:
            Retry: The rate is used up; nothing was sent. Or Reddit asked to wait.
            Unknown: A write was sent and brought no clear answer.
            Refused: Reddit refused it.
            Down: Anything else.
            AuthDead: The sign-in was refused for good.
        """
        method, url = args[0].upper(), args[1]
        traffic = self._classify_url(method, url)
        if traffic not in (Traffic.TOKEN, Traffic.UPLOAD):
            self._take_turn(traffic)
        response = self._send(traffic, method, url, kwargs)
        self.refused = response.status_code == 401
        self._observe(response)
        if traffic is not Traffic.UPLOAD:
            self._compare_clocks(response)
        self._judge(traffic, response, path=urlsplit(url).path)
        return response

    def _classify_url(self, method: str, url: str) -> Traffic:
        if url == self.reddit_url + ACCESS_TOKEN_PATH:
            return Traffic.TOKEN
        if not url.startswith(self.oauth_url.rstrip("/") + "/"):
            return Traffic.UPLOAD
        return classify(method, urlsplit(url).path)

    def _take_turn(self, traffic: Traffic) -> None:
        try:
            wait = self._pace.acquire(write=traffic in _WRITING)
        except QuotaError as exc:
            raise Retry(f"Reddit is not asked now: {exc}", after=_NO_PACE_SECONDS) from exc
        if wait > 0:
            raise Retry(f"Reddit's rate for this app is used up for {wait:.0f} s", after=wait)

    def _send(self, traffic: Traffic, method: str, url: str, kwargs: dict[str, Any]) -> requests.Response:
        limits = self._limits
        deadline = self._clock.monotonic() + limits.connect_seconds + limits.read_seconds
        # A redirect is never followed: it would carry the token, or the client secret, elsewhere.
        kwargs.pop("allow_redirects", None)
        self.traffic, self.in_flight = traffic, deadline
        try:
            session: RedditSession = self._http  # type: ignore[assignment]  # what we gave prawcore
            response = session.send_once(method, url, timeout=(limits.connect_seconds, limits.read_seconds), **kwargs)
            read_body(response, max_bytes=limits.max_bytes, is_late=lambda: self._clock.monotonic() > deadline)
            return response
        except Exception as exc:
            if was_never_sent(exc):
                raise Down(f"Reddit can't be reached: {describe_failure(exc)}") from exc
            raise lost(traffic, what=describe_failure(exc)) from exc
        finally:
            self.in_flight = None

    def _observe(self, response: requests.Response) -> None:
        headers = parse_rate_headers(response)
        if headers is None:
            return
        try:
            self._pace.observe(headers)
        except QuotaError:
            # The answer matters more than the count, and the next request asks the quota process anyway.
            return

    def _compare_clocks(self, response: requests.Response) -> None:
        theirs = parse_date(response.headers)
        if theirs is None:
            return
        ahead = timedelta(seconds=round((self._clock.now() - theirs).total_seconds()))
        # Nothing else changes it: times that wander with the answers' speed would not compare.
        if abs(ahead - self.ahead) >= _CLOCK_TOLERANCE:
            self.ahead = ahead if abs(ahead) >= _CLOCK_TOLERANCE else timedelta()

    def _judge(self, traffic: Traffic, response: requests.Response, *, path: str) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        if traffic is Traffic.TOKEN:
            now = self._clock.now() - self.ahead
            raise error_of_token_status(status, body=_decode(response), headers=response.headers, now=now)
        if status == 401 and traffic is not Traffic.UPLOAD:
            return
        raise self._error_of(traffic, response, path=path)

    def _error_of(self, traffic: Traffic, response: requests.Response, *, path: str) -> PlatformError:
        status = response.status_code
        if status == 429:
            wait = parse_retry_after(response.headers, now=self._clock.now() - self.ahead)
            return Retry(f"Reddit answers 429; next try in {wait:.0f} s", after=wait)
        if status in _AMBIGUOUS_STATUS or status < 200:
            return lost(traffic, what=f"{status} to {path}")
        if status == 403 and "html" in response.headers.get("content-type", ""):
            return Down("Reddit's front door answers 403 with a page: it blocks this address or user agent")
        refusal = refusal_of_status(
            status, body=_decode(response), path=path, location=response.headers.get("location")
        )
        return _scope_error(response) or refusal


def _scope_error(response: requests.Response) -> PlatformError | None:
    if response.status_code != 403 or "insufficient_scope" not in response.headers.get("www-authenticate", ""):
        return None
    return Refused(
        "the token lacks a scope for this call: get one with `hotshotctl auth BOT`", why="insufficient_scope"
    )


def _decode(response: requests.Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def parse_rate_headers(response: requests.Response) -> RateHeaders | None:
    """Give Reddit's rate headers, or None where they are missing or no numbers."""
    try:
        used, remaining, reset = (float(response.headers[f"x-ratelimit-{name}"]) for name in _RATE_NAMES)
    except (KeyError, ValueError):
        return None
    sane = all(0 <= value < _RATE_LIMIT for value in (used, remaining, reset))
    return RateHeaders(used=used, remaining=remaining, reset_seconds=reset) if sane else None


_RATE_NAMES = ("used", "remaining", "reset")

#: No figure of a rate window is larger; NaN and infinities fail this comparison too.
_RATE_LIMIT = 1e9
