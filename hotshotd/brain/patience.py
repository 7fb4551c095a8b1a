"""How often a service or the platform is asked again after a passing failure, and when it is given up.

Waits are long enough that a bot sends a failing service at most six requests a minute; the breakers that all bots share
see to the rest. None is longer than half a minute, for a bot is back at work within one after the fault has ended, and
what waits here holds the place of what comes after it. Where it was the breaker or the quota process that said no,
nothing was sent: that is no try, and they are asked again as soon as they allow.
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

    def compute_pause(self, failures: int) -> float:
        """Give the pause after `failures` failures, in seconds."""
        return Backoff(self.first_pause_seconds, self.longest_pause_seconds).compute_ceiling(failures)

    @property
    def total_seconds(self) -> float:
        """All pauses together: who is not let in for so long gives up, too."""
        return sum(self.compute_pause(failures) for failures in range(1, self.tries))


#: A text: about two minutes in all.
TEXT = Patience(tries=6, first_pause_seconds=10.0, longest_pause_seconds=30.0)
#: A ranker: three more tries within a minute.
RANK = Patience(tries=4, first_pause_seconds=10.0, longest_pause_seconds=20.0)
#: A moderator: it is free, and what it judges is paid for already.
MODERATION = Patience(tries=5, first_pause_seconds=10.0, longest_pause_seconds=30.0)
#: Reads of the platform.
READ = Patience(tries=6, first_pause_seconds=2.0, longest_pause_seconds=30.0)

#: What is said no to on this machine, so that nothing was sent; and the least seconds before it is asked again.
_NOT_SENT = (QuotaUnavailable, BreakerOpen)
NOT_SENT_SECONDS = 5.0
#: What a passing failure is.
_PASSING = (InferenceUnavailable, Retry, Down)
#: An answer of the wrong shape seldom gets better, and it may have been paid for: one more try, soon.
NONSENSE = Patience(tries=2, first_pause_seconds=1.0, longest_pause_seconds=1.0)
#: Rounds of the above for whoever spoke to the bot: a short spell of nonsense costs nobody the answer.
NONSENSE_ROUNDS = Patience(tries=4, first_pause_seconds=60.0, longest_pause_seconds=240.0)


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
    failures, give_up_at = 0, clock.monotonic() + patience.total_seconds
    while True:
        try:
            return await call()
        except _NOT_SENT as exc:
            on_failure(exc)
            pause = max(NOT_SENT_SECONDS, _get_wish(exc))
            if _is_gone(exc) or clock.monotonic() + pause > min(give_up_at, deadline):
                raise
        except (*_PASSING, InferenceNonsense) as exc:
            failures += 1
            on_failure(exc)
            limits = NONSENSE if isinstance(exc, InferenceNonsense) else patience
            pause = max(limits.compute_pause(failures), _get_wish(exc))
            if failures >= min(limits.tries, patience.tries) or clock.monotonic() + pause > deadline:
                raise
        await clock.sleep(pause)


def _get_wish(exc: HotshotError) -> float:
    """Give the seconds that a failure itself asks to wait."""
    wish = exc.after if isinstance(exc, Retry) else getattr(exc, "retry_after", None)
    return float(wish) if wish else 0.0


def _is_gone(exc: HotshotError) -> bool:
    return isinstance(exc, BreakerOpen) and exc.gone
