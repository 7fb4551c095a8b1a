"""What runs in a worker: tasks that are kept in sight, and jobs at a time, each once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
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
        self._tasks: set[asyncio.Task[None]] = set()
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
        self._tasks.add(task)
        task.add_done_callback(self._untrack)
        return task

    def plan(
        self, name: str, job: Callable[[], Coroutine[Any, Any, None]], when: datetime, *, task_name: str = WORK
    ) -> None:
        """Run a job once at a time, in place of the one of that name."""

        async def run() -> None:
            # Awaited without its result, and let go at the worker's end: neither is an error to the scheduler.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self.track(job(), task_name)])

        self._scheduler.add_job(
            run,
            "date",
            run_date=when,
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def drop_work(self, *, but: asyncio.Task[Any] | None) -> None:
        """Forget what is planned, and cancel the work under way, all but one."""
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()
        for task in [task for task in self._tasks if task.get_name() == WORK and task is not but]:
            task.cancel()

    def _untrack(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            if isinstance(exc, AuthDead):
                self._on_dead(str(exc))
            else:
                _log.error("worker.task_failed", error=repr(exc), exc_info=exc)
