"""Signing in to the local Reddit: its token and consent endpoints."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import urlencode

from hotshotd.clock import Clock
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.http import Request, Response, Route, json_response, text_response
from hotshotd.sandbox.reddit_answers import error_response
from hotshotd.sandbox.reddit_auth import EVERYTHING, Leave, Tokens


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
        leave = self._tokens.find_refresh(token, client_id)
        if leave is None:
            return error_response(400, "Bad Request")
        if not self._is_rotating():
            return self._token(leave.account, client_id, scope=leave.scope)
        self._tokens.revoke(token)
        return self._token(leave.account, client_id, scope=leave.scope, is_permanent=True)

    def _grant_code(self, request: Request, client_id: str) -> Response:
        leave = self._tokens.spend_code(request.form.get("code", ""), client_id)
        # Known: the address must be the one for which the code was made.
        if leave is None or leave.redirect_uri != request.form.get("redirect_uri", ""):
            return json_response({"error": "invalid_grant"})
        return self._token(leave.account, client_id, scope=leave.scope, is_permanent=leave.is_permanent)

    def _token(self, account: str, client_id: str, *, scope: str = EVERYTHING, is_permanent: bool = False) -> Response:
        token = self._tokens.issue(account, client_id, now=self._clock.monotonic(), scope=scope)
        answer = {"access_token": token, "token_type": "bearer", "scope": scope}
        more = {"refresh_token": self._tokens.add_refresh(account, client_id, scope=scope)} if is_permanent else {}
        return json_response({**answer, "expires_in": int(self._tokens.lifetime_seconds), **more})

    def _revoke_token(self, request: Request) -> Response:
        self._tokens.revoke(request.form.get("token"))
        return Response(204)

    def _authorize(self, request: Request) -> Response:
        """Show the consent page: a button for each account. `&sandbox_user=` with no name in it refuses."""
        asked = request.params
        if self._forum.client_secret(asked.get("client_id", "")) is None or "redirect_uri" not in asked:
            return error_response(400, "Bad Request")
        if "sandbox_user" not in asked:
            return text_response(self._make_page(asked), content_type="text/html; charset=UTF-8")
        back = {"state": asked.get("state", "")}
        account = self._forum.account(asked["sandbox_user"])
        if account is None:
            back["error"] = "access_denied"
        else:
            back["code"] = self._tokens.add_code(_make_leave(account.name, asked))
        # Reddit puts this fragment behind every such address.
        return Response(302, headers=(("location", f"{asked['redirect_uri']}?{urlencode(back)}#_"),))

    def _make_page(self, asked: Mapping[str, str]) -> str:
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n' for name, value in asked.items()
        )
        buttons = "".join(
            f'<button name="sandbox_user" value="{escape(account.name)}">Allow as u/{escape(account.name)}</button>\n'
            for account in self._forum.accounts()
        )
        return (
            "<!doctype html><title>Sandbox: consent</title>\n"
            f"<p>{escape(asked['client_id'])} asks for: {escape(asked.get('scope', ''))}</p>\n"
            f'<form method="get" action="/api/v1/authorize">\n{hidden}{buttons}'
            '<button name="sandbox_user" value="">Decline</button>\n</form>\n'
        )


def _make_leave(account: str, asked: Mapping[str, str]) -> Leave:
    return Leave(
        account,
        asked["client_id"],
        scope=asked.get("scope", EVERYTHING),
        is_permanent=asked.get("duration") == "permanent",
        redirect_uri=asked["redirect_uri"],
    )


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode() if scheme.casefold() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    client_id, _, secret = pair.partition(":")
    return client_id, secret
