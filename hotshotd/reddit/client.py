"""PRAW, tamed: one Reddit object that answers raw JSON and raises the port's errors.

The only module that touches PRAW's private parts (`_tame`): prawcore's rate limiter and retry strategy
both sleep inside a call. No praw.ini and no `praw_*` variable has a say.
"""

from __future__ import annotations

import configparser
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any, Self

import praw
from praw.config import Config
from prawcore import OAuthException

from hotshotd.admission import Pace, RateHeaders
from hotshotd.clock import Clock, SystemClock
from hotshotd.errors import AuthDead, Down, PlatformError
from hotshotd.reddit.account import AccountCredentials, Sites, build_user_agent, is_loopback
from hotshotd.reddit.outcome import error_of_token
from hotshotd.reddit.requestor import CallLimits, OnceRequestor, Traffic, classify, lost
from hotshotd.reddit.transport import RedditSession, shared_tls_context

#: Every key that PRAW would otherwise look up in the environment or in an ini file.
_PINNED: dict[str, Any] = {
    "check_for_updates": False,
    "check_for_async": False,
    "ratelimit_seconds": -1,
    "redirect_uri": None,
    "short_url": "https://redd.it",
    "window_size": 600,
    "timeout": 16,
    "comment_kind": "t1",
    "redditor_kind": "t2",
    "submission_kind": "t3",
    "message_kind": "t4",
    "subreddit_kind": "t5",
    "trophy_kind": "t6",
}


class _NoWait:
    """prawcore's rate limiter without the sleep: the pace is kept in the requestor."""

    def call(
        self,
        *,
        method: str,
        request_function: Callable[..., Any],
        set_header_callback: Callable[[], dict[str, str]],
        url: str,
        **kwargs: Any,
    ) -> Any:
        kwargs["headers"] = set_header_callback()
        return request_function(method, url, **kwargs)


@dataclass(frozen=True)
class _OneMoreTry:
    """prawcore's retry strategy without the sleep: one more try, which only a 401 ever reaches."""

    left: int = 1

    def sleep(self) -> None:
        return None

    def consume_available_retry(self) -> Self:
        return type(self)(left=self.left - 1)

    def should_retry_on_failure(self) -> bool:
        return self.left > 0


class _RawReddit(praw.Reddit):
    """PRAW without its objects: we take the JSON. Their table touches every model class (0.2 MB a worker)."""

    def _prepare_objector(self) -> None: ...


def _tame(reddit: praw.Reddit) -> Any:
    """Take the sleeping parts out of PRAW, and give its session. Private names; a test fails when PRAW changes them."""
    core: Any = reddit._core  # noqa: SLF001
    core._rate_limiter = _NoWait()  # noqa: SLF001
    core._retry_strategy_class = _OneMoreTry  # noqa: SLF001
    # At DEBUG it logs whole texts, at WARNING whole addresses; what matters is in our errors.
    logger = logging.getLogger("prawcore")
    if logger.level != logging.ERROR:
        # Once, before the fork: it makes every logger of the process forget what it cached (0.2 MB a worker).
        logger.setLevel(logging.ERROR)
    # Formats every form and text that is sent, also for a line that nobody sees.
    core._log_request = _log_no_request  # noqa: SLF001
    return core


def _log_no_request(**_: object) -> None:
    """Say nothing of a request."""


@functools.cache
def _pin_config() -> None:
    """Give PRAW its own defaults as the only ini file it will ever read in this process."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(files("praw").joinpath("praw.ini").read_text(encoding="utf-8"))
    with Config.LOCK:
        Config.CONFIG = parser


def _credential_settings(account: AccountCredentials) -> dict[str, Any]:
    """Give PRAW's credential keys, all of them: a missing one would be looked up elsewhere.

    Raises:
        AuthDead: If PRAW could only sign in as nobody.
    """
    by_password = bool(account.password and account.client_secret and not account.refresh_token)
    if not by_password and not account.refresh_token:
        raise AuthDead(
            f"u/{account.username} has no password with a client secret, and no refresh token:"
            " set reddit.password_env and reddit.client_secret_env, or use `hotshotctl auth BOT`"
        )
    return {
        "client_id": account.client_id,
        "client_secret": account.client_secret or None,
        "username": account.username if by_password else None,
        "password": account.password if by_password else None,
        "refresh_token": account.refresh_token or None,
    }


class RedditClient:
    """One signed-in connection to Reddit. Belongs to the process and the thread that made it.

    Making it sends nothing; the first call signs in.

    Raises:
        AuthDead: If the credentials can't be enough.
    """

    def __init__(
        self,
        *,
        account: AccountCredentials,
        sites: Sites,
        operator: str,
        pace: Pace,
        clock: Clock,
        limits: CallLimits,
        on_refresh_token: Callable[[str], None] | None = None,
    ) -> None:
        _pin_config()
        self._account, self._on_refresh_token = account, on_refresh_token
        self._refresh_token = account.refresh_token
        self._reddit = _RawReddit(
            "DEFAULT",
            requestor_class=OnceRequestor,
            requestor_kwargs={"session": RedditSession(), "limits": limits, "pace": pace, "clock": clock},
            user_agent=build_user_agent(operator=operator, username=account.username),
            reddit_url=sites.reddit_url.rstrip("/"),
            oauth_url=sites.oauth_url.rstrip("/"),
            **_PINNED,
            **_credential_settings(account),
        )
        core = _tame(self._reddit)
        self._authorizer: Any = core.authorizer
        self._requestor: OnceRequestor = core.requestor

    @property
    def in_flight(self) -> float | None:
        """When the HTTP request under way must be over, in seconds of the clock, or None. Any thread."""
        return self._requestor.in_flight

    @property
    def ahead(self) -> timedelta:
        """How far our wall clock is ahead of Reddit's, by the newest answer; none where nobody can tell."""
        return self._requestor.ahead

    @property
    def scopes(self) -> frozenset[str]:
        """What the newest access token may be used for, "*" for all; empty before the first call."""
        return frozenset(getattr(self._authorizer, "scopes", None) or ())

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Give the JSON of a listing or thing. Blocks up to the time limits, twice after a lost token.

        Raises:
            PlatformError: `Retry`, `Refused`, `AuthDead` or `Down`.
        """
        return self._call("GET", path, params=dict(params or {}), data=None)

    def post(self, path: str, data: Mapping[str, Any], params: Mapping[str, str | int] | None = None) -> Any:
        """Send a form, once, and give the JSON of the answer; `json.errors` in it are the caller's.

        Raises:
            PlatformError: As `get`, and `Unknown` where the path is a write that can't be repeated.
        """
        return self._call("POST", path, params=dict(params or {}), data=dict(data))

    def upload(self, url: str, *, fields: Mapping[str, str], name: str, content: bytes) -> None:
        """Send a picture to the store that Reddit named, without the token.

        Raises:
            PlatformError: If the store did not take it; nothing was published.
        """
        self._requestor.begin()
        self._requestor.request("POST", url, data=dict(fields), files={"file": (name, content)})

    def close(self) -> None:
        """Close the sockets."""
        self._requestor.close()

    def _call(self, method: str, path: str, *, params: dict[str, str | int], data: dict[str, Any] | None) -> Any:
        self._requestor.begin()
        try:
            return self._reddit.request(method=method, path=path, params=params, data=data)
        except PlatformError:
            raise
        except OAuthException as exc:
            raise error_of_token(str(exc.error)) from exc
        except Exception as exc:  # PRAW lets KeyError, ValueError, TypeError and AttributeError through as well
            raise self._translate(exc, method=method, path=path) from exc
        finally:
            self._pass_on_refresh_token()

    def _translate(self, exc: Exception, *, method: str, path: str) -> PlatformError:
        if self._requestor.refused:
            return AuthDead("Reddit refuses even a new token (401): the account or the app may be revoked")
        if self._requestor.traffic in (None, Traffic.TOKEN):
            return Down(f"Reddit's answer to the sign-in can't be used ({type(exc).__name__})")
        return lost(classify(method, path), what=f"the answer to {path} can't be used ({type(exc).__name__})")

    def _pass_on_refresh_token(self) -> None:
        newest = getattr(self._authorizer, "refresh_token", None)
        if newest and newest != self._refresh_token and self._on_refresh_token is not None:
            self._refresh_token = newest
            self._on_refresh_token(newest)


class _NoPace:
    """A pace for an object that is made and dropped."""

    def acquire(self, *, write: bool) -> float:
        raise AssertionError(f"a warm-up sends nothing (write={write})")

    def observe(self, headers: RateHeaders) -> None:
        raise AssertionError(f"a warm-up sends nothing ({headers})")

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:
        raise AssertionError(f"a warm-up polls nothing ({interval_seconds}, {requests_per_poll})")


def warm_up() -> None:
    """Load what workers share, before the fork: PRAW with one object made and dropped, the TLS context.

    Opens no socket and starts no thread. Takes some 50 ms.
    """
    shared_tls_context()
    sites = Sites()
    for url in (sites.reddit_url, sites.oauth_url):
        is_loopback(url)
    account = AccountCredentials("warm-up", client_id="none", client_secret="none", password="none")  # noqa: S106
    client = RedditClient(
        account=account, sites=sites, operator="none", pace=_NoPace(), clock=SystemClock(), limits=CallLimits()
    )
    client.close()
