"""One run: everything put together, the blows of its scenario dealt out, the promises watched."""

from __future__ import annotations

import asyncio
import gc
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import apscheduler.schedulers.base as scheduler_module
import structlog

from hotshotd.quota import server as server_module
from hotshotd.supervisor import bot as bot_module
from hotshotd.supervisor import quota as supervisor_quota_module
from hotshotd.worker import worker as worker_module
from simulation.cast import chats, make_config
from simulation.loop import SimClock, SimLoop, Stalled
from simulation.machine import Machine
from simulation.people import People
from simulation.promises import Breach, Promises
from simulation.quota import PipeLink
from simulation.reddit import Reddit
from simulation.scenario import DAY, Blow, Scenario
from simulation.services import Weather

#: Signs of life come this many times more seldom than in the daemon: a year of them would be all that is simulated.
BEAT_SECONDS, SILENCE_SECONDS = 3600.0, 4 * 3600.0
#: Seconds between two looks at what is overdue.
_LOOK_SECONDS = 1800.0

#: Logged errors that mean a fault in the code, not in the world.
_CRASHES = frozenset(
    {"item.crashed", "post.crashed", "poll.crashed", "worker.task_failed", "errand.crashed", "quota.request_failed"}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `breach` is None when every promise held."""

    scenario: Scenario
    breach: Breach | None
    digest: str
    events: int
    steps: int
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


def run(scenario: Scenario, *, keep_log: bool = False, folder: str | None = None) -> Outcome:
    """Live through a scenario, to its end or to the first broken promise; with a ledger in a folder below `folder`."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hotshot-sim-", dir=folder or find_memory()) as state:
        simulation = Simulation(scenario, Path(state), keep_log=keep_log)
        with _exchanged(simulation):
            simulation.live()
    promises = simulation.promises
    return Outcome(
        scenario=scenario,
        breach=promises.breach,
        digest=promises.digest,
        events=promises.events,
        steps=simulation.loop.steps,
        seconds=time.perf_counter() - begun,
        counts=dict(promises.counts),
        log=promises.log or [],
    )


def find_memory() -> str | None:
    """Give a folder that is in memory, if there is one."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


class Simulation:
    """The parts of a run."""

    def __init__(self, scenario: Scenario, folder: Path, *, keep_log: bool) -> None:
        self.scenario = scenario
        self.loop = SimLoop()
        self.clock = SimClock(self.loop, scenario.start)
        self.promises = Promises(
            self.loop, self.clock, zone=scenario.zone, caps=(scenario.daily_total, scenario.monthly_total)
        )
        self.promises.log = [] if keep_log else None
        self.weather = Weather(faults=scenario.rates.service)
        self.reddit = Reddit(
            self.loop, self.clock, self.promises, chance=scenario.stream("reddit"), lag=scenario.lag_seconds,
            limit=scenario.reddit_limit,
        )  # fmt: skip
        self.reddit.read_faults = scenario.rates.read
        self.reddit.write_faults = scenario.rates.write
        configs = [make_config(scenario, number) for number in range(scenario.bots)]
        for config in configs:
            self.promises.add_bot(config)
        self.machine = Machine(
            scenario, loop=self.loop, clock=self.clock, promises=self.promises, reddit=self.reddit,
            weather=self.weather, configs=configs, chats=[chats(scenario, number) for number in range(scenario.bots)],
            folder=folder, log=structlog.get_logger(),
        )  # fmt: skip
        budgets = self.machine.budgets
        numbers = {config.name: number for number, config in enumerate(configs)}
        self.promises.money.budget_of = lambda bot: budgets[numbers[bot]]
        self.promises.excuses.above = self.reddit.list_above
        self._people = People(
            self.reddit, self.loop, a_day=scenario.people_a_day, chance=scenario.stream("people"),
            bots=[(config.reddit.username, config.reddit.subreddits[-1]) for number, config in enumerate(configs)],
        )  # fmt: skip

    def live(self) -> None:
        """Run to the end."""
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._note_crash)
        try:
            self.loop.call_soon(self._begin)
            self.loop.call_at(self.scenario.end * DAY, self._finish)
            self.loop.run_forever()
        except Stalled as exc:
            self.promises.fail("something always happens", str(exc))
        finally:
            self._end()

    def _begin(self) -> None:
        self.machine.boot()
        self._people.begin()
        for blow in self.scenario.blows:
            self.loop.call_at(blow.at, self._deal, blow)
        self._look()

    def _look(self) -> None:
        self.promises.check()
        self.loop.call_later(_LOOK_SECONDS, self._look)

    def _finish(self) -> None:
        self.promises.check()
        self.loop.stop()

    def _end(self) -> None:
        self.machine.end_all()
        self.loop.run_until_complete(asyncio.sleep(1))
        self.loop.close()
        asyncio.set_event_loop(None)

    def _note_crash(self, _loop: object, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        self.promises.fail("nothing crashes inside", f"{context.get('message')}: {exc!r}")

    def note_log(self, event: str, fields: dict[str, Any]) -> None:
        """Take an error from the daemon's own log."""
        if event in _CRASHES:
            self.promises.fail("nothing crashes inside", f"{event}: {fields.get('error')}")

    # -- blows ---------------------------------------------------------------------------------

    def _deal(self, blow: Blow) -> None:
        self.promises.tell("blow", blow.kind, blow.bot, f"{blow.amount:.3f}")
        self.promises.count("blows")
        _BLOWS[blow.kind](self, blow)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self.loop.call_later(seconds, act)

    def _kill_worker(self, blow: Blow) -> None:
        child = self.machine.workers.get(blow.bot)
        if child is not None:
            child.process.fuse = max(1, int(blow.amount))

    def _doom(self, blow: Blow) -> None:
        child = self.machine.workers.get(blow.bot)
        if child is not None:
            child.process.doom = blow.kind.rpartition(" ")[2]

    def _kill_quota(self, _blow: Blow) -> None:
        if self.machine.site.current is not None:
            self.machine.site.current.kill()

    def _kill_quota_in_write(self, blow: Blow) -> None:
        self.machine.site.disk.crash = "before" if blow.amount < 1 else "after"

    def _kill_all(self, blow: Blow) -> None:
        if self.machine.is_up:
            self.machine.end_all()
            self._after(blow.amount, self._boot)

    def _power_cut_in_write(self, blow: Blow) -> None:
        """Cut the power in the next write of the ledger."""
        disk = self.machine.site.disk
        if disk.crash is None:
            disk.crash = "cut"
            cut = Blow(blow.at, "power cut", amount=blow.amount)
            disk.on_cut = lambda: self._cut_power(cut)

    def _cut_power(self, cut: Blow) -> None:
        self.loop.call_soon(self._kill_all, cut, context=self.machine.outside)

    def _fill_disk(self, blow: Blow) -> None:
        self.machine.site.disk.is_full = True
        self.promises.note_quota_away(seconds=blow.amount)
        self._after(blow.amount, self._empty_disk)

    def _empty_disk(self) -> None:
        self.machine.site.disk.is_full = self.machine.site.disk.fails_half = False

    def _write_half(self, blow: Blow) -> None:
        self.machine.site.disk.fails_half = True
        self.promises.note_quota_away(seconds=blow.amount)
        self._after(blow.amount, self._empty_disk)

    def _restore_ledger(self, blow: Blow) -> None:
        """Put an hour-old copy of the ledger back, while the daemon is down."""
        self.machine.site.back_up()

        def restore() -> None:
            if self.machine.is_up:
                self.machine.end_all()
                if self.machine.site.restore():
                    self.promises.tell("restored")
                    self.promises.note_quota_damaged()
                self._after(blow.amount, self._boot)

        self._after(3600.0, restore)

    def _boot(self) -> None:
        if not self.machine.is_up:
            self.machine.boot()

    def _set_clock(self, blow: Blow) -> None:
        self.promises.set_clock(timedelta(seconds=int(blow.amount)))

    def _pause(self, blow: Blow) -> None:
        self.machine.pause(blow.bot, blow.amount)

        def resume() -> None:
            if self.machine.paused_until.get(blow.bot, 0.0) <= self.loop.elapsed:
                self.machine.resume(blow.bot)

        self._after(blow.amount + 0.001, resume)

    def _restart(self, blow: Blow) -> None:
        self.machine.restart(blow.bot)

    def _edit_budget(self, blow: Blow) -> None:
        if self.scenario.budget is not None:
            self.machine.set_budget(blow.bot, int(self.scenario.budget * blow.amount))

    def _down_text(self, blow: Blow) -> None:
        self.weather.text_down_until = self.loop.elapsed + blow.amount

    def _lose_text(self, blow: Blow) -> None:
        self.weather.text_gone_until = self.loop.elapsed + blow.amount

    def _down_moderation(self, blow: Blow) -> None:
        self.weather.moderation_down_until = self.loop.elapsed + blow.amount

    def _down_reddit(self, blow: Blow) -> None:
        self.reddit.down_until = self.loop.elapsed + blow.amount

    def _slow_reddit(self, blow: Blow) -> None:
        self.reddit.slow_until = self.loop.elapsed + blow.amount

    def _ratelimit(self, blow: Blow) -> None:
        self.machine.accounts[blow.bot].ratelimited_until = self.loop.elapsed + blow.amount

    def _suspend(self, blow: Blow) -> None:
        account = self.machine.accounts[blow.bot]
        account.suspended = True

        def lift() -> None:
            account.suspended = False
            self.machine.restart(blow.bot)

        self._after(blow.amount, lift)


_BLOWS: dict[str, Callable[[Simulation, Blow], None]] = {
    "kill worker": Simulation._kill_worker,
    "kill worker in call": Simulation._doom,
    "kill worker in write": Simulation._doom,
    "kill quota": Simulation._kill_quota,
    "kill quota in write": Simulation._kill_quota_in_write,
    "kill all": Simulation._kill_all,
    "power cut": Simulation._kill_all,
    "power cut in write": Simulation._power_cut_in_write,
    "disk full": Simulation._fill_disk,
    "half write": Simulation._write_half,
    "restore ledger": Simulation._restore_ledger,
    "clock": Simulation._set_clock,
    "pause": Simulation._pause,
    "restart": Simulation._restart,
    "budget": Simulation._edit_budget,
    "text down": Simulation._down_text,
    "text gone": Simulation._lose_text,
    "moderation down": Simulation._down_moderation,
    "reddit down": Simulation._down_reddit,
    "reddit slow": Simulation._slow_reddit,
    "ratelimit": Simulation._ratelimit,
    "suspend": Simulation._suspend,
}


@contextmanager
def _exchanged(simulation: Simulation) -> Iterator[None]:
    """Put simulated effects in the place of sockets, forks and clocks that the daemon's modules take by name."""

    class SimDatetime(datetime):
        """What APScheduler asks for the time."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return simulation.clock.now().astimezone(tz)

    places: list[tuple[Any, str, Any]] = [
        (server_module, "Link", PipeLink),
        (server_module, "_is_own", lambda _sock: True),
        (scheduler_module, "datetime", SimDatetime),
        (supervisor_quota_module, "spawn", simulation.machine.spawn_quota),
        (worker_module, "BEAT_SECONDS", BEAT_SECONDS),
        (worker_module, "trim", lambda: None),
        (bot_module, "SILENCE_SECONDS", SILENCE_SECONDS),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    level = logging.root.manager.disable
    logs = structlog.get_config() if structlog.is_configured() else None
    collects, thresholds = gc.isenabled(), gc.get_threshold()
    try:
        # Looked for seldom: a life leaves few cycles behind.
        gc.set_threshold(50_000, 20, 100)
        for module, name, value in places:
            setattr(module, name, value)
        logging.disable(logging.CRITICAL)
        structlog.configure(
            processors=[_Ear(simulation)], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
        )
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        logging.disable(level)
        structlog.reset_defaults() if logs is None else structlog.configure(**logs)
        gc.set_threshold(*thresholds)
        if collects:
            gc.enable()


class _Ear:
    """A structlog processor that hands errors on and writes nothing."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __call__(self, _logger: object, _method: str, fields: Any) -> Any:
        self._simulation.note_log(str(fields.get("event")), dict(fields))
        raise structlog.DropEvent
