"""One bot under supervision: its process, its state, its counters, and what follows when it dies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from hotshotd.backoff import Backoff
from hotshotd.config.loaded import LoadedBot
from hotshotd.config.schema import BotConfig
from hotshotd.log import get_logger
from hotshotd.loop import Loop, Timer
from hotshotd.supervisor.errands import Errands
from hotshotd.supervisor.process import Child, SpawnError
from hotshotd.supervisor.states import MOVES, State, compute_shown
from hotshotd.supervisor.totals import Totals
from hotshotd.supervisor.wishes import Pause
from hotshotd.wire import Json

_log = get_logger()

#: Seconds without a sign of life, outside a remote call, after which a worker is killed and replaced.
SILENCE_SECONDS = 30.0
#: Seconds by which the watch itself may be late before it blames itself.
LATE_SECONDS = 5.0
#: Seconds of running after which earlier failures are forgotten.
HEALTHY_SECONDS = 60.0
#: Seconds a worker has to end what it does at a stop.
GRACE_SECONDS = 8.0
#: Exit code of a worker that a restart can't mend: refused credentials, a suspended account.
EXIT_FATAL = 77

_BACKOFF = Backoff(base_seconds=1.0, cap_seconds=300.0)

#: What of a worker's report is a change like one of state.
_NEWS = ("banned_in", "degraded", "reading")


class Spawner(Protocol):
    """Makes a worker process for a bot."""

    def __call__(self, loaded: LoadedBot, *, paused: bool, on_message: Callable[[Json], None]) -> Child: ...

    def spawn_many(self, bots: Sequence[tuple[LoadedBot, bool]]) -> list[Child]:
        """Make the workers of several bots (each with whether it is paused) at once; raises SpawnError."""
        ...


@dataclass(slots=True)
class Today:
    """Counters of one calendar day; they start anew by themselves when the day does."""

    day: date | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, increments: dict[str, int], day: date) -> None:
        self.roll(day)
        self.counts.update(increments)

    def roll(self, day: date) -> None:
        if day != self.day:
            self.day = day
            self.counts.clear()


class Bot:
    """A bot and its worker. Every change of state passes `_move`."""

    def __init__(
        self,
        loop: Loop,
        loaded: LoadedBot,
        *,
        spawn: Spawner,
        chance: random.Random,
        today: Callable[[], date],
        on_change: Callable[[], None],
        totals: Totals | None = None,
    ) -> None:
        self.name = loaded.name
        self.loaded = loaded
        self.state = State.STOPPED
        self.reason = ""
        self.pause: Pause | None = None
        self.restarts = 0
        #: What `metrics` shows; given, where the bot was there before.
        self.totals = totals or Totals()
        self.report: Json = {}
        self.last_error: str | None = None
        self.errands = Errands(loop, self.send)
        self._loop = loop
        self._spawn = spawn
        self._chance = chance
        self._today = today
        self._on_change = on_change
        self._child: Child | None = None
        self._started_at = 0.0
        self._running_since: float | None = None
        self._failures = 0
        self._alive_until = 0.0
        self._timers: dict[str, Timer] = {}
        self._counts = Today()
        self._fatal: str | None = None
        self._blame: str | None = None
        self._then: Callable[[], None] | None = None
        self._pause_waiters: list[Callable[[str | None], None]] = []
        self._handlers: dict[str, Callable[[Json], None]] = {
            "beat": self._on_beat,
            "waiting": self._on_waiting,
            "signed_in": self._on_signed_in,
            "counts": self._on_counts,
            "report": self._on_report,
            "fatal": self._on_fatal,
            "paused": self._on_paused,
            "step": self.errands.on_step,
            "errand_done": self.errands.on_done,
        }

    # -- what the supervisor asks ------------------------------------------------------------

    @property
    def config(self) -> BotConfig:
        return self.loaded.config

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def shown(self) -> State:
        return compute_shown(self.state, paused=self.pause is not None)

    @property
    def is_settled(self) -> bool:
        """Tell whether the start has come to its end, good or bad; a bot that waits for its start has not."""
        return self.state not in (State.STARTING, State.STOPPING, State.STOPPED) and not self.is_waiting

    @property
    def is_waiting(self) -> bool:
        """Tell whether a worker is there that can't sign in now, and tries again by itself."""
        return self.state is State.BACKOFF and self._child is not None

    @property
    def is_reading(self) -> bool | None:
        """Tell whether the platform lets the bot read; None where that is not known, and of one that does not try."""
        if self.pause is not None:
            return None
        if self.is_waiting:
            return False
        reading: bool | None = self.report.get("reading") if self.state is State.RUNNING else None
        return reading

    def start(self, child: Child | None = None) -> None:
        """Take a worker that was forked already, or fork one; a failure to do so is a failure like any other."""
        self._cancel("start")
        self._fatal = self._blame = None
        # What an earlier worker reported (bans, roles it went without) is not known of this one.
        self.report = {}
        self._running_since = None
        self._started_at = self._loop.clock.monotonic()
        self._move(State.STARTING, "")
        try:
            self._child = child or self._spawn(self.loaded, paused=self.pause is not None, on_message=self._on_message)
        except SpawnError as exc:
            self._fail(str(exc))
            return
        if child is not None:
            child.listen(self._on_message)
        self._alive_until = self._loop.clock.monotonic() + SILENCE_SECONDS
        self._watch_heartbeat()

    def use(self, loaded: LoadedBot, spawn: Spawner) -> None:
        """Make the next worker with a newer load."""
        self.loaded, self._spawn = loaded, spawn

    def stop(self, then: Callable[[], None] | None = None) -> None:
        """Ask the worker to drain and end; kill it after the grace period. Calls `then` when it is gone."""
        self._then = then
        if self._child is None:
            self._cancel("start")
            self._end(State.STOPPED)
            return
        if self.state is not State.STOPPING:
            self._move(State.STOPPING, "")
            self._child.send({"op": "stop"})
            self._set("kill", GRACE_SECONDS, self._child.kill)

    def kill(self) -> None:
        """End the grace period."""
        if self._child:
            self._child.kill()

    def reset_failures(self) -> None:
        """Forget earlier failures: the operator asked for a fresh start."""
        self._failures = 0

    def set_pause(self, pause: Pause, done: Callable[[str | None], None]) -> None:
        """Lay the operator's wish over the bot; calls `done` with None, or with the write left in doubt."""
        was, self.pause = self.shown, pause
        self._log_shown(was, pause.reason or "pause")
        self._on_change()
        if self._child is None or self.state is State.STOPPING:
            done(None)
            return
        self._pause_waiters.append(done)
        self._child.send({"op": "pause"})

    def end_pause(self) -> None:
        was, self.pause = self.shown, None
        self._log_shown(was, "resume")
        self._on_change()
        if self._child:
            self._child.send({"op": "resume"})

    def send(self, message: Json) -> bool:
        """Pass a command on to the worker; False when there is none."""
        if self._child is None:
            return False
        self._child.send(message)
        return True

    def reap(self, pid: int, status: int) -> None:
        """Take note that the worker has ended; `status` is its exit code, or a signal as a negative number."""
        if self._child is None or self._child.pid != pid:
            return
        self._child.drain()
        self._child = None
        self._cancel("kill", "heartbeat", "healthy")
        for done in self._take_pause_waiters():
            done(None)
        self.errands.fail_all("worker_ended", "the bot's worker ended meanwhile; `hotshotctl status` says why")
        if self.state is State.STOPPING:
            self._end(State.STOPPED)
        elif status == EXIT_FATAL:
            self._move(State.FAILED, self._fatal or "the platform refuses the account")
            self.last_error = self.reason
        else:
            self._fail(self._blame or _describe_exit(status))

    def describe(self) -> Json:
        """Give what `status --json` shows, spend aside."""
        self._counts.roll(self._today())
        counts = self._counts.counts
        uptime = self._loop.clock.monotonic() - self._started_at if self._child else 0.0
        return {
            "name": self.name,
            "state": self.shown.value,
            "reason": self.reason or (self.pause.reason if self.pause else ""),
            "pid": self.pid,
            "uptime_s": int(uptime),
            "restarts": self.restarts,
            "dry_run": self.config.dry_run,
            "read": {"submissions": counts["submissions"], "comments": counts["comments"]},
            "write": {"posts": counts["posts"], "replies": counts["replies"]},
            "next_post_at": self.report.get("next_post_at") if self._child and self.pause is None else None,
            "poll_interval_s": self.report.get("poll_interval_s", self.config.poll.interval),
            "paused_until": _iso(self.pause.until) if self.pause else None,
            "degraded": self.report.get("degraded", []),
            "banned_in": self.report.get("banned_in", []),
            "unreadable": self.report.get("unreadable", []),
            "last_error": self.last_error,
            "file": str(self.loaded.path),
        }

    # -- what the worker says ----------------------------------------------------------------

    def _on_message(self, message: Json) -> None:
        handle = self._handlers.get(str(message.get("event")))
        if handle is not None:
            handle(message)

    def _on_beat(self, _message: Json) -> None:
        self._alive_until = self._loop.clock.monotonic() + SILENCE_SECONDS

    def _on_waiting(self, message: Json) -> None:
        # Not a failure of the worker: no restart is counted, and none would help.
        if self.state is State.STARTING:
            self._move(State.BACKOFF, str(message.get("reason")))

    def _on_signed_in(self, _message: Json) -> None:
        if self.state is State.STARTING or self.is_waiting:
            self._running_since = self._loop.clock.monotonic()
            self._move(State.RUNNING, "")
            self._set("healthy", HEALTHY_SECONDS, self.reset_failures)

    def _on_counts(self, message: Json) -> None:
        self._counts.add({str(key): int(value) for key, value in message["add"].items()}, self._today())
        self.totals.add(message)

    def _on_report(self, message: Json) -> None:
        before = [self.report.get(fact) for fact in _NEWS]
        self.report.update(message["report"])
        if "last_error" in message["report"]:
            self.last_error = message["report"]["last_error"]
        if before != [self.report.get(fact) for fact in _NEWS]:
            self._on_change()

    def _on_fatal(self, message: Json) -> None:
        self._fatal = str(message.get("reason"))

    def _on_paused(self, message: Json) -> None:
        for done in self._take_pause_waiters():
            done(message.get("in_doubt"))

    # -- states ------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self.restarts += 1
        self.totals.restarts += 1
        self.last_error = reason
        self._move(State.BACKOFF, reason)
        self._set("start", _BACKOFF.compute_delay(self._failures, self._chance), self.start)

    def _end(self, state: State) -> None:
        if self.state is not state:
            self._move(state, "")
        then, self._then = self._then, None
        if then:
            then()

    def _move(self, new: State, reason: str) -> None:
        if new not in MOVES[self.state]:
            raise AssertionError(f"{self.name}: {self.state} -> {new}")
        was = self.shown
        self.state, self.reason = new, reason
        self._log_shown(was, reason)
        self._on_change()

    def _log_shown(self, was: State, reason: str) -> None:
        if was is not self.shown:
            level = "error" if self.shown is State.FAILED else "warning" if self.shown is State.BACKOFF else "info"
            getattr(_log, level)(
                "bot.state", bot=self.name, old=was.value, new=self.shown.value, reason=reason, pid=self.pid
            )

    # -- timers ------------------------------------------------------------------------------

    def _watch_heartbeat(self) -> None:
        now = self._loop.clock.monotonic()
        late = now - self._alive_until
        if late > LATE_SECONDS:
            # We were stopped, or the machine slept: the worker had no chance to be heard. It gets one.
            self._alive_until = now + SILENCE_SECONDS
            late = -SILENCE_SECONDS
        if late < 0:
            self._set("heartbeat", -late, self._watch_heartbeat)
        elif self._child:
            _log.error("worker.silent", bot=self.name, pid=self.pid)
            self._blame = f"the worker was silent for {SILENCE_SECONDS:g} s and was ended"
            self._child.kill()

    def _set(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(seconds, callback)

    def _cancel(self, *names: str) -> None:
        for name in names:
            timer = self._timers.pop(name, None)
            if timer:
                timer.cancel()

    def _take_pause_waiters(self) -> list[Callable[[str | None], None]]:
        waiters, self._pause_waiters = self._pause_waiters, []
        return waiters


def _describe_exit(status: int) -> str:
    return f"the worker was ended by signal {-status}" if status < 0 else f"the worker ended with exit code {status}"


def _iso(moment: datetime | None) -> Any:
    return moment.isoformat() if moment else None
