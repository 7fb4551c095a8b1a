"""From a request's JSON to one call, and from every failure to one error reply."""

from __future__ import annotations

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

    def __getattr__(self, op: str) -> Any:
        if op not in COMMANDS:
            raise AttributeError(op)

        def call(names: Any, **settings: Any) -> None:
            facts = {key: value for key, value in settings.items() if key not in ("reply", "fail")}
            self.calls.append((op, names, facts))
            if self.error:
                raise self.error
            settings["reply"]({"done": op})

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
        ({"op": "restart", "bot": "a"}, ("restart", "a", {})),
        ({"op": "pause", "bots": None}, ("pause", None, {"until": None, "reason": ""})),
        ({"op": "pause", "bots": []}, ("pause", [], {"until": None, "reason": ""})),
        (
            {"op": "pause", "bots": ["a"], "until": "2026-11-24T10:00:00+00:00", "reason": "r"},
            ("pause", ["a"], {"until": datetime(2026, 11, 24, 10, tzinfo=UTC), "reason": "r"}),
        ),
        ({"op": "pause", "bots": ["a"], "reason": "x" * 300}, ("pause", ["a"], {"until": None, "reason": "x" * 200})),
        ({"op": "resume", "bots": ["a"]}, ("resume", ["a"], {})),
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
    assert "pause, quota, reload, restart, resume, status" in text


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
