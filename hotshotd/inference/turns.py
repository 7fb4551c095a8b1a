"""Who may go when: requests to one server kept apart, because it counts those of an address. Pure but for a lock."""

from __future__ import annotations

import threading


class Turns:
    """For each name, at most one turn in so many seconds. Thread-safe; blocks nobody."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, name: str, *, gap_seconds: float, now: float) -> float:
        """Take the next free turn, and give the seconds until it. `now` is monotonic."""
        with self._lock:
            at = max(now, self._free_at.get(name, now))
            self._free_at[name] = at + gap_seconds
            return at - now
