"""What a bot was seen to do, and what it owes; for `promises` and `excuses`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hotshotd.admission import Ask
from hotshotd.brain.verdict import Why
from hotshotd.config.schema import BotConfig
from hotshotd.platform import Item, Kind, Reason, Ref

#: A word that operators do not want, neither from people nor from models.
KEYWORD = "unspeakable"
#: What people say who want no answers.
STOP = "stop"

#: Replies of a bot that are remembered for its limits.
_REPLIES_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, for a bot's limits: when by the machine's clock and by Reddit's, where, and to whom."""

    wall: datetime
    true: datetime
    thread: Ref
    author: str


@dataclass(slots=True)
class Spoken:
    """What one bot was seen to do."""

    config: BotConfig
    passed: dict[str, set[str]] = field(default_factory=dict)
    slots: dict[str, Ref] = field(default_factory=dict)
    answered: dict[Ref, Ref] = field(default_factory=dict)
    replies: deque[Reply] = field(default_factory=lambda: deque(maxlen=_REPLIES_KEPT))
    #: Who was blocked, and who has said stop to the bot.
    opted_out: set[str] = field(default_factory=set)
    said_stop: set[str] = field(default_factory=set)
    #: Since when it is at work, in seconds from the start; None while it is not.
    working_since: float | None = None
    polled: float = 0.0


@dataclass(slots=True)
class Due:
    """A thing that must be answered, or must end for a documented reason."""

    item: Item
    deadline: float
    made_at: float
    #: How often each hopeless cause had been seen before it.
    before: dict[Why, int]


@dataclass(slots=True)
class Life:
    """What one worker process was given and has ended, and how many of its writes were forbidden."""

    bot: str
    open: dict[Ref, tuple[float, Item]] = field(default_factory=dict)
    done: set[Ref] = field(default_factory=set)
    forbidden: int = 0


def name_model(ask: Ask) -> str:
    """Name what has a breaker of its own."""
    return f"{ask.service} {ask.model}"


def is_forced(item: Item, reason: Reason, config: BotConfig) -> bool:
    assert config.reply is not None
    at_home = item.place.casefold() in {name.casefold() for name in config.reddit.subreddits}
    if reason is Reason.MENTION:
        return at_home
    return at_home and reason is Reason.POST_REPLY and config.reply.force_top_level and item.kind is Kind.COMMENT


def thread_of(item: Item) -> Ref:
    return item.submission or item.ref


def is_said_to(name: str, item: Item, above: Sequence[Item]) -> bool:
    return f"u/{name}" in item.text or any(it.author is not None and it.author.name == name for it in above)


def is_by(item: Item, author: str) -> bool:
    return item.author is not None and item.author.key == author
