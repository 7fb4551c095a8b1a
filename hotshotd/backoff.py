"""Capped exponential delay with full jitter, as a pure function."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `base_seconds` to `cap_seconds`."""

    base_seconds: float
    cap_seconds: float

    def compute_ceiling(self, failures: int) -> float:
        """Give the longest delay after `failures` failures in a row (1 is the first)."""
        # min() on the exponent: 2**2000 is an int that no float can hold.
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(max(failures, 1) - 1, 60))

    def compute_delay(self, failures: int, chance: random.Random) -> float:
        """Give a delay in (0, ceiling], drawn evenly ("full jitter", AWS architecture blog 2015).

        A tenth of the base is the least, so that a draw near zero is no hot loop.
        """
        ceiling = self.compute_ceiling(failures)
        return max(self.base_seconds / 10, ceiling * chance.random())
