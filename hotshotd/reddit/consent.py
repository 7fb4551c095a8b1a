"""A refresh token by consent: the address of Reddit's consent page, and what its answer is exchanged for.

PRAW's authorizer does the exchange, over a requestor that sends each request once and follows no redirect.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from prawcore import Authorizer, OAuthException, TrustedAuthenticator, UntrustedAuthenticator

from hotshotd.admission import RateHeaders
from hotshotd.clock import Clock
from hotshotd.errors import AuthDead, Down, PlatformError
from hotshotd.platform import Identity
from hotshotd.reddit.account import AccountCredentials, Sites, build_user_agent
from hotshotd.reddit.client import RedditClient
from hotshotd.reddit.outcome import error_of_token
from hotshotd.reddit.parse import parse_identity
from hotshotd.reddit.requestor import CallLimits, OnceRequestor
from hotshotd.reddit.transport import RedditSession

#: What every bot needs: who am I; listings and threads; own comments and posts; to write; to delete; the inbox.
SCOPES = ("identity", "read", "history", "submit", "edit", "privatemessages")

#: What putting somebody on the block list needs ("stop" to the bot, safety.opt_out).
BLOCK_SCOPE = "account"


class FreePace:
    """No rate to keep: for a program that makes a handful of requests and ends."""

    def acquire(self, *, write: bool) -> float:  # noqa: ARG002 - the port's shape
        return 0.0

    def observe(self, headers: RateHeaders) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:  # noqa: ARG002 - the port's shape
        return interval_seconds


@dataclass(frozen=True, slots=True)
class App:
    """A Reddit app as which consent is asked for. `client_secret` is empty for an installed app."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    redirect_uri: str
    sites: Sites
    operator: str
    #: The account that shall sign in; for the user agent.
    username: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a consent brought: who gave it, the permanent token (the newest, where it was replaced), its scopes."""

    identity: Identity
    refresh_token: str = field(repr=False)
    scopes: frozenset[str] = frozenset()


def list_scopes(*, blocks: bool) -> tuple[str, ...]:
    """Give the scopes to ask for; with `blocks` the one that the block list needs as well."""
    return (*SCOPES, BLOCK_SCOPE) if blocks else SCOPES


class Consent:
    """One consent, from the address of the page to the token. Belongs to one thread; `close` it."""

    def __init__(self, app: App, *, clock: Clock, limits: CallLimits | None = None) -> None:
        self._app, self._clock, self._limits = app, clock, limits or CallLimits()
        requestor = OnceRequestor(
            session=RedditSession(),
            limits=self._limits,
            pace=FreePace(),
            clock=clock,
            user_agent=build_user_agent(operator=app.operator, username=app.username),
            reddit_url=app.sites.reddit_url.rstrip("/"),
            oauth_url=app.sites.oauth_url.rstrip("/"),
        )
        settings: dict[str, Any] = {
            "client_id": app.client_id,
            "redirect_uri": app.redirect_uri,
            "requestor": requestor,
        }
        self._requestor = requestor
        self._authenticator: Any = (
            TrustedAuthenticator(client_secret=app.client_secret, **settings)
            if app.client_secret
            else UntrustedAuthenticator(**settings)
        )

    def build_url(self, *, state: str, scopes: tuple[str, ...]) -> str:
        """Give the address of the consent page. Sends nothing."""
        url: str = self._authenticator.authorize_url(duration="permanent", scopes=list(scopes), state=state)
        return url

    def redeem(self, code: str) -> Grant:
        """Exchange the one-time code for a token, and sign in with that as a worker would. Three requests.

        Raises:
            AuthDead: Reddit refuses the code or the app, or gives no permanent token.
            PlatformError: Reddit can't be asked now, or gave no usable answer.
        """
        authorizer: Any = Authorizer(authenticator=self._authenticator)
        self._requestor.begin()
        try:
            authorizer.authorize(code)
        except PlatformError:
            raise
        except OAuthException as exc:
            raise _error_of_code(str(exc.error), redirect_uri=self._app.redirect_uri) from exc
        except Exception as exc:  # PRAW lets KeyError, ValueError and TypeError through as well
            raise Down(f"Reddit's answer to the code can't be used ({type(exc).__name__})") from exc
        if not authorizer.refresh_token:
            raise AuthDead("Reddit gave no permanent token: allow it on a page that asks for permanent access")
        return self._sign_in(authorizer.refresh_token, frozenset(authorizer.scopes or ()))

    def revoke(self, grant: Grant) -> None:
        """Give back a token that nobody will use. Best effort: never raises for what Reddit answers."""
        with suppress(Exception):  # whatever it is, there is nothing to be done about it
            self._authenticator.revoke_token(grant.refresh_token, token_type="refresh_token")  # noqa: S106 - no secret

    def close(self) -> None:
        """Close the sockets."""
        self._requestor.close()

    def _sign_in(self, token: str, scopes: frozenset[str]) -> Grant:
        newest = [token]
        app = self._app
        client = RedditClient(
            account=AccountCredentials(
                app.username, client_id=app.client_id, client_secret=app.client_secret, refresh_token=token
            ),
            sites=app.sites,
            operator=app.operator,
            pace=FreePace(),
            clock=self._clock,
            limits=self._limits,
            on_refresh_token=newest.append,
        )
        try:
            return Grant(parse_identity(client.get("api/v1/me")), refresh_token=newest[-1], scopes=scopes)
        finally:
            client.close()


def _error_of_code(error: str, *, redirect_uri: str) -> AuthDead:
    if error != "invalid_grant":
        return error_of_token(error)
    return AuthDead(
        "Reddit refuses the code (invalid_grant): it was used or is too old, or the app's redirect uri is not "
        f"{redirect_uri}; compare them on reddit.com/prefs/apps and run this again"
    )
