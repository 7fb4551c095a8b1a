"""What is done to the daemon: each deed of the plan, carried out on whatever runs at that moment."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chaoslib.daemon import Daemon
from chaoslib.plan import Act, Deed
from chaoslib.world import World, replace_file
from hotshotd.errors import HotshotError

#: The longest step of the clock, in seconds; either way.
_LONGEST_STEP = 1200.0
_BACKSTORY = re.compile(r"and I have .*opinions about geese")

#: From noon past midnight.
_MIDNIGHT_STEP = 13 * 3600.0


@dataclass(frozen=True, slots=True)
class Quiet:
    """A bot was paused, as its operator was told, from one moment to the other."""

    bot: str
    begin: float
    end: float


@dataclass(slots=True)
class Doer:
    """Carries out deeds, each in a thread of its own; `close` undoes what lasts."""

    world: World
    daemon: Daemon
    done: Counter[Deed] = field(default_factory=Counter)
    missed: Counter[Deed] = field(default_factory=Counter)
    quiet: list[Quiet] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    #: One at a time: what belongs to the whole daemon (its files, its disk, its clock), and what belongs to a bot.
    _files: threading.RLock = field(default_factory=threading.RLock)
    _whole: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, act: Act) -> None:
        """Start a deed; returns at once."""
        thread = threading.Thread(target=self._run, args=(act,), name=act.deed.value, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Cut short what lasts, and wait for its undoing."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self.world.set_clock(0.0)
        self._ask("resume", bots=None)

    def _run(self, act: Act) -> None:
        try:
            did = _DO[act.deed](self, act)
        except Exception as exc:  # noqa: BLE001 - a deed that fails is a fault of ours, and has to be seen
            self.faults.append(f"{act.deed.value}: {exc!r}")
            return
        (self.done if did else self.missed)[act.deed] += 1

    def _wait(self, seconds: float) -> None:
        self._ending.wait(seconds)

    def _ask(self, op: str, **arguments: Any) -> str | None:
        """Give a command; give the code of its failure, None when it worked, `away` where nobody answered."""
        try:
            self.daemon.ask(op, **arguments)
        except HotshotError as exc:
            return getattr(exc, "reply_code", "away")
        except OSError:
            return "away"
        return None

    # --- blows ------------------------------------------------------------------------------------

    def kill_child(self, act: Act) -> bool:
        pid = self._find_child(act)
        return pid is not None and _signal(pid, signal.SIGKILL)

    def kill_supervisor(self, act: Act) -> bool:
        self.daemon.kill(everybody=act.deed is Deed.KILL_EVERYBODY, pause_seconds=act.seconds)
        return True

    def stop_process(self, act: Act) -> bool:
        pid = self.daemon.pid if act.deed is Deed.STOP_SUPERVISOR else self._find_child(act)
        if pid is None or not _signal(pid, signal.SIGSTOP):
            return False
        self.daemon.stopped.add(pid)
        try:
            self._wait(act.seconds)
        finally:
            # Whoever has the number by now, to let it go on does no harm.
            _signal(pid, signal.SIGCONT)
            self.daemon.stopped.discard(pid)
        return True

    def _find_child(self, act: Act) -> int | None:
        role = "quota" if act.deed in (Deed.KILL_QUOTA, Deed.STOP_QUOTA) else act.bot
        return self.daemon.find_pids().get(role)

    # --- wishes -----------------------------------------------------------------------------------

    def pause(self, act: Act) -> bool:
        if self._ask("pause", bots=[act.bot], until=None, reason="chaos") is not None:
            self._ask_surely("resume", bots=[act.bot])
            return False
        begin = time.monotonic()
        self._wait(act.seconds)
        self.quiet.append(Quiet(act.bot, begin, time.monotonic()))
        self._ask_surely("resume", bots=[act.bot])
        return True

    def reload(self, act: Act) -> bool:
        with self._files:
            path = self.world.bot_file(act.bot)
            number = int(act.luck * 1000)
            replace_file(path, _BACKSTORY.sub(f"and I have {number} opinions about geese", path.read_text()))
            if act.luck < 0.3:
                return _signal(self.daemon.pid, signal.SIGHUP)
            return self._ask("reload", bot=None) in (None, "invalid")

    def reload_broken(self, act: Act) -> bool:
        with self._files:
            path = self.world.bot_file(act.bot)
            text = path.read_text()
            replace_file(path, text + ("backstroy: typo\n" if act.luck < 0.5 else "reddit: [\n"))
            self._ask("reload", bot=None)
            self._wait(act.seconds)
            replace_file(path, text)
            self._ask("reload", bot=None)
        return True

    def reload_broken_main(self, _act: Act) -> bool:
        # A supervisor that starts anew in this time would refuse to run, as it should.
        with self._files, self.daemon.change:
            self.world.write_main("timezone: Atlantis\n")
            if self._ask("reload", bot=None) is None:
                self.faults.append("a reload with a broken main file was not refused")
            self.world.write_main()
            self._ask("reload", bot=None)
        return True

    def remove(self, act: Act) -> bool:
        with self._files:
            path = self.world.bot_file(act.bot)
            text = path.read_text()
            path.unlink()
            self._ask("reload", bot=None)
            self._wait(act.seconds)
            replace_file(path, text)
            self._ask_surely("reload", bot=None)
        return True

    def restart(self, act: Act) -> bool:
        return self._ask("restart", bot=act.bot) is None

    def _ask_surely(self, op: str, **arguments: Any) -> None:
        """Give a command again and again until the daemon has taken it, or the run is over (then all are resumed)."""
        for _ in range(60):
            if self._ask(op, **arguments) not in ("away", "disk") or self._ending.is_set():
                return
            self._wait(0.5)

    # --- the world --------------------------------------------------------------------------------

    def step_clock(self, act: Act) -> bool:
        if not self.world.can_step_clock:
            return False
        with self._whole:
            is_midnight = act.deed is Deed.MIDNIGHT
            self.world.set_clock(_MIDNIGHT_STEP if is_midnight else (2 * act.luck - 1) * _LONGEST_STEP)
            self._wait(act.seconds)
            self.world.set_clock(0.0)
        return True

    def fill_disk(self, act: Act) -> bool:
        with self._whole:
            free = self.world.fill_disk(self.daemon.find_pids().get("quota"))
            try:
                self._wait(act.seconds)
            finally:
                free()
        return True

    def ban(self, act: Act) -> bool:
        forum, place = self.world.forum, self._find_place(act.bot)
        forum.ban(act.bot, place)
        self._wait(act.seconds)
        forum.ban(act.bot, place, banned=False)
        self._ask_surely("restart", bot=act.bot)
        return True

    def suspend(self, act: Act) -> bool:
        self.world.forum.suspend(act.bot)
        self._wait(act.seconds)
        self.world.forum.suspend(act.bot, suspended=False)
        self._ask_surely("restart", bot=act.bot)
        return True

    def _find_place(self, name: str) -> str:
        return next(bot.homes[-1] for bot in self.world.cast if bot.name == name)


_DO: dict[Deed, Callable[[Doer, Act], bool]] = {
    Deed.KILL_WORKER: Doer.kill_child,
    Deed.KILL_QUOTA: Doer.kill_child,
    Deed.KILL_SUPERVISOR: Doer.kill_supervisor,
    Deed.KILL_EVERYBODY: Doer.kill_supervisor,
    Deed.STOP_WORKER: Doer.stop_process,
    Deed.STOP_QUOTA: Doer.stop_process,
    Deed.STOP_SUPERVISOR: Doer.stop_process,
    Deed.PAUSE: Doer.pause,
    Deed.RELOAD: Doer.reload,
    Deed.RELOAD_BROKEN: Doer.reload_broken,
    Deed.RELOAD_BROKEN_MAIN: Doer.reload_broken_main,
    Deed.REMOVE: Doer.remove,
    Deed.RESTART: Doer.restart,
    Deed.CLOCK: Doer.step_clock,
    Deed.MIDNIGHT: Doer.step_clock,
    Deed.DISK: Doer.fill_disk,
    Deed.BAN: Doer.ban,
    Deed.SUSPEND: Doer.suspend,
}


def _signal(pid: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
