"""A Reddit on 127.0.0.1 that the real PRAW talks to: a `Forum` behind HTTP.

    forum = Forum()
    forum.add_client("id", "secret")
    forum.add_account("iama-bot", "hunter2")
    forum.add_subreddit("bots")
    with RedditServer(forum) as reddit:
        praw.Reddit(reddit_url=reddit.base_url, oauth_url=reddit.base_url, ...)

Where Reddit's own behaviour is not known, the choice stands in one place whose comment says so.
A process beside this one steers the forum through `/__sandbox/`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from hotshotd.clock import Clock, SystemClock
from hotshotd.sandbox.faults import Plan
from hotshotd.sandbox.forum import Forum, Refusal, not_found
from hotshotd.sandbox.http import (
    Answered,
    Handler,
    HttpServer,
    Part,
    Request,
    RequestLog,
    Response,
    Route,
    Routes,
    json_response,
)
from hotshotd.sandbox.reddit_answers import Action, error_response, refused
from hotshotd.sandbox.reddit_auth import Caller, RateMeter, Tokens
from hotshotd.sandbox.reddit_control import control_routes
from hotshotd.sandbox.reddit_json import Shapes, escaped
from hotshotd.sandbox.reddit_reads import Reads
from hotshotd.sandbox.reddit_signin import SignIn
from hotshotd.sandbox.reddit_writes import Writes

__all__ = ["Forum", "RateMeter", "RedditServer", "Refusal"]

#: How long an access token lasts, in seconds; real ones 3,600 or 86,400.
TOKEN_SECONDS = 86_400.0

_INSUFFICIENT_SCOPE = ("www-authenticate", 'Bearer realm="reddit", error="insufficient_scope"')
_INVALID_TOKEN = ("www-authenticate", 'Bearer realm="reddit", error="invalid_token"')


class RedditServer:
    """Serves a forum; start and stop as an `HttpServer`.

    `rate` switches the `x-ratelimit` headers on (without it there are none, and PRAW never waits).
    `rotates_refresh_tokens` makes every refresh replace the refresh token.
    """

    def __init__(
        self,
        forum: Forum,
        *,
        port: int = 0,
        plan: Plan | None = None,
        clock: Clock | None = None,
        rate: RateMeter | None = None,
        token_seconds: float = TOKEN_SECONDS,
        rotates_refresh_tokens: bool = False,
    ) -> None:
        self.forum = forum
        self.plan = plan or Plan()
        self.rate = rate
        self.rotates_refresh_tokens = rotates_refresh_tokens
        self.tokens = Tokens(lifetime_seconds=token_seconds)
        self._clock = clock or SystemClock()
        shapes = Shapes(forum, self._address)
        self._sign_in = SignIn(forum, self.tokens, self._clock, is_rotating=lambda: self.rotates_refresh_tokens)
        self._reads = Reads(forum, shapes, self._clock, base_url=self._address)
        self._writes = Writes(forum, shapes, base_url=self._address)
        self.http = HttpServer(
            "reddit",
            Routes(self._routes(), not_found=lambda _: refused(not_found())),
            port=port,
            middleware=self.plan.middleware("reddit"),
            identify=self._identify,
            clock=self._clock,
        )

    @property
    def base_url(self) -> str:
        """The value for both `reddit_url` and `oauth_url`."""
        return self.http.base_url

    @property
    def log(self) -> RequestLog:
        """What was asked."""
        return self.http.log

    def start(self) -> Self:
        """Listen; returns at once."""
        self.http.start()
        return self

    def stop(self) -> None:
        """Stop, and join every thread."""
        self.http.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def uploads(self) -> dict[str, Part]:
        """The pictures that were uploaded, by their key."""
        return self._writes.uploads

    def _address(self) -> str:
        return self.http.base_url

    def _routes(self) -> list[Route]:
        return [
            *self._sign_in.routes(),
            *self._writes.upload_routes(),
            *control_routes(self.forum, self.plan, is_running=lambda: self.http.wait(0)),
            Route("POST", "/api/morechildren", self._signed_in(self._reads.more_children)),
            *(Route("GET", path, self._signed_in(action)) for path, action in self._reads.routes()),
            *(Route("POST", path, self._signed_in(action)) for path, action in self._writes.routes()),
        ]

    def _identify(self, request: Request) -> str:
        if request.path.rstrip("/") == "/api/v1/access_token":
            return self._sign_in.account_of(request)
        caller = self.tokens.find(request.bearer, now=self._clock.monotonic())
        return caller.account if caller else ""

    def _signed_in(self, action: Action) -> Handler:
        def handle(request: Request) -> Response:
            now = self._clock.monotonic()
            if "revoke_token" in request.notes:
                self.tokens.revoke(request.bearer)
            caller = self.tokens.find(request.bearer, now=now)
            if caller is None:
                return error_response(401, "Unauthorized").with_headers(_INVALID_TOKEN)
            if not caller.may(request.path):
                return error_response(403, "Forbidden").with_headers(_INSUFFICIENT_SCOPE)
            within, headers = self.rate.count(caller.client_id, now=now) if self.rate else (True, ())
            answer = self._carried_out(action, request, caller) if within else error_response(429, "Too Many Requests")
            return answer.with_headers(*headers)

        return handle

    def _carried_out(self, action: Action, request: Request, caller: Caller) -> Response:
        try:
            answer = action(request, caller)
        except Refusal as refusal:
            return refused(refusal)
        except Answered as early:
            return early.response
        if request.params.get("raw_json") == "1" or not answer.body:
            return answer
        return replace(answer, body=json_response(escaped(answer.json())).body)
