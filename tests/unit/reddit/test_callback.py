"""The answer of the consent page: only the one to this request, however it arrives."""

from __future__ import annotations

import pytest

from hotshotd.errors import AuthDead, ConfigError
from hotshotd.reddit.callback import WrongState, parse_answer, split_redirect_uri


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:65010/authorize_callback?state=s-1&code=c-1#_",
        "/authorize_callback?code=c-1&state=s-1",
        "  http://localhost:8080/?state=s-1&code=c-1\n",
    ],
)
def test_parse_answer__reads_whole_and_pasted_addresses(address: str) -> None:
    """The code is found in an address as a browser shows it, with Reddit's fragment or without."""
    assert parse_answer(address, state="s-1").get_code() == "c-1"


@pytest.mark.parametrize(
    "address", ["", "/", "/?code=c-1", "/?state=&code=c-1", "/?state=s-10&code=c", "/?state=\udcff", "/?state=ß"]
)
def test_parse_answer__refuses_another_state(address: str) -> None:
    """An answer without the very state is none."""
    with pytest.raises(WrongState):
        parse_answer(address, state="s-1")


@pytest.mark.parametrize(
    ("query", "said"),
    [("error=access_denied", "refused in the browser"), ("error=invalid_scope", "invalid_scope"), ("", "no code")],
)
def test_answer__tells_what_there_is_instead_of_a_code(query: str, said: str) -> None:
    """A refusal, an error of the page, and an empty answer are told apart."""
    with pytest.raises(AuthDead, match=said):
        parse_answer(f"/?state=s-1&{query}", state="s-1").get_code()


def test_answer__hides_its_code() -> None:
    """No repr shows the code."""
    assert "c-1" not in repr(parse_answer("/?state=s-1&code=c-1", state="s-1"))


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("http://127.0.0.1:65010/authorize_callback", ("127.0.0.1", 65010, "/authorize_callback")),
        ("http://localhost:8080", ("localhost", 8080, "/")),
        ("http://[::1]:8080/x", ("::1", 8080, "/x")),
    ],
)
def test_split_redirect_uri__takes_this_machine(uri: str, parts: tuple[str, int, str]) -> None:
    """A loopback address with a port can be waited on."""
    assert split_redirect_uri(uri) == parts


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1:1/x", "http://127.0.0.1/x", "http://example.com:80/x", "http://0.0.0.0:80/", "x", "",
        "http://127.0.0.1:99999/x", "http://127.0.0.1:80/x?y=1", "http://127.0.0.1:80/x#y", "http://[::1:80/",
    ],
)  # fmt: skip
def test_split_redirect_uri__refuses_all_else(uri: str) -> None:
    """What can't be waited on is refused, and the way out is named."""
    with pytest.raises(ConfigError, match="--paste"):
        split_redirect_uri(uri)
