"""Own comments that fell too low are deleted, now and then (`reply.delete_below`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hotshotd.brain.manners import delete_unwanted
from hotshotd.brain.ports import BrainClock
from hotshotd.brain.writing import DeadlinePassed, Writer
from hotshotd.errors import BotPaused, Down, Refused, Retry
from hotshotd.platform import Platform
from hotshotd.worker.link import Link
from hotshotd.worker.tasks import Tasks

#: Polls between two looks at the own comments; with the default interval, five minutes.
POLLS_BETWEEN = 10


class Tidying:
    """Looks at the bot's newest hundred comments every few polls. `may_work` says whether the bot is at work."""

    def __init__(
        self,
        platform: Platform,
        writer: Writer,
        *,
        at_or_under: int,
        poll_seconds: float,
        clock: BrainClock,
        tasks: Tasks,
        link: Link,
        may_work: Callable[[], bool],
    ) -> None:
        self._platform = platform
        self._writer = writer
        self._at_or_under = at_or_under
        self._seconds = poll_seconds * POLLS_BETWEEN
        self._clock = clock
        self._tasks = tasks
        self._link = link
        self._may_work = may_work

    def plan(self, seconds: float | None = None) -> None:
        """Plan the next look, in `seconds` or after the usual time."""
        if self._may_work():
            wait = self._seconds if seconds is None else seconds
            self._tasks.plan("tidy", self._tidy, self._clock.now() + timedelta(seconds=wait))

    async def _tidy(self) -> None:
        deadline = self._clock.monotonic() + self._seconds
        try:
            await delete_unwanted(
                self._platform, self._writer, at_or_under=self._at_or_under, deadline=deadline, news=self._link
            )
        except BotPaused:
            return
        except (Retry, Down, Refused, DeadlinePassed) as exc:
            self._link.trouble(f"looking for own comments to delete: {exc}")
            self.plan(max(self._seconds, exc.after if isinstance(exc, Retry) else 0.0))
            return
        self.plan()
