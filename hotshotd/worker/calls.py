"""Blocking calls taken off the worker's loop, each with a limit after which the worker counts as stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from itertools import count
from typing import TypeVar

from hotshotd.clock import Clock
from hotshotd.inference.base import (
    Candidates,
    Captioner,
    Judgement,
    Moderator,
    Painter,
    Picture,
    Prompt,
    Ranker,
    TextModel,
    TopicModel,
    Upscaler,
)
from hotshotd.inference.upscale import make_postable

T = TypeVar("T")

#: Seconds past its limit after which a call is taken to hang for ever: no thread can be ended from outside.
SLACK_SECONDS = 30.0
#: Limits by what is asked: connecting and reading, a knock and a second request after a refusal included; seconds.
TEXT_SECONDS = 385.0
SMALL_SECONDS = 80.0
LOCAL_SECONDS = 10.0
#: A picture: made, fetched, and by AI Horde's volunteers.
PICTURE_SECONDS = 700.0


class Calls:
    """A few threads for calls that block. Made in the worker, after the fork; threads start when they are needed."""

    def __init__(self, clock: Clock, *, threads: int) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="call")
        self._numbers = count()
        self._deadlines: dict[int, float] = {}

    async def run(self, call: Callable[[], T], *, limit_seconds: float) -> T:
        """Run a call in a thread. Cancelling the caller drops the answer; the call itself goes on to its end."""
        number = next(self._numbers)

        def run() -> T:
            # From here, not from when it was queued: waiting for a thread is no hanging.
            self._deadlines[number] = self._clock.monotonic() + limit_seconds
            try:
                return call()
            finally:
                self._deadlines.pop(number, None)

        # With the caller's context: what a request is charged goes on the bill of the work that asked for it.
        return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, run)

    def close(self) -> None:
        """End the threads; waits for calls under way."""
        self._pool.shutdown(wait=True)

    def is_stuck(self) -> bool:
        """Tell whether a call is past its limit by more than the slack."""
        now = self._clock.monotonic()
        return any(now > deadline + SLACK_SECONDS for deadline in list(self._deadlines.values()))


class OffLoopText:
    """A text model with an asynchronous face, made when it is first asked: an idle bot does without."""

    def __init__(self, name: str, make: Callable[[], TextModel], calls: Calls, *, metered: bool) -> None:
        self.name = name
        self.metered = metered
        self._make = cache(make)
        self._calls = calls

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        return await self._calls.run(
            lambda: self._make().generate(prompt, limit_seconds=limit_seconds), limit_seconds=TEXT_SECONDS
        )


class OffLoopRanker:
    """A ranker with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Ranker], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def score(self, context: Sequence[str], reply: str) -> float:
        return await self._calls.run(lambda: self._make().score(context, reply), limit_seconds=SMALL_SECONDS)


class OffLoopModerator:
    """A moderator with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Moderator], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def judge(self, text: str) -> Judgement:
        return await self._calls.run(lambda: self._make().judge(text), limit_seconds=SMALL_SECONDS)


class OffLoopTopics:
    """A topic model with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], TopicModel], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def classify(self, text: str, labels: Sequence[str]) -> dict[str, float]:
        return await self._calls.run(lambda: self._make().classify(text, labels), limit_seconds=TEXT_SECONDS)


class OffLoopCaptioner:
    """A captioner with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Captioner], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def describe(self, url: str) -> str:
        return await self._calls.run(lambda: self._make().describe(url), limit_seconds=PICTURE_SECONDS)


class OffLoopPainter:
    """A painter with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Painter], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def paint(self, prompt: str) -> Picture:
        return await self._calls.run(lambda: make_postable(self._make().paint(prompt)), limit_seconds=PICTURE_SECONDS)


class OffLoopUpscaler:
    """An upscaler with an asynchronous face, made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Upscaler], calls: Calls) -> None:
        self.name = name
        self._make = cache(make)
        self._calls = calls

    async def enlarge(self, picture: Picture) -> Picture:
        return await self._calls.run(
            lambda: make_postable(self._make().enlarge(picture)), limit_seconds=PICTURE_SECONDS
        )
