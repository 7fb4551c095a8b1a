"""The way for another process to steer the local Reddit: JSON over `/__sandbox/`.

    POST /__sandbox/submit  {"author": "ann", "subreddit": "bots", "title": "Hi"}
    POST /__sandbox/comment {"author": "ann", "parent": "t3_abc", "text": "Who are you?"}
    GET  /__sandbox/state                     everything there is
    GET  /__sandbox/events?since=12&timeout=20  waits until there is something newer

Every other name in `VERBS` works like the first two: the keys are the arguments of the method of
`Forum` of that name. `fault` adds a rule to the plan, `faults_clear` takes all back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from hotshotd.errors import ConfigError
from hotshotd.sandbox.faults import Plan, parse_rule, rule_to_json
from hotshotd.sandbox.forum import Forum, Refusal
from hotshotd.sandbox.http import Request, Response, Route, json_response

#: The methods of `Forum` that can be called from outside.
VERBS = (
    "submit", "comment", "send", "edit", "delete", "remove", "lock", "archive", "vote", "ban", "suspend", "block",
    "add_account", "add_client", "add_subreddit",
)  # fmt: skip

#: The longest that one request for events waits, in seconds.
MAX_WAIT_SECONDS = 60.0

_STEP_SECONDS = 0.5


def control_routes(forum: Forum, plan: Plan, *, is_running: Callable[[], bool]) -> list[Route]:
    """Make the control face's routes; waiting requests end when the server no longer runs."""
    control = _Control(forum, plan, is_running)
    return [
        Route("GET", "/__sandbox/state", control.state),
        Route("GET", "/__sandbox/events", control.events),
        Route("POST", "/__sandbox/fault", control.fault),
        Route("POST", "/__sandbox/faults_clear", control.clear_faults),
        *(Route("POST", f"/__sandbox/{verb}", control.call(verb)) for verb in VERBS),
    ]


class _Control:
    def __init__(self, forum: Forum, plan: Plan, is_running: Callable[[], bool]) -> None:
        self._forum = forum
        self._plan = plan
        self._is_running = is_running

    def call(self, verb: str) -> Callable[[Request], Response]:
        method = getattr(self._forum, verb)

        def handle(request: Request) -> Response:
            arguments = request.json()
            if not isinstance(arguments, dict):
                return _wrong("the body is a JSON object of arguments")
            try:
                return json_response({"ok": True, "result": _plain(method(**arguments))})
            except TypeError as exc:
                return _wrong(str(exc))
            except Refusal as refusal:
                return _wrong(str(refusal), status=409)

        return handle

    def state(self, _request: Request) -> Response:
        forum = self._forum
        return json_response(
            {
                "accounts": [_plain(account) for account in forum.accounts()],
                "subreddits": [_plain(place) for place in forum.subreddits()],
                "submissions": [_plain(post) for post in forum.submissions()],
                "comments": [_plain(comment) for comment in forum.comments()],
                "messages": [_plain(message) for message in forum.messages()],
                "unread": {account.name: len(forum.inbox(account.name, unread=True)) for account in forum.accounts()},
                "faults": [rule_to_json(rule) for rule in self._plan.rules],
            }
        )

    def events(self, request: Request) -> Response:
        try:
            since = int(request.params.get("since", "0"))
            left = min(float(request.params.get("timeout", "0")), MAX_WAIT_SECONDS)
        except ValueError:
            return _wrong("since and timeout are numbers")
        # In steps, so that a stopping server is not held up by a waiting client.
        while not self._forum.events(since) and left > 0 and self._is_running():
            self._pause(since, min(left, _STEP_SECONDS))
            left -= _STEP_SECONDS
        return json_response({"events": [_plain(event) for event in self._forum.events(since)]})

    def _pause(self, since: int, seconds: float) -> None:
        try:
            self._forum.wait_for(lambda _: True, since=since, timeout_seconds=seconds)
        except TimeoutError:
            pass  # nothing happened: what the caller looks for itself

    def fault(self, request: Request) -> Response:
        try:
            self._plan.add(parse_rule(request.json()))
        except ConfigError as exc:
            return _wrong(str(exc))
        return json_response({"ok": True})

    def clear_faults(self, _request: Request) -> Response:
        self._plan.clear()
        return json_response({"ok": True})


def _wrong(message: str, *, status: int = 400) -> Response:
    return json_response({"ok": False, "message": message}, status=status)


def _plain(value: Any) -> Any:
    """Make JSON of a forum's value; passwords stay behind."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _listed(inner) for key, inner in asdict(value).items() if key != "password"}
    return value if isinstance(value, str | int | float | None) else str(value)


def _listed(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value
