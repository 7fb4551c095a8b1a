"""What the courier sends, to real servers on this machine, and what it says of those that do not take it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotshotd.config.schema import MainConfig
from hotshotd.sandbox.http import HttpServer, Request, Response, text_response
from hotshotd.supervisor.courier import Alert, carry, choose_format, make_body

AT = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
ALERT = Alert("failed", "duck", "duck has failed: <!channel> & @everyone", AT)
SECRET = "/hooks/marker-of-the-hook"


class Post:
    """A server for alerts, and what became of them."""

    def __init__(self, folder: Path) -> None:
        self.answer = text_response("ok")
        self.server = HttpServer("hook", self._give)
        self._folder = folder

    def _give(self, _request: Request) -> Response:
        return self.answer

    def carry(self, url: str, *alerts: Alert, **environ: str) -> list[dict[str, Any]]:
        """Give what the courier says."""
        main = MainConfig.model_validate({"alerts": {"webhook_url_env": "HOOK"}})
        ours, theirs = socket.socketpair()
        with ours, theirs:
            environ = {"HOME": str(self._folder), "HOOK": url, **environ}
            assert carry(theirs, alerts or (ALERT,), main, environ=environ, daemon="pi") == 0
            theirs.close()
            return [json.loads(line) for line in ours.makefile()]

    @property
    def url(self) -> str:
        return self.server.base_url + SECRET


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    with made.server:
        yield made


def test_make_body__in_each_form() -> None:
    """Contract: Slack's text, Discord's content, a plain object; none of them can ring everybody."""
    assert make_body(ALERT, "slack", daemon="pi") == {
        "text": "hotshotd on pi: duck has failed: &lt;!channel&gt; &amp; @everyone"
    }
    assert make_body(ALERT, "discord", daemon="pi") == {
        "content": "hotshotd on pi: duck has failed: <!channel> & @everyone",
        "allowed_mentions": {"parse": []},
    }
    assert make_body(ALERT, "json", daemon="pi") == {
        "cause": "failed",
        "bot": "duck",
        "message": ALERT.message,
        "daemon": "pi",
        "at": "2026-11-24T12:30:00+00:00",
    }


@pytest.mark.parametrize(
    ("wanted", "host", "form"),
    [
        ("auto", "hooks.slack.com", "slack"),
        ("auto", "HOOKS.SLACK.COM", "slack"),
        ("auto", "discord.com", "discord"),
        ("auto", "canary.discord.com", "discord"),
        ("auto", "discordapp.com", "discord"),
        ("auto", "discord.com.example", "json"),
        ("auto", "notdiscord.com", "json"),
        ("auto", "example.org", "json"),
        ("slack", "mattermost.example", "slack"),
        ("json", "hooks.slack.com", "json"),
    ],
)
def test_choose_format__by_host_unless_it_is_said(wanted: str, host: str, form: str) -> None:
    """`auto` goes by the whole host name."""
    assert choose_format(wanted, f"https://{host}/x") == form


def test_carry__delivers_in_order(post: Post) -> None:
    """Each is one POST of JSON, and told when it was taken."""
    alerts = [Alert("failed", bot, bot, AT) for bot in ("a", "b", "c")]
    assert post.carry(post.url, *alerts) == [{"event": "delivered"}] * 3
    requests = post.server.log.requests(method="POST")
    assert [request.json()["bot"] for request in requests] == ["a", "b", "c"]
    assert all(request.path == SECRET for request in requests)


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (401, True), (404, True), (410, True), (302, True), (429, False), (503, False)]
)
def test_carry__says_whether_a_refusal_passes(post: Post, status: int, final: bool) -> None:
    """It stops there, and follows no redirect: the address would be told to another host."""
    with HttpServer("other", post._give) as other:
        post.answer = text_response("no", status=status).with_headers(
            ("Location", other.base_url), ("Retry-After", "7")
        )
        (held,) = post.carry(post.url, ALERT, ALERT)
        assert other.log.requests() == ()
    assert held == {
        "event": "held",
        "error": f"127.0.0.1 answered with {status}",
        "final": final,
        "retry_after": 7.0,
    }
    assert len(post.server.log.requests()) == 1


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("soon", None), ("", None), ("-5", None), ("nan", None), ("1e9", None), ("0.5", 0.5), ("86400", 600.0)],
)
def test_carry__bounds_the_pause_that_a_hook_asks_for(post: Post, wish: str, seconds: float | None) -> None:
    """Nonsense is no pause, and none is longer than ten minutes."""
    post.answer = text_response("no", status=429).with_headers(("Retry-After", wish))
    (held,) = post.carry(post.url)
    assert held["retry_after"] == seconds


def test_carry__does_not_wait_for_an_endless_answer(post: Post) -> None:
    """The status is all that counts."""
    post.answer = Response(200, b"x" * 1_000_000, drip_seconds=30.0)
    began = time.monotonic()
    assert post.carry(post.url) == [{"event": "delivered"}]
    assert time.monotonic() - began < 15
    post.server.stop()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://hooks.example/marker-of-the-hook", "only one on this machine may be http://"),
        ("ftp://127.0.0.1/marker-of-the-hook", "whole address"),
        ("https:///marker-of-the-hook", "whole address"),
        ("https://[::1/marker-of-the-hook", "whole address"),
        ("marker-of-the-hook", "whole address"),
        ("https://127.0.0.1:99999/marker-of-the-hook", "whole address"),
        ("http://127.0.0.1/marker-of-the-hook two", "whole address"),
        ("", "HOOK is not set"),
    ],
)
def test_carry__refuses_what_is_no_safe_address(post: Post, url: str, error: str) -> None:
    """For good, with the way out, and without the address itself."""
    (held,) = post.carry(url)
    assert held["final"] is True
    assert error in held["error"]
    assert "marker" not in held["error"]


def test_carry__of_a_server_that_is_away_names_no_address(post: Post) -> None:
    """The library's error holds the whole path; ours names the host."""
    post.server.stop()
    (held,) = post.carry(post.url)
    assert (held["error"], held["final"]) == ("127.0.0.1: can't be reached", False)


def test_carry__of_a_wrong_certificate_says_so(post: Post) -> None:
    """A plain server behind https:// is no hook; nothing is sent."""
    (held,) = post.carry(post.url.replace("http:", "https:"))
    assert held["error"].startswith("127.0.0.1: ")
    assert held["final"] is False
    assert post.server.log.requests(method="POST") == ()


def test_carry__reads_no_netrc(post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract: .netrc is not honoured."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password marker\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    assert post.carry(post.url) == [{"event": "delivered"}]
    assert "authorization" not in post.server.log.requests()[0].headers


def test_carry__takes_the_address_from_a_credential_or_a_file(post: Post, tmp_path: Path) -> None:
    """Like every other secret."""
    (tmp_path / "HOOK").write_text(post.url + "\n")
    assert post.carry("", CREDENTIALS_DIRECTORY=str(tmp_path)) == [{"event": "delivered"}]
