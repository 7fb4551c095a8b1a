"""The daemon's heart: it keeps the quota process and one worker a bot alive, and carries out what the operator wants.

One thread, one loop. It never waits for a child: children push what they count, and every command that needs one of
them has a time limit after which it is answered from what is known.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from hotshotd._types import BotName
from hotshotd.config.diff import diff
from hotshotd.config.loaded import InvalidBot, Loaded, LoadedBot
from hotshotd.config.schema import MainConfig
from hotshotd.errors import ExitCode
from hotshotd.log import get_logger
from hotshotd.loop import Loop
from hotshotd.supervisor.bot import Bot, Spawner
from hotshotd.supervisor.process import Child, SpawnError
from hotshotd.supervisor.quota import QuotaChild
from hotshotd.supervisor.states import State
from hotshotd.supervisor.totals import Totals
from hotshotd.supervisor.wishes import Wishes
from hotshotd.wire import Json

_log = get_logger()

#: Seconds the quota process has to write its figures at a stop.
QUOTA_GRACE_SECONDS = 3.0
#: Seconds a reload waits for new workers to be signed in.
SIGN_IN_SECONDS = 10.0

Load = Callable[[Mapping[BotName, LoadedBot]], Loaded]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload did, by bot name."""

    added: tuple[BotName, ...] = ()
    changed: tuple[BotName, ...] = ()
    removed: tuple[BotName, ...] = ()
    unchanged: tuple[BotName, ...] = ()
    invalid: tuple[InvalidBot, ...] = ()


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who looks on: called after each change of a bot, each reload, and each end of a child (pid and status)."""

    changed: list[Callable[[], None]] = field(default_factory=list)
    reloaded: list[Callable[[], None]] = field(default_factory=list)
    reaped: list[Callable[[int, int], None]] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    bots: tuple[Bot, ...]
    then: Callable[[], None]


class Supervisor:
    """Children by name, and the moves between two configurations."""

    def __init__(
        self,
        loop: Loop,
        loaded: Loaded,
        *,
        load: Load,
        quota: QuotaChild,
        spawn: Callable[[Loaded], Spawner],
        wishes: Wishes,
        chance: random.Random,
        on_change: Callable[[], None],
        on_reload_begun: Callable[[], None] = lambda: None,
        on_reload_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.loop = loop
        self.loaded = loaded
        self.quota = quota
        self.wishes = wishes
        self.bots: dict[BotName, Bot] = {}
        self.invalid: dict[BotName, InvalidBot] = {}
        self.stopping = False
        self.watchers = Watchers()
        self._load = load
        self._make_spawn = spawn
        self._chance = chance
        self._on_change = on_change
        self._on_reload_begun = on_reload_begun
        self._on_reload_ended = on_reload_ended
        self._waiting: list[_Waiting] = []
        self._code = ExitCode.OK
        #: By bot name; those of a bot that a reload took away are kept for its return.
        self._totals: dict[BotName, Totals] = {}

    # -- life --------------------------------------------------------------------------------

    def run(self) -> ExitCode:
        """Start everything and serve until a signal ends it."""
        self.loop.on_signal(signal.SIGCHLD, self.handle_chld)
        self.loop.on_signal(signal.SIGTERM, self.handle_term)
        self.loop.on_signal(signal.SIGINT, self.handle_term)
        self.loop.on_signal(signal.SIGHUP, self.handle_hup)
        self.bots = {bot.name: self._make_bot(bot) for bot in self.loaded.bots}
        self._show_invalid(self.loaded.invalid)
        self._note_faults(self.loaded.invalid)
        self._note_warnings()
        self.quota.configure(self._make_quota_settings())
        self.quota.start()
        self._start_together(tuple(self.bots.values()))
        self.loop.run()
        return self._code

    def handle_term(self) -> None:
        """Drain and end; a second signal ends the grace period."""
        if self.stopping:
            for bot in self.bots.values():
                bot.kill()
            return
        self.stopping = True
        self._on_change()
        _log.info("daemon.stopping", bots=len(self.bots))
        for bot in list(self.bots.values()):
            bot.stop(self._stop_quota_when_alone)
        self._stop_quota_when_alone()

    def refuse(self, reason: str) -> None:
        """End, with the exit code that tells systemd not to try again: only the operator can mend this."""
        self._code = ExitCode.CONFIG
        _log.error("daemon.refused", error=reason)
        if not self.stopping:
            self.handle_term()

    def handle_hup(self) -> None:
        """Reload, with the outcome in the log."""
        if not self.stopping:
            self.reload()

    def handle_chld(self) -> None:
        """Reap whatever has ended; several deaths may come as one signal."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reap(pid, os.waitstatus_to_exitcode(status))

    # -- configuration -----------------------------------------------------------------------

    def reload(self, only: BotName | None = None, *, restart: bool = False) -> tuple[Changes, tuple[Bot, ...]] | Loaded:
        """Read the files again and do what they say.

        Gives what changed and the bots that were started for it; or, when the main file is faulty, the load with its
        faults, and
        nothing has changed. With `only`, everything but that bot stays as it is; with `restart` it starts anew,
        changed or not.
        """
        if restart:
            return self._reload(only, restart=True)
        self._on_reload_begun()
        started: tuple[Bot, ...] = ()
        try:
            outcome = self._reload(only, restart=False)
            if not isinstance(outcome, Loaded):
                _, started = outcome
            return outcome
        finally:
            self.when_settled(started, SIGN_IN_SECONDS, self._on_reload_ended)

    def _reload(self, only: BotName | None, *, restart: bool) -> tuple[Changes, tuple[Bot, ...]] | Loaded:
        fresh = self.peek()
        if fresh.main_faults:
            for fault in fresh.main_faults:
                _log.error("config.invalid", file=str(fault.file), line=fault.line, key=fault.key, error=fault.message)
            return fresh
        changes, started = self._apply(fresh, only, restart=restart)
        self._note_faults(changes.invalid)
        self._note_warnings()
        self.quota.configure(self._make_quota_settings())
        for watch in self.watchers.reloaded:
            watch()
        _log.info("config.reloaded", **{name: list(getattr(changes, name)) for name in ("added", "changed", "removed")})
        return changes, started

    def peek(self) -> Loaded:
        """Read the files and change nothing."""
        return self._load({name: bot.loaded for name, bot in self.bots.items()})

    def when_settled(self, bots: tuple[Bot, ...], seconds: float, then: Callable[[], None]) -> None:
        """Call `then` once every one of the bots has come to the end of its start, or after `seconds`."""
        waiting = _Waiting(bots, then)
        self._waiting.append(waiting)
        self.loop.call_later(seconds, lambda: self._finish(waiting))
        self.loop.call_later(0, self._check_waiting)

    def settled(self) -> bool:
        """Tell whether the daemon's start is over.

        Each bot's is, or waits for the platform, and the quota process has said whether it grants.
        """
        is_quota_there = self.quota.state not in ("starting", "down")
        return is_quota_there and all(bot.is_settled or bot.is_waiting for bot in self.bots.values())

    def _apply(self, fresh: Loaded, only: BotName | None, *, restart: bool) -> tuple[Changes, tuple[Bot, ...]]:
        # What runs, not what the last load said: a bot whose file was invalid then may be right now.
        running = replace(self.loaded, bots=tuple(bot.loaded for bot in self.bots.values()))
        found = diff(running, fresh)
        targets = {bot.name: bot for bot in fresh.bots}
        plan = {
            "added": _only(found.added, only),
            "changed": _only(found.changed, only),
            "removed": _only(found.removed, only),
            "unchanged": _only(found.unchanged, only),
        }
        # One that is stopping was removed just now, and its file is back; else it would be forgotten once it ended.
        anew = (State.FAILED, State.STOPPING)
        revived = [name for name in plan["unchanged"] if restart or self.bots[name].state in anew]
        self.loaded = fresh
        started = [self._add(targets[name]) for name in plan["added"]]
        self._start_together(started)
        started += [self._renew(targets[name]) for name in (*plan["changed"], *revived)]
        for name in plan["removed"]:
            self._remove(name)
        invalid = tuple(bot for bot in fresh.invalid if only is None or bot.name == only)
        self._show_invalid(invalid, only)
        return Changes(invalid=invalid, **{kind: tuple(names) for kind, names in plan.items()}), tuple(started)

    def _add(self, target: LoadedBot) -> Bot:
        bot = self.bots[target.name] = self._make_bot(target)
        return bot

    def _renew(self, target: LoadedBot) -> Bot:
        bot = self.bots[target.name]
        bot.use(target, self._make_spawn(self.loaded))
        bot.reset_failures()
        bot.stop(bot.start)
        return bot

    def _remove(self, name: BotName) -> None:
        self.bots[name].stop(lambda: self._forget(name))

    def _show_invalid(self, invalid: Iterable[InvalidBot], only: BotName | None = None) -> None:
        """Keep what `status` shows as invalid: files that have no bot running from them."""
        if only is None:
            self.invalid.clear()
        else:
            self.invalid.pop(only, None)
        for bot in invalid:
            # A second file with a running bot's name is shown by its own.
            name = BotName(bot.path.stem) if bot.duplicate_of else bot.name
            if name not in self.bots:
                self.invalid[name] = bot

    def _forget(self, name: BotName) -> None:
        self.bots.pop(name, None)
        self._on_change()

    def _make_bot(self, loaded: LoadedBot) -> Bot:
        bot = Bot(
            self.loop,
            loaded,
            spawn=self._make_spawn(self.loaded),
            chance=self._chance,
            today=self.get_today,
            on_change=self._bot_changed,
            totals=self._totals.setdefault(loaded.name, Totals()),
        )
        bot.pause = self.wishes.get_pause(bot.name, self.loop.clock.now())
        if bot.pause and bot.pause.until:
            self.resume_at(bot.name)
        return bot

    def resume_at(self, name: BotName) -> None:
        """End a pause when its time has come; harmless when it was ended or made longer meanwhile."""
        bot = self.bots.get(name)
        if bot is None or bot.pause is None or bot.pause.until is None:
            return
        seconds = (bot.pause.until - self.loop.clock.now()).total_seconds()
        if seconds > 0:
            # An hour at most, for the wall clock may jump meanwhile.
            self.loop.call_later(min(seconds, 3600.0), lambda: self.resume_at(name))
            return
        try:
            self.wishes.resume(name)
        except OSError as exc:
            # What is stored has run out by itself; a full disk must not end the daemon here.
            _log.warning("wishes.not_stored", bot=name, error=str(exc))
        self._let_go_on(bot, lambda: None)

    def end_pause(self, bot: Bot, then: Callable[[], None]) -> None:
        """Let a bot go on: first its grants, then the bot. Raises OSError when the wish can't be stored."""
        self.wishes.resume(bot.name)
        self._let_go_on(bot, then)

    def _let_go_on(self, bot: Bot, then: Callable[[], None]) -> None:
        def go_on() -> None:
            bot.end_pause()
            then()

        self.quota.set_paused(bot.name, paused=False, then=go_on)

    @property
    def main(self) -> MainConfig:
        """The main file's settings; a load with a faulty main file never gets here."""
        assert self.loaded.main is not None
        return self.loaded.main

    def get_today(self) -> date:
        return self.loop.clock.now().astimezone(self.main.zone).date()

    def _make_quota_settings(self) -> Json:
        main = self.main
        return {
            "timezone": main.timezone,
            "daily_total": main.quota.daily_total,
            "monthly_total": main.quota.monthly_total,
            "bots": {
                name: {
                    "budget": bot.config.character_budget,
                    "paused": bot.pause is not None,
                    "even": bot.config.pace == "even",
                }
                for name, bot in self.bots.items()
            },
        }

    def _start_together(self, bots: Sequence[Bot]) -> None:
        """Start bots that were never started, all forks in a row; their sign-ins are staggered over there."""
        try:
            children: list[Child | None] = list(
                self._make_spawn(self.loaded).spawn_many([(bot.loaded, bot.pause is not None) for bot in bots])
            )
        except SpawnError as exc:
            _log.error("worker.spawn_failed", error=str(exc))
            children = [None] * len(bots)
        for bot, child in zip(bots, children, strict=True):
            bot.start(child)

    # -- news from children ------------------------------------------------------------------

    def _reap(self, pid: int, status: int) -> None:
        self.quota.reap(pid, status)
        for bot in list(self.bots.values()):
            bot.reap(pid, status)
        for watch in self.watchers.reaped:
            watch(pid, status)

    def _bot_changed(self) -> None:
        self._on_change()
        for watch in self.watchers.changed:
            watch()
        self._check_waiting()

    def _check_waiting(self) -> None:
        for waiting in [waiting for waiting in self._waiting if all(bot.is_settled for bot in waiting.bots)]:
            self._finish(waiting)

    def _finish(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.then()

    def _note_faults(self, invalid: Iterable[InvalidBot]) -> None:
        for bot in invalid:
            for fault in bot.faults:
                _log.error(
                    "config.invalid",
                    bot=bot.name,
                    file=str(fault.file),
                    line=fault.line,
                    key=fault.key,
                    error=fault.message,
                )

    def _note_warnings(self) -> None:
        for warning in self.loaded.warnings:
            _log.warning(
                "config.warning", file=str(warning.file), line=warning.line, key=warning.key, error=warning.message
            )

    # -- the end -----------------------------------------------------------------------------

    def _stop_quota_when_alone(self) -> None:
        # Last, for workers account for their requests until they end.
        if all(bot.pid is None for bot in self.bots.values()):
            self.quota.stop(self.loop.stop, seconds=QUOTA_GRACE_SECONDS)


def _only(names: tuple[BotName, ...], only: BotName | None) -> tuple[BotName, ...]:
    return names if only is None else tuple(name for name in names if name == only)
