"""A plan of faults: which request of which service goes wrong, and how.

A `Plan` hands each server of the sandbox a middleware. Rules are tried in order; the first that
fires decides. Whether a rule with a probability fires depends on the plan's seed, the rule's
place and how many requests it has seen, so a plan repeats itself whatever the threads do.

    seed: 7
    faults:
      - {service: reddit, path: /api/comment*, account: iama-bot, action: reset, when: after}
      - {service: hf, action: status, status: 503, probability: 0.1}
      - {service: openai, action: quirk, quirk: groq}
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

import yaml

from hotshotd.errors import ConfigError
from hotshotd.sandbox import quirks
from hotshotd.sandbox.http import Handler, Middleware, Request, Response, json_response

#: The size of the `huge` absurd body unless `bytes` says otherwise: more than any client should read.
HUGE_BYTES = 32 * 1024 * 1024


class Action(StrEnum):
    """What goes wrong."""

    STATUS = "status"  # `status`, `body`, `headers`
    RESET = "reset"  # the connection is reset, without an answer
    TRUNCATE = "truncate"  # the answer breaks off after `bytes`
    HANG = "hang"  # nothing for `seconds`; then the answer, or a reset if nothing was handled
    SLOW = "slow"  # the body trickles for `seconds`
    CONTENT_TYPE = "content_type"  # right body, wrong `content_type`
    ABSURD = "absurd"  # a 200 whose body is `body`: huge html empty array null, or any other text
    RATELIMIT = "ratelimit"  # Reddit's RATELIMIT answer: a break of `seconds`
    LAG = "lag"  # listings do not show yet what is younger than `seconds`
    REVOKE = "revoke"  # the request's access token is revoked before it is handled
    QUIRK = "quirk"  # the server shows the `quirk` of that name; see `quirks`


class When(StrEnum):
    """Whether the request is carried out before it goes wrong."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault. `service`, `path` and `account` are shell patterns; `method` is exact.

    Of the requests that fit, the `nth` is the first that can be struck (1 is the first of all) and
    at most `count` are; with `nth` alone, one. `probability` then says how likely each is.
    """

    action: Action
    service: str = "*"
    path: str = "*"
    method: str | None = None
    account: str = "*"
    nth: int = 1
    count: int | None = None
    probability: float = 1.0
    when: When = When.BEFORE
    status: int = 503
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "text/plain"
    seconds: float = 30.0
    bytes: int | None = None
    quirk: str | None = None

    def fits(self, service: str, request: Request) -> bool:
        """Tell whether a request is of the kind this rule is about."""
        return (
            fnmatchcase(service, self.service)
            and fnmatchcase(request.path, self.path)
            and self.method in (None, request.method)
            and fnmatchcase(request.account.casefold(), self.account.casefold())
        )


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule struck a request."""

    rule: Rule
    service: str
    request: Request


@dataclass(slots=True)
class _Standing:
    rule: Rule
    number: int
    seen: int = 0
    struck: int = 0


class Plan:
    """The rules in force. Safe from any thread; rules may come and go while servers run."""

    def __init__(self, *rules: Rule, seed: int = 0) -> None:
        self.seed = seed
        self._changed = threading.Condition()
        self._standing: list[_Standing] = []
        self._fired: list[Fired] = []
        self._numbers = 0
        for rule in rules:
            self.add(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force, in order."""
        with self._changed:
            return tuple(standing.rule for standing in self._standing)

    @property
    def fired(self) -> tuple[Fired, ...]:
        """Everything that struck so far."""
        with self._changed:
            return tuple(self._fired)

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force, after those that are; gives it back, for `remove`."""
        with self._changed:
            self._standing.append(_Standing(rule, self._numbers))
            self._numbers += 1
        return rule

    def remove(self, rule: Rule) -> None:
        """Take a rule back; harmless if it is not there."""
        with self._changed:
            self._standing = [standing for standing in self._standing if standing.rule is not rule]

    def clear(self) -> None:
        """Take every rule back."""
        with self._changed:
            self._standing.clear()

    def wait_for_fired(self, count: int = 1, *, timeout_seconds: float = 5.0) -> tuple[Fired, ...]:
        """Block until `count` faults have struck in all; give them.

        Raises:
            TimeoutError: If they did not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._fired) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self._fired)} of {count} faults struck in {timeout_seconds} s")
            return tuple(self._fired)

    def middleware(self, service: str) -> Middleware:
        """Make what a server of that name puts between itself and its handler."""

        def strike(request: Request, handle: Handler) -> Response:
            rule = self.decide(service, request)
            return handle(request) if rule is None else apply(rule, request, handle)

        return strike

    def decide(self, service: str, request: Request) -> Rule | None:
        """Give the rule that strikes this request, if one does; counts the request as seen."""
        with self._changed:
            for standing in self._standing:
                if standing.rule.fits(service, request) and self._strikes(standing):
                    self._fired.append(Fired(standing.rule, service, request))
                    self._changed.notify_all()
                    return standing.rule
        return None

    def _strikes(self, standing: _Standing) -> bool:
        rule = standing.rule
        standing.seen += 1
        most = rule.count if rule.count is not None else (1 if rule.nth > 1 else None)
        if standing.seen < rule.nth or (most is not None and standing.struck >= most):
            return False
        # A generator of its own for each request: other rules and threads can't shift its luck.
        luck = Random(f"{self.seed}:{standing.number}:{standing.seen}").random()  # nosec B311  # noqa: S311
        if luck >= rule.probability:
            return False
        standing.struck += 1
        return True


def apply(rule: Rule, request: Request, handle: Handler) -> Response:
    """Carry out a rule on a request that it strikes."""
    return _APPLY[rule.action](rule, request, handle)


def _carried_out(rule: Rule, request: Request, handle: Handler) -> Response:
    return handle(request) if rule.when is When.AFTER else Response()


def _status(rule: Rule, request: Request, handle: Handler) -> Response:
    _carried_out(rule, request, handle)
    if rule.body is None:
        answer = json_response({"message": "a fault of the sandbox", "error": rule.status}, status=rule.status)
    else:
        answer = Response(rule.status, rule.body.encode())
    return answer.with_headers(*rule.headers.items())


def _reset(rule: Rule, request: Request, handle: Handler) -> Response:
    return replace(_carried_out(rule, request, handle), reset=True)


def _truncate(rule: Rule, request: Request, handle: Handler) -> Response:
    response = handle(request)
    return replace(response, cut_after=len(response.body) // 2 if rule.bytes is None else rule.bytes)


def _hang(rule: Rule, request: Request, handle: Handler) -> Response:
    response = _carried_out(rule, request, handle)
    return replace(response, delay_seconds=rule.seconds, reset=rule.when is When.BEFORE)


def _slow(rule: Rule, request: Request, handle: Handler) -> Response:
    return replace(handle(request), drip_seconds=rule.seconds)


def _content_type(rule: Rule, request: Request, handle: Handler) -> Response:
    return replace(handle(request), content_type=rule.content_type)


_ABSURD: dict[str, Response] = {
    "html": Response(body=b"<!doctype html><title>whoa there</title>", content_type="text/html"),
    "empty": Response(),
    "array": Response(body=b"[]"),
    "null": Response(body=b"null"),
}


def _absurd(rule: Rule, request: Request, handle: Handler) -> Response:
    _carried_out(rule, request, handle)
    body = rule.body or "html"
    if body == "huge":
        return Response(body=b'"' + b"x" * (HUGE_BYTES if rule.bytes is None else rule.bytes) + b'"')
    return _ABSURD.get(body) or Response(body=body.encode())


def _ratelimit(rule: Rule, _request: Request, _handle: Handler) -> Response:
    amount, unit = (rule.seconds / 60, "minute") if rule.seconds >= 60 else (rule.seconds, "second")
    pause = f"{amount:.0f} {unit}{'' if round(amount) == 1 else 's'}"
    text = f"Looks like you've been doing that a lot. Take a break for {pause} before trying again."
    return json_response({"json": {"ratelimit": rule.seconds, "errors": [["RATELIMIT", text, "ratelimit"]]}})


def _note(name: str) -> Callable[[Rule, Request, Handler], Response]:
    def leave(rule: Rule, request: Request, handle: Handler) -> Response:
        return handle(replace(request, notes={**request.notes, name: rule.seconds}))

    return leave


_APPLY: dict[Action, Callable[[Rule, Request, Handler], Response]] = {
    Action.STATUS: _status,
    Action.RESET: _reset,
    Action.TRUNCATE: _truncate,
    Action.HANG: _hang,
    Action.SLOW: _slow,
    Action.CONTENT_TYPE: _content_type,
    Action.ABSURD: _absurd,
    Action.RATELIMIT: _ratelimit,
    Action.LAG: _note("lag_seconds"),
    Action.REVOKE: _note("revoke_token"),
    Action.QUIRK: lambda rule, request, handle: quirks.find_quirk(rule.quirk or "")(request, handle),
}


# Reading plans


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_bytes(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

#: For each key of a rule: whether a value will do, and what would.
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "action": (lambda v: v in list(Action), "one of " + ", ".join(Action)),
    "service": (_is_text, "the name of a service, or a pattern"),
    "path": (_is_text, "a path, or a pattern such as /api/comment*"),
    "method": (lambda v: v in _METHODS, "one of " + ", ".join(_METHODS)),
    "account": (_is_text, "the name of an account, or a pattern"),
    "nth": (_is_count, "a whole number from 1"),
    "count": (_is_count, "a whole number from 1"),
    "probability": (lambda v: _is_seconds(v) and v <= 1, "a number from 0 to 1"),
    "when": (lambda v: v in list(When), "before or after"),
    "status": (lambda v: _is_count(v) and 200 <= v <= 599, "an HTTP status from 200 to 599"),
    "body": (lambda v: isinstance(v, str), "text"),
    "headers": (_is_headers, "names and values, both text"),
    "content_type": (_is_text, "a content type such as text/html"),
    "seconds": (_is_seconds, "a number of seconds"),
    "bytes": (_is_bytes, "a whole number from 0"),
    "quirk": (lambda v: v in quirks.list_quirks(), "one of " + ", ".join(quirks.list_quirks())),
}

_CONVERT: dict[str, Callable[[Any], Any]] = {"action": Action, "when": When, "seconds": float, "probability": float}


def rule_faults(values: Any) -> list[tuple[str, str]]:
    """Give what is wrong with a rule written as a mapping: pairs of key and fault, none if it is right."""
    if not isinstance(values, dict):
        return [("", "a rule is a mapping such as {service: reddit, action: reset}")]
    found = [(str(key), f"unknown key; known are {', '.join(_WANTED)}") for key in values if key not in _WANTED]
    found += [
        (key, f"{value!r} is wrong; wanted is {_WANTED[key][1]}")
        for key, value in values.items()
        if key in _WANTED and not _WANTED[key][0](value)
    ]
    if values.get("action") == Action.QUIRK and "quirk" not in values:
        found.append(("quirk", "is missing; wanted is " + _WANTED["quirk"][1]))
    if "action" not in values:
        found.append(("action", "is missing; wanted is " + _WANTED["action"][1]))
    return found


def parse_rule(values: Any) -> Rule:
    """Make a rule of a mapping, as YAML and JSON give it.

    Raises:
        ConfigError: With everything that is wrong with it.
    """
    if found := rule_faults(values):
        raise ConfigError("\n".join(f"{key or 'rule'}: {fault}" for key, fault in found))
    return Rule(**{key: _CONVERT.get(key, lambda v: v)(value) for key, value in values.items()})


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """Give a rule as `parse_rule` takes it."""
    given = {f.name: getattr(rule, f.name) for f in fields(rule)}
    return {key: value for key, value in given.items() if value is not None and value != {}}


def load_plan(path: Path) -> Plan:
    """Read a plan from a YAML file.

    Raises:
        ConfigError: With every fault as `FILE:LINE: key.path: what is wrong`.
    """
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: {getattr(exc, 'problem', exc)}") from exc
    return _plan_of(path, root)


def _plan_of(path: Path, root: yaml.Node | None) -> Plan:
    if root is None:
        return Plan()
    found: list[str] = []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:{_line(root)}: a plan is a mapping with the keys seed and faults")
    top = {str(key.value): (key, value) for key, value in root.value}
    for name, (key, _) in top.items():
        if name not in ("seed", "faults"):
            found.append(f"{path}:{_line(key)}: {name}: unknown key; known are seed, faults")
    seed = _seed(path, top.get("seed"), found)
    rules = _rules(path, top.get("faults"), found)
    if found:
        raise ConfigError("\n".join(found))
    return Plan(*rules, seed=seed)


def _seed(path: Path, entry: tuple[yaml.Node, yaml.Node] | None, found: list[str]) -> int:
    value = _value(entry[1]) if entry else 0
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if entry:
        found.append(f"{path}:{_line(entry[1])}: seed: {value!r} is wrong; wanted is a whole number")
    return 0


def _rules(path: Path, entry: tuple[yaml.Node, yaml.Node] | None, found: list[str]) -> list[Rule]:
    if entry is None:
        return []
    if not isinstance(entry[1], yaml.SequenceNode):
        found.append(f"{path}:{_line(entry[1])}: faults: wanted is a list of rules")
        return []
    rules = []
    for number, node in enumerate(entry[1].value):
        values = _value(node)
        faults = rule_faults(values)
        for key, fault in faults:
            where = f"faults[{number}].{key}" if key else f"faults[{number}]"
            found.append(f"{path}:{_line_of_key(node, key)}: {where}: {fault}")
        if not faults:
            rules.append(parse_rule(values))
    return rules


def _value(node: yaml.Node) -> Any:
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_document(node)
    except yaml.YAMLError:
        return None  # an unhashable key, an unknown tag: no value that anything wants


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _line_of_key(node: yaml.Node, key: str) -> int:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((_line(name) for name, _ in pairs if name.value == key), _line(node))
