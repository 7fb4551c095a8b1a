"""How long services took to answer, by name, as a histogram. Pure.

Counted since the quota process began; the supervisor joins one life to the next.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

#: Upper bounds of the buckets, in seconds: a moderator takes tenths of one, a picture minutes.
BOUNDS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class TimingFigures:
    """One service: answers (refusals and time-outs are answers, too) in each bucket and past the last, and all seconds.

    `counts` has one entry more than `BOUNDS_SECONDS`; an answer is in one entry only.
    """

    service: str
    counts: tuple[int, ...]
    seconds: float


@dataclass(slots=True)
class _Timing:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    seconds: float = 0.0


class Timings:
    """Waits for answers, by service."""

    def __init__(self) -> None:
        self._timings: dict[str, _Timing] = {}

    def add(self, service: str, seconds: float) -> None:
        """Count one answer that was waited for so long."""
        timing = self._timings.setdefault(service, _Timing())
        timing.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        timing.seconds += seconds

    def compute_figures(self) -> list[TimingFigures]:
        """Give one line a service, by name."""
        return [
            TimingFigures(service, tuple(timing.counts), timing.seconds)
            for service, timing in sorted(self._timings.items())
        ]
