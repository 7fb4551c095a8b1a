"""What the brain is given: services with an asynchronous face, a clock that can be slept on, and a place for news.

A worker puts threads behind them, a simulator a virtual clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hotshotd._types import Role
from hotshotd.inference.base import Candidates, Judgement, Picture, Prompt


class BrainClock(Protocol):
    """Time as the brain sees it."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime: ...

    async def sleep(self, seconds: float) -> None: ...


class AsyncText(Protocol):
    """A `TextModel`, asynchronous; `metered` says whether its characters count against the budget."""

    name: str
    metered: bool

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates: ...


class AsyncRanker(Protocol):
    """A `Ranker`, asynchronous."""

    name: str

    async def score(self, context: Sequence[str], reply: str) -> float: ...


class AsyncModerator(Protocol):
    """A `Moderator`, asynchronous."""

    name: str

    async def judge(self, text: str) -> Judgement: ...


class AsyncTopics(Protocol):
    """A `TopicModel`, asynchronous."""

    name: str

    async def classify(self, text: str, labels: Sequence[str]) -> dict[str, float]: ...


class AsyncCaptioner(Protocol):
    """A `Captioner`, asynchronous."""

    name: str

    async def describe(self, url: str) -> str: ...


class AsyncPainter(Protocol):
    """A `Painter`, asynchronous."""

    name: str

    async def paint(self, prompt: str) -> Picture: ...


class AsyncUpscaler(Protocol):
    """An `Upscaler`, asynchronous."""

    name: str

    async def enlarge(self, picture: Picture) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Faculties:
    """The services of one bot; None where it has none.

    `incoming` are the moderators that look at what people wrote: those that send nothing anywhere. `post_chats` and
    `reply_chats` say that a model is a chat model, and so takes messages.
    """

    reply: AsyncText | None
    post: AsyncText | None
    gate: AsyncRanker | None
    rank: AsyncRanker | None
    moderators: tuple[AsyncModerator, ...]
    post_chats: bool = False
    reply_chats: bool = False
    incoming: tuple[AsyncModerator, ...] = ()
    topics: AsyncTopics | None = None
    caption: AsyncCaptioner | None = None
    paint: AsyncPainter | None = None
    upscale: AsyncUpscaler | None = None


class News(Protocol):
    """Where the brain tells what it did: the worker's counters, log and last error."""

    def count(self, what: str) -> None:
        """Count one of `submissions` and `comments` (read), `posts` and `replies` (written)."""
        ...

    def trouble(self, message: str) -> None:
        """Keep a message as the bot's last error."""
        ...

    def degraded(self, role: Role, *, why: str | None) -> None:
        """Say that a role goes without its service, and why; None: it has it again."""
        ...

    def forbidden(self, place: str) -> None:
        """Say that a place answered a write with 403."""
        ...

    def event(self, event: str, **facts: object) -> None:
        """Log an event of the contract, at level info."""
        ...
