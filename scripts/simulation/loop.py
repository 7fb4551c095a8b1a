"""An event loop without a clock or a socket: time jumps to the next timer, and whole processes can die in it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from datetime import datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

#: What one step takes.
_STEP_SECONDS = 1e-6
#: Cancelled timers that may lie about before they are swept out.
_SWEEP_AT = 2000
#: Tasks of a process that are remembered before finished ones are forgotten.
_PRUNE_AT = 256


class Process:
    """Something that can die: no callback of it runs from then on, no handler, no `finally` has an effect.

    `fuse` set to n lets it die after n more of its steps, which is how a death comes between any two awaits.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.fuse: int | None = None
        #: What it is about to die in: "call", a request to a service, or "write", one to Reddit.
        self.doom = ""
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)
        self._tasks: list[tuple[asyncio.Task[Any], Context]] = []
        self._prune_at = _PRUNE_AT

    def meet(self, doom: str) -> None:
        """Die in this very step if that is what it is to die in."""
        if self.doom == doom:
            self.doom, self.fuse = "", 1

    def own(self, task: asyncio.Task[Any], context: Context) -> None:
        """Take note of a task that dies with the process."""
        self._tasks.append((task, context))
        if len(self._tasks) >= self._prune_at:
            self._tasks = [pair for pair in self._tasks if not pair[0].done()]
            self._prune_at = max(_PRUNE_AT, 2 * len(self._tasks))

    def bury(self) -> None:
        """Drop what is left in memory of a dead process; not from within one of its own steps."""
        self.dead = True
        tasks, self._tasks = self._tasks, []
        for task, context in tasks:
            if not task.done():
                # Else the garbage collector complains, at a time of its own.
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                context.run(_close, task)


#: The process in which a callback runs; None is the world outside.
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def _close(task: asyncio.Task[Any]) -> None:
    coroutine: Any = task.get_coro()
    try:
        coroutine.close()
    except (RuntimeError, ValueError, Gone):
        return


class Gone(BaseException):
    """A dead process tried to do something."""


class Stalled(AssertionError):
    """Everything waits, and nothing is planned."""


class SimLoop(asyncio.BaseEventLoop):
    """See the top of the file. `on_burnt` is called with a process whose fuse has burnt down."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.steps = 0
        self.on_burnt: Callable[[Process], None] = lambda _process: None

    def time(self) -> float:
        return self.elapsed

    # As in `BaseEventLoop`, without what is asked there for debugging: these are called millions of times.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.elapsed + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        context = copy_context() if context is None else context
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        process = context.get(PROCESS)
        if process is not None:
            process.own(task, context)
        return task

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._advance(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None:
                handle._run()
            elif not process.dead:
                handle._run()
                if process.fuse is not None:
                    self._burn(process)
        self.steps += 1

    def _advance(self, ready: Any) -> None:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        if self._timer_cancelled_count > _SWEEP_AT:
            self._sweep(timers)
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        if not timers:
            raise Stalled("nothing is ready and no timer is set")
        handle = heapq.heappop(timers)
        handle._scheduled = False
        # A step takes a moment, so that no wait is too short to end.
        self.elapsed = max(self.elapsed + _STEP_SECONDS, handle._when)
        ready.append(handle)

    def _sweep(self, timers: list[Any]) -> None:
        for handle in timers:
            if handle._cancelled:
                handle._scheduled = False
        timers[:] = [handle for handle in timers if not handle._cancelled]
        heapq.heapify(timers)
        self._timer_cancelled_count = 0

    def _burn(self, process: Process) -> None:
        assert process.fuse is not None
        process.fuse -= 1
        if process.fuse <= 0:
            process.fuse = None
            process.dead = True
            self.on_burnt(process)


class SimClock:
    """`Clock` and `BrainClock` of the machine: a wall clock that can be set, and seconds that never jump."""

    def __init__(self, loop: SimLoop, start: datetime) -> None:
        self._loop = loop
        self.start = start
        self.offset = timedelta()
        self._true_now = (0.0, start)

    def monotonic(self) -> float:
        return self._loop.elapsed

    def now(self) -> datetime:
        return self.true_now() + self.offset

    def true_now(self) -> datetime:
        """Give the time that Reddit's own clock shows."""
        elapsed, now = self._true_now
        if elapsed != self._loop.elapsed:
            elapsed = self._loop.elapsed
            now = self.start + timedelta(seconds=elapsed)
            self._true_now = elapsed, now
        return now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
