"""From a request's JSON to one call, and from every failure to one error reply."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hotshotd.control.handlers import COMMANDS, Exchange, handle
from hotshotd.errors import UnknownBot


class FakeDaemon:
    """Takes down each call; raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.dropped: list[str] = []

    def __getattr__(self, op: str) -> Any:
        if op not in {*COMMANDS, "try_thing", "make_post"}:
            raise AttributeError(op)

        def call(names: Any, **settings: Any) -> Any:
            facts = {key: value for key, value in settings.items() if key not in ("reply", "fail", "step")}
            self.calls.append((op, names, facts))
            if self.error:
                raise self.error
            if "step" in settings:
                settings["step"]({"name": op})
            settings["reply"]({"done": op})
            return lambda: self.dropped.append(op)

        return call


class Asked:
    """One request that was handled, and all its answers."""

    def __init__(self, daemon: FakeDaemon, request: dict[str, Any]) -> None:
        self.replies: list[dict[str, Any]] = []
        self.failures: list[tuple[str, str]] = []
        handle(daemon, Exchange(request, self.replies.append, lambda *failure: self.failures.append(failure)))


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.mark.parametrize(
    ("request_", "call"),
    [
        ({"op": "status"}, ("status", [], {})),
        ({"op": "status", "bots": ["a", "b"]}, ("status", ["a", "b"], {})),
        ({"op": "quota"}, ("quota", None, {})),
        ({"op": "quota", "bot": "a"}, ("quota", "a", {})),
        ({"op": "reload"}, ("reload", None, {})),
        ({"op": "reload", "bot": "a"}, ("reload", "a", {})),
        ({"op": "token", "bot": "a", "token": "t-1"}, ("token", "a", {"token": "t-1"})),
        ({"op": "restart", "bot": "a"}, ("restart", "a", {})),
        ({"op": "pause", "bots": None}, ("pause", None, {"until": None, "reason": ""})),
        ({"op": "pause", "bots": []}, ("pause", [], {"until": None, "reason": ""})),
        (
            {"op": "pause", "bots": ["a"], "until": "2026-11-24T10:00:00+00:00", "reason": "r"},
            ("pause", ["a"], {"until": datetime(2026, 11, 24, 10, tzinfo=UTC), "reason": "r"}),
        ),
        ({"op": "pause", "bots": ["a"], "reason": "x" * 300}, ("pause", ["a"], {"until": None, "reason": "x" * 200})),
        ({"op": "resume", "bots": ["a"]}, ("resume", ["a"], {})),
        ({"op": "try", "bot": "a", "url": "t3_b"}, ("try_thing", "a", {"url": "t3_b"})),
        ({"op": "post", "bot": "a"}, ("make_post", "a", {"dry_run": False})),
        ({"op": "post", "bot": "a", "dry_run": True}, ("make_post", "a", {"dry_run": True})),
    ],
)
def test_request__becomes_its_call(daemon: FakeDaemon, request_: dict[str, Any], call: Any) -> None:
    """Each command with its arguments; unknown keys of the request are no matter."""
    asked = Asked(daemon, {"id": 1, "colour": "red", **request_})
    assert daemon.calls == [call]
    assert (asked.replies, asked.failures) == ([{"done": call[0]}], [])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"op": "restart"}, "`bot` is missing"),
        ({"op": "restart", "bot": None}, "`bot` is missing"),
        ({"op": "quota", "bot": 5}, "`bot` must be a text"),
        ({"op": "reload", "bot": ["a"]}, "`bot` must be a text"),
        ({"op": "status", "bots": "a"}, "`bots` must be a list"),
        ({"op": "pause", "bots": ["a", 1]}, "`bots` must be a list of texts"),
        ({"op": "resume", "bots": {"a": 1}}, "`bots` must be a list"),
        ({"op": "try", "url": "t3_b"}, "`bot` is missing"),
        ({"op": "try", "bot": "a"}, "`url` must be a text"),
        ({"op": "try", "bot": "a", "url": " "}, "`url` must be a text"),
        ({"op": "try", "bot": "a", "url": ["t3_b"]}, "`url` must be a text"),
        ({"op": "try", "bot": "a", "url": "x" * 2001}, "`url` is longer than 2000 characters"),
        ({"op": "post", "dry_run": True}, "`bot` is missing"),
        ({"op": "post", "bot": "a", "dry_run": 1}, "`dry_run` must be true or false"),
        ({"op": "post", "bot": "a", "dry_run": "no"}, "`dry_run` must be true or false"),
        ({"op": "pause", "bots": ["a"], "until": "soon"}, "`until` must be an ISO 8601 time"),
        ({"op": "pause", "bots": ["a"], "until": 5}, "`until` must be an ISO 8601 time"),
        ({"op": "pause", "bots": ["a"], "until": "2026-11-24T10:00:00"}, "`until` must name its zone"),
    ],
)
def test_wrong_arguments__are_an_error_reply_and_no_call(
    daemon: FakeDaemon, request_: dict[str, Any], message: str
) -> None:
    """Whatever stands in a request, the daemon is not called with it."""
    asked = Asked(daemon, request_)
    assert daemon.calls == []
    [(code, text)] = asked.failures
    assert (code, asked.replies) == ("protocol", [])
    assert message in text


@pytest.mark.parametrize("op", ["explode", None, 5, [], {}, "__class__"])
def test_unknown_command__names_the_known(daemon: FakeDaemon, op: Any) -> None:
    """Also an `op` that is no text."""
    [(code, text)] = Asked(daemon, {"op": op}).failures
    assert code == "unknown_command"
    assert ", ".join(sorted(COMMANDS)) in text


def test_known_failure__keeps_its_code_and_words(daemon: FakeDaemon) -> None:
    """`unknown_bot` is what exit code 4 hangs on."""
    daemon.error = UnknownBot("nobody: no such bot")
    assert Asked(daemon, {"op": "status"}).failures == [("unknown_bot", "nobody: no such bot")]


def test_unexpected_failure__does_not_end_the_daemon_and_tells_no_details(daemon: FakeDaemon) -> None:
    """The kind is told; the words, which may hold anything, are for the log."""
    daemon.error = RuntimeError("password=hunter2")
    [(code, text)] = Asked(daemon, {"op": "status"}).failures
    assert code == "internal"
    assert "RuntimeError" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("request_", [{"op": "try", "bot": "a", "url": "t3_b"}, {"op": "post", "bot": "a"}])
def test_long_command__tells_steps_and_can_be_dropped(daemon: FakeDaemon, request_: dict[str, Any]) -> None:
    """The exchange is handed each step, and what gives the command up."""
    steps: list[Any] = []
    drops: list[Callable[[], None]] = []
    replies: list[Any] = []
    handle(daemon, Exchange(request_, replies.append, lambda *_: None, steps.append, drops.append))
    op = daemon.calls[0][0]
    assert (steps, replies) == ([{"name": op}], [{"done": op}])
    [drop] = drops
    drop()
    assert daemon.dropped == [op]
