"""Signing in to the local Reddit: its token and consent endpoints."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from urllib.parse import urlencode

from hotshotd.clock import Clock
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.http import Request, Response, Route, json_response, text_response
from hotshotd.sandbox.reddit_answers import error_response
from hotshotd.sandbox.reddit_auth import Tokens


class SignIn:
    """Gives tokens to those who know an app's secret and an account's password, refresh token or code.

    While `is_rotating` says so, each refresh replaces the refresh token.
    """

    def __init__(self, forum: Forum, tokens: Tokens, clock: Clock, *, is_rotating: Callable[[], bool]) -> None:
        self._is_rotating = is_rotating
        self._forum = forum
        self._tokens = tokens
        self._clock = clock

    def routes(self) -> list[Route]:
        """Give the endpoints that need no access token."""
        return [
            Route("POST", "/api/v1/access_token", self._access_token),
            Route("POST", "/api/v1/revoke_token", self._revoke_token),
            Route("GET", "/api/v1/authorize", self._authorize),
        ]

    def account_of(self, request: Request) -> str:
        """Tell whose request for a token it is, for the log and for faults."""
        refresh = request.form.get("refresh_token", "")
        named = self._tokens.refresh_account(refresh, _basic(request)[0]) if refresh else None
        return request.form.get("username", named or "")

    def _access_token(self, request: Request) -> Response:
        client_id, secret = _basic(request)
        if not client_id or self._forum.client_secret(client_id) != secret:
            return error_response(401, "Unauthorized")
        grants: dict[str, Callable[[Request, str], Response]] = {
            "password": self._grant_password,
            "refresh_token": self._grant_refresh,
            "authorization_code": self._grant_code,
            "client_credentials": lambda _, app: self._token("", app),
        }
        grant = grants.get(request.form.get("grant_type", ""))
        return grant(request, client_id) if grant else json_response({"error": "unsupported_grant_type"})

    def _grant_password(self, request: Request, client_id: str) -> Response:
        account = self._forum.account(request.form.get("username", ""))
        if account is None or not account.password or account.password != request.form.get("password"):
            return json_response({"error": "invalid_grant"})
        return self._token(account.name, client_id)

    def _grant_refresh(self, request: Request, client_id: str) -> Response:
        token = request.form.get("refresh_token", "")
        account = self._tokens.refresh_account(token, client_id)
        if account is None:
            return error_response(400, "Bad Request")
        if not self._is_rotating():
            return self._token(account, client_id)
        self._tokens.revoke(token)
        return self._token(account, client_id, refresh=self._tokens.add_refresh(account, client_id))

    def _grant_code(self, request: Request, client_id: str) -> Response:
        account = self._tokens.spend_code(request.form.get("code", ""), client_id)
        if account is None:
            return json_response({"error": "invalid_grant"})
        return self._token(account, client_id, refresh=self._tokens.add_refresh(account, client_id))

    def _token(self, account: str, client_id: str, *, refresh: str | None = None) -> Response:
        token = self._tokens.issue(account, client_id, now=self._clock.monotonic())
        answer = {"access_token": token, "token_type": "bearer", "scope": "*"}
        more = {"refresh_token": refresh} if refresh else {}
        return json_response({**answer, "expires_in": int(self._tokens.lifetime_seconds), **more})

    def _revoke_token(self, request: Request) -> Response:
        self._tokens.revoke(request.form.get("token"))
        return Response(204)

    def _authorize(self, request: Request) -> Response:
        """Stand in for the consent page: `&sandbox_user=NAME` allows as NAME, `&sandbox_user=` refuses."""
        asked = request.params
        if self._forum.client_secret(asked.get("client_id", "")) is None or "redirect_uri" not in asked:
            return error_response(400, "Bad Request")
        if "sandbox_user" not in asked:
            return text_response("Add &sandbox_user=NAME to this address to allow it as that account.\n")
        back = {"state": asked.get("state", "")}
        account = self._forum.account(asked["sandbox_user"])
        if account is None:
            back["error"] = "access_denied"
        else:
            back["code"] = self._tokens.add_code(account.name, asked["client_id"])
        return Response(302, headers=(("location", f"{asked['redirect_uri']}?{urlencode(back)}"),))


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode() if scheme.casefold() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    client_id, _, secret = pair.partition(":")
    return client_id, secret
