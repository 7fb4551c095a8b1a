"""What a seed means: which faults are in force when, and what is done to the daemon when. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaoslib.cast import LAG_SECONDS
from hotshotd.sandbox.faults import Action, Rule, When

#: Models whose answers are texts.
_TEXT_MODELS = ("chaos/poster*", "chaos/hf*")

_TOXIC = "You stupid idiot, shut up and go away from my pond."


class Deed(StrEnum):
    """What is done to the daemon."""

    KILL_WORKER = "kill worker"
    KILL_QUOTA = "kill quota process"
    KILL_SUPERVISOR = "kill supervisor"
    KILL_EVERYBODY = "kill everybody"
    STOP_WORKER = "stop worker"
    STOP_QUOTA = "stop quota process"
    STOP_SUPERVISOR = "stop supervisor"
    PAUSE = "pause"
    RELOAD = "reload changed file"
    RELOAD_BROKEN = "reload broken file"
    RELOAD_BROKEN_MAIN = "reload broken main file"
    REMOVE = "remove a bot and bring it back"
    RESTART = "restart bot"
    CLOCK = "clock step"
    MIDNIGHT = "clock past midnight and back"
    DISK = "full disk"
    BAN = "ban"
    SUSPEND = "suspend"


KILLS = frozenset({Deed.KILL_WORKER, Deed.KILL_QUOTA, Deed.KILL_SUPERVISOR, Deed.KILL_EVERYBODY})


@dataclass(frozen=True, slots=True)
class Act:
    """One deed: `at` and `seconds` in seconds of the run, `luck` in [0, 1) for what else has to be chosen."""

    at: float
    deed: Deed
    bot: str
    seconds: float
    luck: float


@dataclass(frozen=True, slots=True)
class Weather:
    """Faults in force from `begin` to `end`."""

    begin: float
    end: float
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of a run."""

    weather: tuple[Weather, ...]
    acts: tuple[Act, ...]


# --- faults -----------------------------------------------------------------------------------------

_READS = ("/r/*", "/message/*", "/user/*", "/comments/*")
_WRITES = ("/api/comment*", "/api/submit*")
_UPLOADS = ("/api/media*", "/__s3*")
_LISTINGS = ("/r/*", "/message/*", "/user/*")


def _draw_absurd(chance: random.Random) -> Rule:
    body = chance.choice(("html", "empty", "array", "null", "huge", '{"json": 7}', '{"data": {"children": 3}}'))
    return Rule(Action.ABSURD, body=body, bytes=1_500_000 if body == "huge" else None, when=_when(chance))


def _when(chance: random.Random) -> When:
    return chance.choice((When.BEFORE, When.AFTER))


def _draw_reddit(chance: random.Random) -> Rule:
    paths: Sequence[str] = chance.choice((_READS, _WRITES, _WRITES, _UPLOADS))
    if chance.random() < 0.4:
        return replace(_draw_reddits_own(chance), service="reddit")
    return replace(_draw_anywhere(chance), service="reddit", path=chance.choice(tuple(paths)))


def _draw_reddits_own(chance: random.Random) -> Rule:
    """What Reddit alone does, and where."""
    makers: tuple[Callable[[], Rule], ...] = (
        lambda: Rule(Action.RATELIMIT, seconds=chance.choice((1.0, 3.0, 6.0)), path=chance.choice(_WRITES)),
        lambda: Rule(Action.RESET, when=When.AFTER, path=chance.choice(_WRITES)),
        lambda: Rule(Action.LAG, seconds=LAG_SECONDS, path=chance.choice(_LISTINGS)),
        lambda: Rule(Action.REVOKE, path=chance.choice((*_READS, *_WRITES))),
        lambda: Rule(Action.STATUS, status=503, path="/api/v1/access_token*"),
    )
    return chance.choice(makers)()


def _draw_anywhere(chance: random.Random) -> Rule:
    """What every server can do, Reddit and services alike."""
    makers: tuple[Callable[[], Rule], ...] = (
        lambda: Rule(Action.STATUS, status=chance.choice((500, 502, 503, 504)), when=_when(chance)),
        lambda: Rule(Action.STATUS, status=429, headers={"retry-after": "2"}),
        lambda: Rule(Action.RESET, when=_when(chance)),
        lambda: Rule(Action.SLOW, seconds=chance.choice((1.0, 4.0))),
        lambda: Rule(Action.TRUNCATE, bytes=chance.choice((None, 0, 1))),
        lambda: Rule(Action.CONTENT_TYPE, content_type="text/html"),
        lambda: _draw_absurd(chance),
    )
    return chance.choice(makers)()


_SERVICES: tuple[tuple[str, str], ...] = (
    ("openai", "/v1/chat/completions"),
    ("openai", "/v1/completions"),
    ("openai", "/v1/moderations"),
    ("openai", "/v1/moderations"),
    ("openai", "/v1/images/*"),
    ("hf", "*chaos*"),
    ("hf", "*DialogRPT*"),
    ("perspective", "*"),
)


def _draw_service(chance: random.Random) -> Rule:
    if chance.random() < 0.2:
        return _draw_toxic(chance)
    service, path = chance.choice(_SERVICES)
    return replace(_draw_anywhere(chance), service=service, path=path)


def _draw_toxic(chance: random.Random) -> Rule:
    chat = {"choices": [{"index": 0, "message": {"role": "assistant", "content": _TOXIC}, "finish_reason": "stop"}]}
    post = f"Title: Shut up, you idiot\n\n{_TOXIC}"
    chat_post = {"choices": [{"index": 0, "message": {"role": "assistant", "content": post}, "finish_reason": "stop"}]}
    ssi = f"<|sot|>Shut up, you idiot<|eot|><|sost|>{_TOXIC}<|eost|><|eoss|>"
    ways = (
        ("openai", "/v1/chat/completions", chat),
        ("openai", "/v1/chat/completions", chat_post),
        ("openai", "/v1/completions", {"choices": [{"index": 0, "text": f" {_TOXIC}", "finish_reason": "stop"}]}),
        ("hf", f"*{_TEXT_MODELS[0]}", [{"generated_text": ssi}]),
        ("hf", f"*{_TEXT_MODELS[1]}", [{"generated_text": f" {_TOXIC}"}]),
    )
    service, path, body = chance.choice(ways)
    return Rule(Action.ABSURD, service=service, path=path, body=json.dumps(body))


def _draw_hang(chance: random.Random) -> Rule:
    """A few answers that never come: each holds a call for its whole limit."""
    service, path = chance.choice((("reddit", "/api/comment*"), ("reddit", "/r/*"), ("openai", "/v1/moderations")))
    return Rule(Action.HANG, service=service, path=path, seconds=33.0, when=_when(chance), count=2)


def _draw_weather(chance: random.Random, begin: float, end: float) -> Weather:
    rules = []
    for _ in range(chance.randint(9, 16)):
        rule = _draw_reddit(chance) if chance.random() < 0.6 else _draw_service(chance)
        rules.append(_with_probability(rule, chance.choice((0.15, 0.3, 0.5, 0.8))))
    rules = _revoke_once(rules)
    # Last: what is always so, more or less, and strikes where nothing worse does.
    rules += [
        Rule(
            Action.LAG,
            seconds=LAG_SECONDS,
            service="reddit",
            path="/[rmu]*",
            probability=chance.choice((0.1, 0.4, 0.7)),
        ),
        Rule(Action.SLOW, seconds=0.3, probability=chance.choice((0.02, 0.1))),
    ]
    if end - begin > 6 and chance.random() < 0.15:
        rules.insert(0, _draw_hang(chance))
    if chance.random() < 0.25:
        # One bot's first model is gone for good; it has another.
        gone = Rule(Action.STATUS, status=chance.choice((401, 402, 404)), account="stoic")
        rules.append(replace(gone, service="openai", path="/v1/chat*"))
    return Weather(begin, end, tuple(rules))


def _revoke_once(rules: list[Rule]) -> list[Rule]:
    """Let a token be revoked once: one that is revoked again when it is new stands for an account that is refused."""
    revoking = [rule for rule in rules if rule.action is Action.REVOKE]
    others = [rule for rule in rules if rule.action is not Action.REVOKE]
    return [*(replace(rule, count=1) for rule in revoking[:1]), *others]


def _with_probability(rule: Rule, probability: float) -> Rule:
    return replace(rule, probability=probability)


# --- deeds ------------------------------------------------------------------------------------------

#: Deed, how often among its like, and the shortest and longest time that it lasts, in seconds.
_BLOWS: tuple[tuple[Deed, int, float, float], ...] = (
    (Deed.KILL_WORKER, 58, 0, 0),
    (Deed.KILL_QUOTA, 24, 0, 0),
    (Deed.KILL_SUPERVISOR, 12, 0.1, 1.5),
    (Deed.KILL_EVERYBODY, 6, 0.1, 1.5),
)
_STOPS: tuple[tuple[Deed, int, float, float], ...] = (
    (Deed.STOP_WORKER, 10, 1, 12),
    (Deed.STOP_QUOTA, 8, 1, 8),
    (Deed.STOP_SUPERVISOR, 6, 1, 8),
)
_WISHES: tuple[tuple[Deed, int, float, float], ...] = (
    (Deed.PAUSE, 12, 2, 8),
    (Deed.RELOAD, 8, 0, 0),
    (Deed.RELOAD_BROKEN, 6, 1, 4),
    (Deed.RELOAD_BROKEN_MAIN, 4, 1, 4),
    (Deed.REMOVE, 4, 2, 6),
    (Deed.RESTART, 4, 0, 0),
)
_WORLDS: tuple[tuple[Deed, int, float, float], ...] = (
    (Deed.CLOCK, 8, 3, 20),
    (Deed.DISK, 8, 3, 10),
    (Deed.BAN, 4, 4, 12),
    (Deed.SUSPEND, 4, 4, 12),
)

#: Mean seconds between two of each kind.
_GAPS: tuple[tuple[tuple[tuple[Deed, int, float, float], ...], float], ...] = (
    (_BLOWS, 4.5),
    (_STOPS, 11.0),
    (_WISHES, 13.0),
    (_WORLDS, 22.0),
)

#: Seconds at the start in which nobody is struck.
CALM_SECONDS = 3.0


def draw_plan(seed: int, *, seconds: float, bots: Sequence[str], kills: bool) -> Plan:
    """Draw the whole plan of a run. Without `kills` nothing is done to processes, only faults and wishes remain."""
    return Plan(_draw_sky(random.Random(f"weather {seed}"), seconds), _draw_acts(seed, seconds, bots, kills=kills))


def _draw_sky(chance: random.Random, seconds: float) -> tuple[Weather, ...]:
    sky, begin = [], CALM_SECONDS
    while begin < seconds:
        end = min(seconds, begin + chance.uniform(3.0, 12.0))
        sky.append(_draw_weather(chance, begin, end))
        # Between two storms something gets through.
        begin = end + chance.uniform(0.5, 3.0)
    return tuple(sky)


def _draw_acts(seed: int, seconds: float, bots: Sequence[str], *, kills: bool) -> tuple[Act, ...]:
    acts: list[Act] = []
    tables = _GAPS if kills else ((((Deed.PAUSE, 1, 2, 8),), 40.0),)
    for number, (table, gap) in enumerate(tables):
        chance = random.Random(f"deeds {seed} {number}")
        at = CALM_SECONDS + chance.uniform(0, gap)
        while at < seconds - 2:
            deed, _, shortest, longest = chance.choices(table, [row[1] for row in table])[0]
            lasts = chance.uniform(shortest, longest)
            acts.append(Act(at, deed, chance.choice(list(bots)), lasts, chance.random()))
            at += max(0.5, chance.expovariate(1 / gap)) + (lasts if table is _WORLDS else 0)
    if kills and seconds >= 180:
        acts += _draw_rare(random.Random(f"rare {seed}"), seconds, bots)
    return tuple(sorted(acts, key=lambda act: (act.at, act.deed)))


def _draw_rare(chance: random.Random, seconds: float, bots: Sequence[str]) -> list[Act]:
    """What takes long, or can happen once a run: a new day, and a worker that is silent until it is replaced."""
    silent = [
        Act(at, Deed.STOP_WORKER, chance.choice(list(bots)), 36.0, chance.random())
        for at in (seconds * 0.3, seconds * 0.7)
        if seconds >= 300
    ]
    return [Act(seconds * chance.uniform(0.5, 0.6), Deed.MIDNIGHT, bots[0], 15.0, chance.random()), *silent]
