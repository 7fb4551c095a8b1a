"""One reading of both clocks, so that everything within an event sees the same time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hotshotd.clock import Clock


@dataclass(frozen=True, slots=True)
class Moment:
    """When an event happens: `now` is aware and may jump, `monotonic` is in seconds and never does."""

    now: datetime
    monotonic: float

    def translate(self, monotonic: float) -> datetime:
        """Give the wall time that a monotonic time will have if the wall clock does not jump."""
        return self.now + timedelta(seconds=monotonic - self.monotonic)


def read(clock: Clock) -> Moment:
    """Read both clocks once."""
    return Moment(now=clock.now(), monotonic=clock.monotonic())
