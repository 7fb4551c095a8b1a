"""The machine: a supervisor's life with its bots' state machines, their workers, and the quota process's restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from hotshotd.brain.editor import Editor
from hotshotd.brain.fallback import Chain
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering
from hotshotd.brain.ports import Faculties
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Verdict
from hotshotd.brain.writing import Writer
from hotshotd.config.loaded import LoadedBot
from hotshotd.config.schema import BotConfig
from hotshotd.loop import Loop
from hotshotd.supervisor.bot import Bot
from hotshotd.supervisor.process import Child
from hotshotd.supervisor.quota import QuotaChild
from hotshotd.supervisor.states import State
from hotshotd.supervisor.wishes import Pause
from hotshotd.wire import Json
from hotshotd.worker.calls import Calls
from hotshotd.worker.link import ENDS, Link
from hotshotd.worker.parts import Parts
from hotshotd.worker.posts import compute_day_start
from hotshotd.worker.slots import KeptSlots
from hotshotd.worker.worker import Worker
from simulation.loop import Process, SimClock, SimLoop
from simulation.promises import Promises
from simulation.quota import QuotaProcess, QuotaSite, SimQuotaClient
from simulation.reddit import AccountState, Reddit, SimPlatform
from simulation.scenario import Scenario
from simulation.services import SimModerator, SimPainter, SimRanker, SimText, Weather, Wire


class SimLink(Link):
    """The worker's own link; messages go to the supervisor as they are."""

    def __init__(self, child: WorkerChild, promises: Promises) -> None:
        super().__init__(cast("Any", None))
        self._child = child
        self._promises = promises

    def open(
        self, *, on_command: Callable[[Json], None], on_end: Callable[[], None], on_forbidden: Callable[[str], None]
    ) -> None:
        del on_end  # who ends a supervisor here ends its workers
        self._on_forbidden = on_forbidden
        self._child.attach(on_command)

    def send(self, message: Json) -> bool:
        self._child.say(message)
        return True

    def send_surely(self, message: Json) -> None:
        self._child.say(message)

    def trouble(self, message: str) -> None:
        # Nothing is secret here, and to look for secrets takes long.
        self.report(last_error=message)

    def event(self, event: str, **facts: object) -> None:
        if event == "item.done":
            self._promises.note_end(self._child.process, facts)
        elif event == "post.done":
            self._promises.note_post_end(self._child.name, facts)
        else:
            self._promises.tell(event, self._child.name, facts.get("thing"), facts.get("reason"))
        if event in ENDS:
            self._ends[event, str(facts["outcome"]), str(facts["reason"])] += 1
            self._gather()


class SimCalls(Calls):
    """Calls that take no thread and no time."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__(clock, threads=1)

    async def run(self, call: Callable[[], Any], *, limit_seconds: float) -> Any:  # noqa: ARG002
        await asyncio.sleep(0)
        return call()


class SlotPosting(Posting):
    """Posting that says which slot a submission is for."""

    sim_platform: SimPlatform

    async def make(self, slot: str, **more: Any) -> Verdict:
        self.sim_platform.slot = slot
        return await super().make(slot, **more)


class WorkerChild:
    """One worker process; a `Child` to `Bot`."""

    def __init__(
        self, machine: Machine, config: BotConfig, *, number: int, paused: bool, on_message: Callable[[Json], None]
    ) -> None:
        self.pid = next(machine.pids)
        self.name = config.name
        self.process = Process(f"{self.name} {self.pid}")
        self._machine = machine
        self._on_message = on_message
        self._commands: list[Json] = []
        self._on_command: Callable[[Json], None] | None = None
        #: Whether its start is over.
        self.is_ready = False
        self.quota = SimQuotaClient(
            machine.site, self.process, bot=self.name, client=machine.client_of(number), clock=machine.clock
        )
        machine.promises.begin_life(self.process, self.name)
        machine.promises.tell("worker", self.name, self.pid, "paused" if paused else "")
        machine.loop.call_soon(self._begin, config, number, paused, context=self.process.context)

    def _begin(self, config: BotConfig, number: int, paused: bool) -> None:
        parts = build_parts(self._machine, self, config, number)
        task = self._machine.loop.create_task(Worker(parts, paused=paused).run())
        task.add_done_callback(self._exit)

    def _exit(self, task: asyncio.Task[int]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._machine.promises.fail("nothing crashes inside", f"{self.name}: {task.exception()!r}")
            return
        self._machine.loop.call_soon(self._machine.end_worker, self, task.result(), context=self._machine.outside)

    def note_ready(self) -> None:
        """The start is over: it has read what is its own."""
        if not self.process.dead and not self.is_ready:
            self.is_ready = True
            self._machine.note_work()

    def attach(self, on_command: Callable[[Json], None]) -> None:
        self._on_command = on_command
        for command in self._commands:
            on_command(command)
        self._commands.clear()

    def say(self, message: Json) -> None:
        """Bring a message to the supervisor."""
        if not self.process.dead:
            self._machine.loop.call_soon(self._on_message, message, context=self._machine.supervisor.context)

    def send(self, message: Json) -> None:
        self._machine.loop.call_soon(self._obey, message, context=self.process.context)

    def _obey(self, message: Json) -> None:
        if self._on_command is None:
            self._commands.append(message)
        else:
            self._on_command(message)

    def kill(self) -> None:
        self._machine.loop.call_soon(self._machine.end_worker, self, -9, context=self._machine.outside)

    def listen(self, on_message: Callable[[Json], None]) -> None:
        self._on_message = on_message

    def drain(self) -> None:
        """Everything was handed on already."""


def build_parts(machine: Machine, child: WorkerChild, config: BotConfig, number: int) -> Parts:
    """Make what `hotshotd.worker.entry.build_parts` makes, with effects that are simulated."""
    process, clock, promises = child.process, machine.clock, machine.promises
    scenario = machine.scenario
    client = machine.client_of(number)
    platform = SimPlatform(
        machine.reddit, machine.accounts[number], process, child.quota, places=config.reddit.subreddits,
        chance=scenario.stream(f"network {child.pid}"), client=client,
    )  # fmt: skip
    platform.on_own_read = child.note_ready
    link = SimLink(child, promises)
    wire = Wire(
        machine.loop,
        process,
        child.quota,
        promises,
        machine.weather,
        scenario.stream(f"services {child.pid}"),
        config.name,
    )
    faculties = _make_faculties(machine, wire, config, number)
    writer = Writer(platform, clock, confirm_after=config.reddit.confirm_after)
    editor = Editor(faculties, negative_keywords(config), clock, link)
    banned: set[str] = set()
    posting = answering = None
    if config.post is not None:
        posting = SlotPosting(
            config, platform=platform, faculties=faculties, writer=writer, editor=editor, clock=clock, news=link,
            memory=KeptSlots(machine.folder / "slots" / config.name),
        )  # fmt: skip
        posting.sim_platform = platform
        posting.banned = banned
    if config.reply is not None:
        answering = Answering(
            config, platform=platform, faculties=faculties, writer=writer, editor=editor, clock=clock, news=link,
            guards=Guards(day_start=compute_day_start(clock.now(), machine.zone)),
        )  # fmt: skip
        answering.banned = banned

    def leave(place: str) -> None:
        banned.add(place.casefold())
        platform.leave(place)

    return Parts(
        config=config, zone=machine.zone, platform=platform, leave=leave, requests_per_poll=3, gate=child.quota,
        clock=clock, calls=SimCalls(clock), link=link, writer=writer, posting=posting, answering=answering,
    )  # fmt: skip


def _make_faculties(machine: Machine, wire: Wire, config: BotConfig, number: int) -> Faculties:
    chats = machine.chats[number]
    draws = machine.scenario.stream(f"faculties {number}")
    reply = SimText(wire, "hf", metered=True, chats=chats)
    post = SimText(
        wire, "hf", metered=True, chats=chats and config.post is not None and config.post.format == "plain", posts=True
    )
    falls_back, ranks = draws.random() < 0.3, draws.random() < 0.5
    return Faculties(
        reply=Chain([reply, SimText(wire, "ollama", metered=False, chats=chats)]) if falls_back else reply,
        post=post,
        gate=SimRanker(wire, "gate"),
        rank=SimRanker(wire, "rank") if ranks else None,
        moderators=tuple(SimModerator(wire, name) for name in config.safety.moderators),
        reply_chats=chats,
        paint=SimPainter(wire) if config.post is not None and config.post.link_share else None,
    )


class _Timers:
    """`hotshotd.loop.Loop` for the supervisor's timers: they die with it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.clock = machine.clock

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._machine.loop.call_later(seconds, callback, context=self._machine.supervisor.context)


class _Spawner:
    """Makes a bot's workers."""

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine = machine
        self._number = number

    def __call__(self, loaded: LoadedBot, *, paused: bool, on_message: Callable[[Json], None]) -> Child:
        child = WorkerChild(self._machine, loaded.config, number=self._number, paused=paused, on_message=on_message)
        self._machine.workers[self._number] = child
        return cast("Child", child)

    def spawn_many(self, bots: Sequence[tuple[LoadedBot, bool]]) -> list[Child]:
        raise NotImplementedError("the simulator starts bots one by one")


class Machine:
    """Everything of the daemon, from one start of the supervisor to its death, and the next."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        loop: SimLoop,
        clock: SimClock,
        promises: Promises,
        reddit: Reddit,
        weather: Weather,
        configs: list[BotConfig],
        chats: list[bool],
        folder: Path,
        log: Any,
    ) -> None:
        self.scenario = scenario
        self.loop = loop
        self.clock = clock
        self.promises = promises
        self.reddit = reddit
        self.weather = weather
        self.configs = configs
        self.chats = chats
        self.zone = ZoneInfo(scenario.zone)
        self.folder = folder
        self.pids = count(1)
        #: The context of what is no process of the daemon.
        self.outside = Process("outside").context
        self.supervisor = Process("supervisor")
        self.workers: dict[int, WorkerChild] = {}
        self.bots: list[Bot] = []
        self.accounts: list[AccountState] = [
            reddit.add_account(config.reddit.username, self.client_of(number)) for number, config in enumerate(configs)
        ]
        self.budgets: list[int | None] = [config.character_budget for config in configs]
        self.paused_until: dict[int, float] = {}
        self.site = QuotaSite(
            folder, loop=loop, clock=clock, log=log, chance=scenario.stream("disk"), on_end=self._reap_quota,
            fail=lambda detail: promises.fail("the quota process is sound", detail),
        )  # fmt: skip
        self.quota: QuotaChild | None = None
        self._chance = scenario.stream("supervisor")
        loop.on_burnt = self._end_burnt

    def client_of(self, number: int) -> str:
        return "client" if self.scenario.shared_client else f"client{number}"

    # -- lives ---------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the supervisor, the quota process and every bot."""
        self.supervisor = Process("supervisor")
        self.supervisor.context.run(self._boot)

    def _boot(self) -> None:
        self.promises.tell("boot")
        timers = cast("Loop", _Timers(self))
        self.quota = QuotaChild(
            timers,
            cast("Any", None),
            cast("Any", None),
            chance=self._chance,
            on_event=lambda _event: None,
            on_refused=lambda why: self.promises.fail("the quota process runs", why),
        )
        self.bots = [
            Bot(
                timers, LoadedBot(config, Path(f"{config.name}.yaml")), spawn=_Spawner(self, number),
                chance=self._chance,
                today=lambda: self.clock.now().astimezone(self.zone).date(), on_change=self.note_work,
            )
            for number, config in enumerate(self.configs)
        ]  # fmt: skip
        for number in self.paused_until:
            self.bots[number].pause = Pause(until=None, reason="pause")
        self.quota.configure(self._make_settings())
        self.quota.start()
        for number, bot in enumerate(self.bots):
            if number not in self.scenario.absent:
                bot.start()

    def note_work(self) -> None:
        """See which bots are at work now."""
        for number, bot in enumerate(self.bots):
            child = self.workers.get(number)
            is_ready = child is not None and child.is_ready and not child.process.dead
            works = self.is_up and is_ready and bot.state is State.RUNNING and number not in self.paused_until
            self.promises.note_work(bot.name, works=works)

    def spawn_quota(self, *_: Any, on_message: Callable[[Json], None], **__: Any) -> QuotaProcess:
        """Stand for `hotshotd.supervisor.process.spawn`."""

        def hand_on(message: Json) -> None:
            if not self.supervisor.dead:
                self.loop.call_soon(on_message, message, context=self.supervisor.context)

        pid = next(self.pids)
        self.promises.tell("quota", pid)
        self.promises.note_quota_start()
        return self.site.start(pid=pid, on_message=hand_on)

    def _reap_quota(self, pid: int, status: int) -> None:
        self.promises.tell("quota ended", pid, status)
        self.promises.note_quota_end()
        self.loop.call_later(0.01, self._tell_quota_dead, pid, status, context=self.supervisor.context)

    def _tell_quota_dead(self, pid: int, status: int) -> None:
        if self.quota is not None:
            self.quota.reap(pid, status)

    def end_worker(self, child: WorkerChild, status: int) -> None:
        """Let a worker process end: its memory goes, its sockets close, its parent is told."""
        number = next((number for number, other in self.workers.items() if other is child), None)
        if number is None:
            return
        del self.workers[number]
        self.promises.tell("worker ended", child.name, child.pid, status)
        child.process.bury()
        self.promises.end_life(child.process)
        self.note_work()
        child.quota.die()
        self.loop.call_later(0.01, self.bots[number].reap, child.pid, status, context=self.supervisor.context)

    def _end_burnt(self, process: Process) -> None:
        """Bury a worker whose fuse has burnt down."""
        for child in list(self.workers.values()):
            if child.process is process:
                self.end_worker(child, -9)

    def end_all(self) -> None:
        """Let every process die at once."""
        self.promises.tell("all end")
        self.supervisor.bury()
        for child in list(self.workers.values()):
            child.process.dead = True
        if self.site.current is not None:
            self.site.current.kill()
        for child in list(self.workers.values()):
            self.end_worker(child, -9)

    # -- what the operator does ------------------------------------------------------------------

    def _make_settings(self) -> Json:
        scenario = self.scenario
        bots = {
            config.name: {
                "budget": self.budgets[number],
                "paused": number in self.paused_until,
                "even": config.pace == "even",
            }
            for number, config in enumerate(self.configs)
        }
        return {
            "timezone": scenario.zone,
            "daily_total": scenario.daily_total,
            "monthly_total": scenario.monthly_total,
            "bots": bots,
        }

    @property
    def is_up(self) -> bool:
        return not self.supervisor.dead

    def set_budget(self, number: int, budget: int) -> None:
        """Edit a budget while the daemon runs."""
        self.budgets[number] = budget
        if self.is_up and self.quota is not None:
            self.quota.configure(self._make_settings())

    def pause(self, number: int, seconds: float) -> None:
        """Pause a bot for a while."""
        self.paused_until[number] = max(self.paused_until.get(number, 0.0), self.loop.elapsed + seconds)
        self.note_work()
        if self.is_up and self.quota is not None:
            bot = self.bots[number]
            self.quota.set_paused(
                bot.name,
                paused=True,
                then=lambda: bot.set_pause(Pause(until=None, reason="pause"), lambda _doubt: None),
            )

    def resume(self, number: int) -> None:
        """End a bot's pause."""
        if self.paused_until.pop(number, None) is None:
            return
        if self.is_up and self.quota is not None:
            bot = self.bots[number]
            self.quota.set_paused(bot.name, paused=False, then=bot.end_pause)
        self.note_work()

    def restart(self, number: int) -> None:
        """Stop a bot's worker and start another, as `hotshotctl restart` does."""
        if not self.is_up or number in self.scenario.absent:
            return
        bot = self.bots[number]

        def start() -> None:
            bot.reset_failures()
            bot.start()

        if bot.state is not State.STOPPING:
            bot.stop(start)
