"""What the adapter's thread tells: kept, shown, and never raised back at it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hotshotd.log import redact
from hotshotd.worker.hooks import TokenKeeper, UnreadablePlaces, call_in_loop
from hotshotd.worker.tokens import write_token


class Told:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.troubles: list[str] = []

    def report(self, **facts: Any) -> None:
        self.reports.append(facts)

    def trouble(self, message: str) -> None:
        self.troubles.append(message)


def call_now(function: Any, *arguments: object) -> None:
    function(*arguments)


@pytest.fixture
def told() -> Told:
    return Told()


def test_keeper__stores_one_after_another(tmp_path: Path, told: Told) -> None:
    """Each new token replaces the one before, and no log shows it any more."""
    write_token(tmp_path, "iama", "first-token")
    keeper = TokenKeeper(tmp_path, "iama", current="first-token", is_ours=True, link=told, call=call_now)
    for token in ("second-token", "third-token"):
        keeper.keep(token)
        assert (tmp_path / "tokens" / "iama").read_text().strip() == token
        assert redact(f"it is {token}") == "it is ***"
    assert told.troubles == []


def test_keeper__gives_way_to_auth(tmp_path: Path, told: Told) -> None:
    """A token that `auth` brought meanwhile stays, without trouble."""
    write_token(tmp_path, "iama", "brought-by-auth")
    TokenKeeper(tmp_path, "iama", current="first-token", is_ours=True, link=told, call=call_now).keep("rotated-token")
    assert (tmp_path / "tokens" / "iama").read_text() == "brought-by-auth\n"
    assert told.troubles == []


@pytest.mark.parametrize("token", ["good-token", "no token at all"])
def test_keeper__never_raises(tmp_path: Path, told: Told, token: str) -> None:
    """A disk that refuses, or a token that can't be one, is told to the operator with what to do."""
    (tmp_path / "tokens").write_text("a file")
    TokenKeeper(tmp_path, "iama", current="x", is_ours=True, link=told, call=call_now).keep(token)
    assert len(told.troubles) == 1
    assert "hotshotctl auth iama" in told.troubles[0]
    assert token not in told.troubles[0]


def test_places__come_and_go(told: Told) -> None:
    """Each change tells the whole list anew, sorted."""
    places = UnreadablePlaces(link=told, call=call_now)
    places.note("b", "private")
    places.note("a", "gone")
    places.note("b", None)
    places.note("never seen", None)
    assert [[entry["subreddit"] for entry in report["unreadable"]] for report in told.reports] == [
        ["b"], ["a", "b"], ["a"], ["a"],
    ]  # fmt: skip


def test_call_in_loop__is_harmless_once_the_loop_has_ended() -> None:
    """A thread that outlives the loop calls into nothing, and gets no error."""
    seen: list[str] = []

    async def live() -> Any:
        call = call_in_loop(asyncio.get_running_loop())
        await asyncio.to_thread(call, seen.append, "in time")
        await asyncio.sleep(0)
        return call

    asyncio.run(live())(seen.append, "too late")
    assert seen == ["in time"]
