"""Reddit's pace, shared by all bots of one client id. Pure: no I/O, no clock, no chance.

Reddit allows 100 requests a minute over ten minutes: 1000 in a window, bursts inside it are fine. What its headers say
wins over our own count. 5 % of a window is kept for writes; of the rest each bot has a small floor
that melts over the window, so that one which reads its whole history at a start can't lock out the others.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field

from hotshotd._types import BotName
from hotshotd.admission import RateHeaders
from hotshotd.quota.fairness import Member, compute_left

#: Reddit's window as long as no header says otherwise.
WINDOW_SECONDS = 600.0
WINDOW_REQUESTS = 1000

#: The part of a window that only writes may use.
WRITE_SHARE = 0.05

#: The part of a window that is set aside as floors of its bots.
FLOOR_SHARE = 0.25

#: A request without a response for so long is no longer counted as on its way, in seconds.
FLIGHT_SECONDS = 30.0

#: How soon a bot may ask again that only its neighbours' floors hold back, in seconds.
FLOOR_WAIT_SECONDS = 5.0


@dataclass(slots=True)
class _Window:
    """One client id. `left` already excludes what is on its way; times are monotonic."""

    limit: int = WINDOW_REQUESTS
    left: int = WINDOW_REQUESTS
    ends_at: float | None = None
    header_used: float = -1.0
    flights: deque[float] = field(default_factory=deque)
    used: dict[BotName, int] = field(default_factory=dict)
    #: Requests a second that each bot would like to make by polling.
    demands: dict[BotName, float] = field(default_factory=dict)

    @property
    def kept_for_writes(self) -> int:
        return int(self.limit * WRITE_SHARE)


class Rates:
    """The windows of all client ids. Not thread-safe; nothing blocks."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def join(self, client: str, bot: BotName) -> None:
        """Count `bot` among those that share `client`."""
        self._windows.setdefault(client, _Window()).used.setdefault(bot, 0)

    def leave(self, client: str, bot: BotName) -> None:
        """Count `bot` no longer; what it used of the window stays used."""
        window = self._windows.get(client)
        if window is not None:
            window.used.pop(bot, None)
            window.demands.pop(bot, None)

    def acquire(self, client: str, bot: BotName, *, write: bool, monotonic: float) -> float:
        """Take one request and give 0.0, or take nothing and give the seconds after which to ask again."""
        window = self._open(client, monotonic)
        if window.ends_at is None:
            window.ends_at = monotonic + WINDOW_SECONDS
        wait = 0.0 if write and window.left >= 1 else _compute_wait(window, bot, write=write, monotonic=monotonic)
        if wait == 0.0:
            window.left -= 1
            window.flights.append(monotonic)
            window.used[bot] = window.used.get(bot, 0) + 1
        return wait

    def observe(self, client: str, bot: BotName, headers: RateHeaders, *, monotonic: float) -> None:
        """Take over what Reddit said after a response to `bot`."""
        window = self._open(client, monotonic)
        window.used.setdefault(bot, 0)
        if window.flights:
            window.flights.popleft()
        ends_at = monotonic + headers.reset_seconds
        same = window.ends_at is not None and abs(ends_at - window.ends_at) < WINDOW_SECONDS / 20
        if same and headers.used < window.header_used:
            return  # a response that was overtaken by a newer one
        window.header_used = headers.used
        window.ends_at = ends_at
        window.limit = max(1, round(headers.used + headers.remaining))
        window.left = int(headers.remaining) - len(window.flights)

    def stretch(
        self, client: str, bot: BotName, *, interval_seconds: float, requests_per_poll: int, monotonic: float
    ) -> float:
        """Give the seconds to `bot`'s next poll: all polls are stretched alike until their sum fits what is left."""
        window = self._open(client, monotonic)
        window.demands[bot] = requests_per_poll / max(interval_seconds, 0.001)
        demand = sum(window.demands.values())
        usual = max(1.0, demand / ((window.limit - window.kept_for_writes) / WINDOW_SECONDS))
        if window.ends_at is None:
            return interval_seconds * usual
        to_end = window.ends_at - monotonic
        supply = max(0, window.left - window.kept_for_writes) / to_end
        # At the latest in the next window, each bot at another time of it.
        latest = to_end + interval_seconds * usual * (zlib.crc32(bot.encode()) / 2**32)
        if supply <= 0:
            return max(interval_seconds, latest)
        fitting = interval_seconds * max(1.0, demand / supply)
        return max(interval_seconds, min(fitting, max(latest, interval_seconds * usual)))

    def compute_left(self, *, monotonic: float) -> dict[str, int]:
        """Give the requests that are left in each client id's window, those on their way taken off."""
        used = [client for client, window in self._windows.items() if window.used]
        return {client: max(0, self._open(client, monotonic).left) for client in sorted(used)}

    def _open(self, client: str, monotonic: float) -> _Window:
        """Give the window of now; one that is over is followed by a full one, which the next request begins."""
        window = self._windows.setdefault(client, _Window())
        while window.flights and window.flights[0] <= monotonic - FLIGHT_SECONDS:
            window.flights.popleft()
        if window.ends_at is not None and monotonic >= window.ends_at:
            window.ends_at = None
            window.header_used = -1.0
            window.left = window.limit - len(window.flights)
            window.used = dict.fromkeys(window.used, 0)
        return window


def _compute_wait(window: _Window, bot: BotName, *, write: bool, monotonic: float) -> float:
    ends_at = monotonic + WINDOW_SECONDS if window.ends_at is None else window.ends_at
    to_end = max(0.1, ends_at - monotonic)
    free = window.left - window.kept_for_writes
    if write or free < 1:
        return to_end
    if free - FLOOR_SHARE * (window.limit - window.kept_for_writes) >= 1:
        return 0.0  # more is left than all floors together
    members: dict[str, Member] = {name: Member(used=used, limit=None) for name, used in window.used.items()}
    gone = min(1.0, max(0.0, 1.0 - to_end / WINDOW_SECONDS))
    left = compute_left(bot, members, cap=free, total=0, gone=gone, share=_floor_share(window, free))
    return 0.0 if left >= 1 else min(to_end, FLOOR_WAIT_SECONDS)


def _floor_share(window: _Window, free: int) -> float:
    # Floors are parts of the whole window, not of what is left of it.
    return FLOOR_SHARE * (window.limit - window.kept_for_writes) / free
