"""What runs in a worker: tasks that are kept in sight, and jobs at a time, each once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hotshotd.errors import AuthDead
from hotshotd.log import get_logger

_log = get_logger()

#: The name of tasks that a pause and a stop drop; one of another name goes on to its end.
WORK = "work"


class Tasks:
    """The tasks and timed jobs of one worker. `on_dead` is called with the reason when the account is refused."""

    def __init__(self, *, on_dead: Callable[[str], None]) -> None:
        self._on_dead = on_dead
        #: In the order in which they were begun; a set has none, and what a pause drops would come back shuffled.
        self._tasks: dict[asyncio.Task[None], None] = {}
        #: The newest task of each timed job, and how often all that was planned has been dropped.
        self._timed: dict[str, asyncio.Task[None]] = {}
        self._round = 0
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """Let planned jobs run from now on."""
        self._scheduler.start()

    def close(self) -> None:
        """Run no job any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def track(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside everything else; what it raises is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._untrack)
        return task

    def plan(
        self, name: str, job: Callable[[], Coroutine[Any, Any, None]], when: datetime, *, task_name: str = WORK
    ) -> None:
        """Run a job once at a time, in place of the one of that name; after the one that is running, if one is."""
        planned_in = self._round

        async def run() -> None:
            # Awaited without its result, and let go at the worker's end: neither is an error to the scheduler.
            with suppress(asyncio.CancelledError):
                # A job that plans its successor for at once is still ending when that begins.
                while (before := self._timed.get(name)) is not None and not before.done():
                    await asyncio.wait([before])
                if planned_in == self._round:
                    task = self._timed[name] = self.track(job(), task_name)
                    await asyncio.wait([task])

        self._scheduler.add_job(
            run,
            "date",
            run_date=when,
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            # With one, the scheduler would drop a successor that begins early, and nothing would come after it.
            max_instances=3,
        )

    def follow_clock(self, jump: timedelta | None, *, but: Collection[str]) -> None:
        """Have the scheduler look at the wall clock, which it does by itself only when its timer, set long ago, is due.

        Where the clock was set by `jump`, every job comes as soon as it would have, but for those of a time of day.
        """
        if not self._scheduler.running:
            return
        for job in self._scheduler.get_jobs() if jump is not None else ():
            if job.id not in but:
                job.reschedule("date", run_date=job.next_run_time + jump)
        self._scheduler.wakeup()

    def drop_work(self, *, but: asyncio.Task[Any] | None) -> None:
        """Forget what is planned, and cancel the work under way, all but one."""
        self._round += 1
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()
        for task in [task for task in self._tasks if task.get_name() == WORK and task is not but]:
            task.cancel()

    def _untrack(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            if isinstance(exc, AuthDead):
                self._on_dead(str(exc))
            else:
                _log.error("worker.task_failed", error=repr(exc), exc_info=exc)
