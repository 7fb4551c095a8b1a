"""PRAW's private parts are where we expect them, and the session keeps our rules."""

from __future__ import annotations

import inspect
import ssl
from pathlib import Path
from typing import Any

import praw
import pytest
import requests
from prawcore.rate_limit import RateLimiter
from prawcore.sessions import FiniteRetryStrategy

from hotshotd.clock import SystemClock
from hotshotd.errors import AuthDead, Down, Unknown
from hotshotd.reddit import client
from hotshotd.reddit.account import AccountCredentials, Sites
from hotshotd.reddit.client import RedditClient
from hotshotd.reddit.requestor import CallLimits, OnceRequestor, Traffic, classify, lost, parse_rate_headers
from hotshotd.reddit.transport import RedditSession, SharedTlsAdapter, shared_tls_context


def _client(**changes: Any) -> RedditClient:
    account = AccountCredentials("bot", **{"client_id": "i", "client_secret": "s", "password": "p", **changes})
    return RedditClient(
        account=account,
        sites=Sites(),
        operator="op",
        pace=client._NoPace(),
        clock=SystemClock(),
        limits=CallLimits(),
    )


def test_praw__has_the_private_parts_that_are_replaced() -> None:
    """When this fails PRAW has changed: look at `_tame` before anything else."""
    core: Any = praw.Reddit(
        client_id="i",
        client_secret="s",
        username="u",
        password="p",
        user_agent="a test of ours",
        check_for_updates=False,
    )._core
    assert isinstance(core._rate_limiter, RateLimiter)
    assert core._retry_strategy_class is FiniteRetryStrategy
    assert "_retry_strategy_class()" in inspect.getsource(type(core)._request_with_retries)
    assert "_rate_limiter.call(" in inspect.getsource(type(core)._make_request)
    wanted = set(inspect.signature(RateLimiter.call).parameters)
    assert wanted == set(inspect.signature(client._NoWait.call).parameters)
    strategy = [name for name in vars(FiniteRetryStrategy) if not name.startswith("_") and name != "DEFAULT_RETRIES"]
    assert all(hasattr(client._OneMoreTry, name) for name in [*strategy, "sleep"] if name != "retries")


def test_client__has_no_sleeping_part() -> None:
    """Limiter and retries are ours, and PRAW never waits for a rate limit of its own."""
    made = _client()
    core: Any = made._reddit._core
    assert isinstance(core._rate_limiter, client._NoWait)
    assert core._retry_strategy_class is client._OneMoreTry
    assert isinstance(core.requestor, OnceRequestor)
    assert made._reddit.config.ratelimit_seconds == -1
    made.close()


def test_client__signs_in_by_refresh_token_before_password() -> None:
    """A refresh token wins; PRAW itself would take the password."""
    by_token, by_password = _client(refresh_token="r"), _client()
    assert by_token._authorizer.refresh_token == "r"
    assert type(by_password._authorizer).__name__ == "ScriptAuthorizer"
    assert by_password._authorizer.authenticator.client_secret == "s"
    for made in (by_token, by_password):
        made.close()


@pytest.mark.parametrize("change", [{"password": None}, {"client_secret": None}, {"password": ""}])
def test_client__that_would_be_nobody_is_refused(change: dict[str, Any]) -> None:
    """PRAW would silently go on without an account."""
    with pytest.raises(AuthDead, match="hotshotctl auth"):
        _client(**change)


@pytest.mark.parametrize(
    ("method", "path", "traffic"),
    [
        ("GET", "/r/a/new", Traffic.READ),
        ("get", "api/v1/me", Traffic.READ),
        ("POST", "/api/comment/", Traffic.WRITE),
        ("POST", "api/submit/", Traffic.WRITE),
        ("POST", "/api/something_new", Traffic.WRITE),
        ("POST", "api/read_message/", Traffic.REPEATABLE),
        ("POST", "/api/del/", Traffic.REPEATABLE),
        ("POST", "/api/block_user", Traffic.REPEATABLE),
        ("POST", "/api/media/asset.json", Traffic.REPEATABLE),
    ],
)
def test_classify__unknown_posts_are_writes(method: str, path: str, traffic: Traffic) -> None:
    """Whatever is not known to be repeatable must not be sent twice."""
    assert classify(method, path) is traffic


def test_lost__only_a_write_is_unknown() -> None:
    """Everything else can simply be asked again."""
    kinds = {traffic: type(lost(traffic, what="x")) for traffic in Traffic}
    assert kinds.pop(Traffic.WRITE) is Unknown
    assert set(kinds.values()) == {Down}


@pytest.mark.parametrize("bad", [{}, {"used": "x"}, {"used": "nan"}, {"remaining": "inf"}, {"reset": "-1"}])
def test_rate_headers__missing_or_odd_are_none(bad: dict[str, str]) -> None:
    """Half a set of figures is no figure; decimals are fine."""
    response = requests.Response()
    assert parse_rate_headers(response) is None
    good = {"used": "5", "remaining": "995.0", "reset": "599"}
    response.headers.update({f"x-ratelimit-{name}": value for name, value in (good | bad).items()})
    headers = parse_rate_headers(response)
    if bad:
        assert headers is None
    else:
        assert headers is not None
        assert (headers.used, headers.remaining, headers.reset_seconds) == (5, 995, 599)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> RedditSession:
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    return RedditSession()


def _settings(session: RedditSession, url: str) -> Any:
    return session.merge_environment_settings(url, {}, True, None, None)


def test_session__uses_the_proxy_of_the_environment_but_not_for_loopback(
    session: RedditSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY and NO_PROXY count; this machine is never asked for through a proxy."""
    reddit = "https://oauth.reddit.com/api/v1/me"
    assert _settings(session, reddit)["proxies"]["https"] == "http://proxy.example:3128"
    assert _settings(session, "https://127.0.0.1:8/x")["proxies"] == {}
    monkeypatch.setenv("NO_PROXY", "reddit.com")
    assert "https" not in _settings(session, reddit)["proxies"]


def test_session__honours_an_own_ca_bundle(session: RedditSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE names the only authorities that count."""
    assert _settings(session, "https://oauth.reddit.com/")["verify"] is True
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/own.pem")
    assert _settings(session, "https://oauth.reddit.com/")["verify"] == "/etc/own.pem"


def test_session__does_not_read_netrc(session: RedditSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine's entry there would replace our token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine oauth.reddit.com login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    request = requests.Request("GET", "https://oauth.reddit.com/", headers={"Authorization": "bearer t"})
    assert session.prepare_request(request).headers["Authorization"] == "bearer t"
    assert requests.Session().prepare_request(request).headers["Authorization"].startswith("Basic")


def test_tls__one_context_for_all_connections_unless_there_is_an_own_bundle(tmp_path: Path) -> None:
    """The CA file is parsed once a process; the shared context verifies names and certificates."""
    adapter = SharedTlsAdapter()
    request = requests.Request("GET", "https://oauth.reddit.com/").prepare()
    first: Any = adapter.get_connection_with_tls_context(request, verify=True)
    second: Any = SharedTlsAdapter().get_connection_with_tls_context(request, verify=True)
    contexts = {id(pool.conn_kw.get("ssl_context")) for pool in (first, second)}
    assert contexts == {id(shared_tls_context())}
    adapter.cert_verify(first, "https://oauth.reddit.com/", verify=True, cert=None)
    assert (first.cert_reqs, first.ca_certs) == ("CERT_REQUIRED", None)
    assert shared_tls_context().verify_mode is ssl.CERT_REQUIRED
    assert shared_tls_context().check_hostname
    bundle = tmp_path / "own.pem"
    bundle.write_text("x")
    own: Any = adapter.get_connection_with_tls_context(request, verify=str(bundle))
    assert "ssl_context" not in own.conn_kw
    adapter.close()
