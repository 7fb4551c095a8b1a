"""Time and chance, from outside: the only module that calls `time` and `random`.

Whatever decides takes a `Clock` (and a `random.Random`) as an argument, so that a test or a
simulator can run it through a year in one process.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the cores know of time."""

    def monotonic(self) -> float:
        """Give seconds that never jump, suspend included where the system counts it."""
        ...

    def now(self) -> datetime:
        """Give the wall clock as an aware UTC datetime; it may jump."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        # BOOTTIME counts a suspended laptop's night, MONOTONIC does not (clock_gettime(2)).
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pause(self, seconds: float) -> None:
        """Block this thread; for programs on a terminal only."""
        time.sleep(seconds)


class AwakeClock(SystemClock):
    """The machine's clock, with a night's sleep left out of `monotonic`: as select(2) and asyncio count time.

    For timers and signs of life. With the other, everybody would seem silent in the moment of waking up.
    """

    def monotonic(self) -> float:
        return time.monotonic()


def read_monotonic_microseconds() -> int:
    """Give CLOCK_MONOTONIC, the clock in which systemd wants a reload's beginning (sd_notify(3))."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def fresh_random() -> random.Random:
    """Give a generator seeded by the system; for jitter, never for decisions about items."""
    return random.Random()  # nosec B311  # noqa: S311 - jitter is no secret
