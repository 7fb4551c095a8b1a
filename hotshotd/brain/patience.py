"""How often a service or the platform is asked again after a passing failure, and when it is given up.

Waits are long enough that a bot sends a failing service at most six requests a minute; the breakers that all bots share
see to the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hotshotd.backoff import Backoff
from hotshotd.brain.ports import BrainClock
from hotshotd.errors import (
    BreakerOpen,
    Down,
    HotshotError,
    InferenceNonsense,
    InferenceUnavailable,
    QuotaUnavailable,
    Retry,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How many tries a call has, and the pause before the second one, doubling up to the cap."""

    tries: int
    first_pause_seconds: float
    longest_pause_seconds: float


#: A text: about two minutes in all.
TEXT = Patience(tries=5, first_pause_seconds=10.0, longest_pause_seconds=60.0)
#: A ranker: three more tries within a minute.
RANK = Patience(tries=4, first_pause_seconds=10.0, longest_pause_seconds=20.0)
#: A moderator: it is free, and what it judges is paid for already.
MODERATION = Patience(tries=5, first_pause_seconds=5.0, longest_pause_seconds=30.0)
#: Reads of the platform.
READ = Patience(tries=6, first_pause_seconds=2.0, longest_pause_seconds=60.0)

#: What a passing failure is, and how many tries it is worth at most.
_PASSING: dict[type[HotshotError], int] = {
    InferenceUnavailable: 99,
    QuotaUnavailable: 99,
    BreakerOpen: 99,
    Retry: 99,
    Down: 99,
    # An answer of the wrong shape seldom gets better, and it may have been paid for.
    InferenceNonsense: 2,
}


async def ask_patiently(
    call: Callable[[], Awaitable[T]],
    patience: Patience,
    clock: BrainClock,
    *,
    deadline: float,
    on_failure: Callable[[HotshotError], None],
) -> T:
    """Call until it works, the tries are used up, or the next one would be past the deadline.

    Raises what the last try raised.
    """
    pauses = Backoff(patience.first_pause_seconds, patience.longest_pause_seconds)
    failures = 0
    while True:
        try:
            return await call()
        except tuple(_PASSING) as exc:
            failures += 1
            on_failure(exc)
            pause = max(pauses.compute_ceiling(failures), _get_wish(exc))
            used_up = failures >= min(patience.tries, _PASSING[type(exc)])
            if used_up or _is_gone(exc) or clock.monotonic() + pause > deadline:
                raise
            await clock.sleep(pause)


def _get_wish(exc: HotshotError) -> float:
    """Give the seconds that a failure itself asks to wait."""
    wish = exc.after if isinstance(exc, Retry) else getattr(exc, "retry_after", None)
    return float(wish) if wish else 0.0


def _is_gone(exc: HotshotError) -> bool:
    return isinstance(exc, BreakerOpen) and exc.gone
