"""Credentials do not show, addresses are safe, links are understood."""

from __future__ import annotations

import pytest

from hotshotd.errors import ConfigError, Refused
from hotshotd.reddit.account import AccountCredentials, Sites, build_user_agent, client_id_hash, is_loopback
from hotshotd.reddit.links import parse_link

SITE = "http://127.0.0.1:8080"


def test_credentials__do_not_stand_in_the_repr() -> None:
    """A log line with an account in it gives nothing away."""
    account = AccountCredentials("bot", client_id="id", password="PW", refresh_token="RT", client_secret="CS")
    assert not any(secret in repr(account) for secret in ("PW", "RT", "CS"))


def test_sites__plain_http_only_on_loopback() -> None:
    """A password never travels in the clear."""
    Sites("http://127.0.0.1:1", "http://localhost:1")
    for url in ("http://www.reddit.com", "http://127.0.0.1.evil.example", "ftp://127.0.0.1"):
        with pytest.raises(ConfigError, match="reddit_url"):
            Sites(reddit_url=url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9/x", True),
        ("https://[::1]/", True),
        ("http://localhost", True),
        ("http://127.8.0.1", True),
        ("https://reddit.com", False),
        ("http://127.0.0.1@evil.example/", False),
        ("ws://127.0.0.1", False),
    ],
)
def test_loopback__is_told_by_the_host(url: str, expected: bool) -> None:
    """Only this machine is loopback."""
    assert is_loopback(url) is expected


def test_client_id_hash__is_short_and_stable() -> None:
    """Bots of one app share it; the id can't be read from it."""
    assert client_id_hash("abc") == client_id_hash("abc") != client_id_hash("abd")
    assert len(client_id_hash("abc")) == 12


def test_user_agent__names_operator_and_bot_and_nothing_odd() -> None:
    """Reddit's form; a line break can't get in."""
    agent = build_user_agent(operator="Op\r\nX: 1", username="Bot_1")
    assert agent.startswith("linux:hotshotd:")
    assert agent.endswith("(by /u/OpX1) for /u/Bot_1")


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        ("https://www.reddit.com/r/Pond/comments/abc/some_title/", "t3_abc"),
        ("https://old.reddit.com/r/Pond/comments/abc/some_title/def/?context=3", "t1_def"),
        ("https://np.reddit.com/r/Pond/comments/abc", "t3_abc"),
        ("http://new.reddit.com/comments/abc/_/def", "t1_def"),
        ("https://www.reddit.com/r/Pond/comments/abc/comment/def/", "t1_def"),
        ("https://www.reddit.com/user/bob/comments/abc/x/", "t3_abc"),
        ("reddit.com/r/Pond/comments/abc/x/def", "t1_def"),
        ("https://redd.it/ABC", "t3_abc"),
        ("/r/Pond/comments/abc/x/def/", "t1_def"),
        ("http://127.0.0.1:8080/r/Pond/comments/abc/x/def/", "t1_def"),
        (" t1_def ", "t1_def"),
    ],
)
def test_link__gives_the_thing(url: str, ref: str) -> None:
    """Every form of a permalink that people copy."""
    assert parse_link(url, site_url=SITE) == ref


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/r/Pond/comments/abc/x/",
        "https://reddit.com.evil.example/r/Pond/comments/abc/x/",
        "https://notreddit.com/r/Pond/comments/abc/x/",
        "http://127.0.0.1:9999/r/Pond/comments/abc/x/",
        "https://www.reddit.com/r/Pond/",
        "https://www.reddit.com/r/Pond/s/AbCdEf",
        "https://www.reddit.com/r/Pond/comments",
        "https://www.reddit.com/r/Pond/comments/a-b/x/",
        "https://[bad",
        "",
    ],
)
def test_link__refuses_anything_else(url: str) -> None:
    """Other sites, look-alikes, share links and pages without a thing."""
    with pytest.raises(Refused) as caught:
        parse_link(url, site_url=SITE)
    assert caught.value.why == "bad_link"
