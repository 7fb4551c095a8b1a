"""The operator's commands, carried out on a supervisor (the `Daemon` of `hotshotd.control.protocol`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime

from hotshotd import __version__
from hotshotd._types import BotName
from hotshotd.config.faults import Fault
from hotshotd.config.loaded import InvalidBot, Loaded
from hotshotd.errors import BotPaused, ControlError, UnknownBot
from hotshotd.log import get_logger
from hotshotd.supervisor.bot import Bot
from hotshotd.supervisor.errands import Waiting
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import SIGN_IN_SECONDS, Changes, Supervisor
from hotshotd.supervisor.wishes import Pause
from hotshotd.wire import Json
from hotshotd.worker.tokens import write_token

_log = get_logger()

#: Seconds the quota process has for fresh figures before `status` shows the last known ones; the contract says 1 s in
#: all.
FIGURES_SECONDS = 0.5
#: Seconds `pause` waits for a write under way: the worker itself gives up after 30.
PAUSE_SECONDS = 31.0

Reply = Callable[[Json], None]
Failure = Callable[[str, str], None]
StepTaker = Callable[[Json], None]
Drop = Callable[[], None]


class Commands:
    """One method a command; answers through callbacks, now or later."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._started = supervisor.loop.clock.monotonic()

    # -- looking -----------------------------------------------------------------------------

    def status(self, names: Sequence[str], *, reply: Reply) -> None:
        """Tell how the daemon and the bots are."""
        chosen = self._check_known(names)

        def answer() -> None:
            reply({"daemon": self._describe_daemon(), "bots": [self._describe_bot(name) for name in chosen]})

        self._with_figures(answer)

    def quota(self, name: str | None, *, reply: Reply) -> None:
        """Tell what was spent, the caps, and when they reset."""
        if name is not None:
            self._check_known([name])

        def answer() -> None:
            figures = dict(self._supervisor.quota.snapshot.get("quota", {}))
            if name is not None and figures:
                figures["bots"] = [bot for bot in figures.get("bots", []) if bot["name"] == name]
            reply(figures)

        self._with_figures(answer)

    def describe_bots(self) -> list[Json]:
        """Give the bots of `status` at once, with the figures of the last answer; asks for newer ones meanwhile."""
        self._with_figures(lambda: None)
        return [self._describe_bot(name) for name in self._check_known([])]

    # -- steering ----------------------------------------------------------------------------

    def reload(self, name: str | None, *, reply: Reply, fail: Failure) -> None:
        """Read the files again; answers when the new workers are signed in."""
        self._refuse_while_stopping()
        only = BotName(name) if name is not None else None
        if only is not None and not self._is_known(only):
            # It may have been written just now.
            fresh = self._supervisor.peek()
            if only not in {*(bot.name for bot in fresh.bots), *(bot.name for bot in fresh.invalid)}:
                raise UnknownBot(f"{only}: no such bot; `hotshotctl status` lists them")
        self._answer_reload(self._supervisor.reload(only), reply, fail)

    def restart(self, name: str, *, reply: Reply, fail: Failure) -> None:
        """Read a bot's file again and start its worker anew."""
        self._refuse_while_stopping()
        self._check_known([name])
        self._answer_reload(self._supervisor.reload(BotName(name), restart=True), reply, fail)

    def token(self, name: str, *, token: str, reply: Reply, fail: Failure) -> None:
        """Keep a bot's new refresh token, and start its worker anew with it."""
        self._refuse_while_stopping()
        self._check_known([name])
        try:
            path = write_token(self._supervisor.main.state_dir, name, token)
        except OSError as exc:
            fail("disk", f"the token can't be stored ({exc.strerror}); free space or mend the state folder, then again")
            return
        _log.info("token.stored", bot=name, path=str(path))
        self._answer_reload(self._supervisor.reload(BotName(name), restart=True), reply, fail)

    def pause(
        self, names: Sequence[str] | None, *, until: datetime | None, reason: str, reply: Reply, fail: Failure
    ) -> None:
        """Make bots quiet; answers when a write under way has its outcome."""
        bots = self._choose_bots(names)
        if until is not None and until <= self._supervisor.loop.clock.now():
            fail("past", "the end of the pause is in the past")
            return
        try:
            for bot in bots:
                self._supervisor.wishes.pause(bot.name, Pause(until=until, reason=reason))
        except OSError as exc:
            fail(
                "disk",
                f"the pause can't be stored ({exc.strerror}); free space or mend the state folder, then pause again",
            )
            return
        round_ = _PauseRound(self._supervisor, bots, reply, fail)
        for bot in bots:
            round_.begin(bot, Pause(until=until, reason=reason))
        round_.finish_if_done()

    def resume(self, names: Sequence[str] | None, *, reply: Reply, fail: Failure) -> None:
        """Let bots go on."""
        bots = self._choose_bots(names)
        left = {bot.name for bot in bots}

        def done(bot: Bot) -> None:
            left.discard(bot.name)
            if not left:
                reply({"resumed": [bot.name for bot in bots]})

        try:
            for bot in bots:
                self._supervisor.end_pause(bot, lambda bot=bot: done(bot))  # type: ignore[misc]
        except OSError as exc:
            fail("disk", f"the end of the pause can't be stored ({exc.strerror})")
            return
        if not bots:
            reply({"resumed": []})

    # -- having a bot do something now -------------------------------------------------------

    def try_thing(self, name: str, *, url: str, step: StepTaker, reply: Reply, fail: Failure) -> Drop:
        """Show what a bot would do with one thing, step by step; gives what drops it."""
        return self._send_errand(name, {"op": "try", "url": url}, Waiting(step, reply, fail))

    def make_post(self, name: str, *, dry_run: bool, step: StepTaker, reply: Reply, fail: Failure) -> Drop:
        """Have a bot post now, step by step; gives what drops it."""

        def answer(data: Json) -> None:
            reply({**data, "permalink": self._make_address(data.get("permalink"))})

        return self._send_errand(name, {"op": "post", "dry_run": dry_run}, Waiting(step, answer, fail))

    def _make_address(self, permalink: str | None) -> str | None:
        """Give the whole address of a thing; a worker knows its path on the platform's site."""
        if permalink is None or not permalink.startswith("/"):
            return permalink
        return self._supervisor.main.reddit.reddit_url.rstrip("/") + permalink

    def _send_errand(self, name: str, command: Json, waiting: Waiting) -> Drop:
        self._refuse_while_stopping()
        self._check_known([name])
        bot = self._supervisor.bots.get(BotName(name))
        if bot is None:
            raise ControlError(f"{name}: its file is invalid; `hotshotctl status {name}` shows the faults")
        if bot.pause is not None:
            raise BotPaused(f"{name} is paused; `hotshotctl resume {name}` first")
        if bot.state is not State.RUNNING:
            raise ControlError(f"{name} is {bot.shown.value}, not running; `hotshotctl status {name}` says why")
        return bot.errands.begin(command, waiting)

    # -- inside ------------------------------------------------------------------------------

    def _refuse_while_stopping(self) -> None:
        # A worker that was started now would keep the daemon from ending.
        if self._supervisor.stopping:
            raise ControlError("the daemon is stopping; start it again instead")

    def _is_known(self, name: str) -> bool:
        return name in self._supervisor.bots or name in self._supervisor.invalid

    def _check_known(self, names: Sequence[str]) -> list[BotName]:
        for name in names:
            if not self._is_known(name):
                raise UnknownBot(f"{name}: no such bot; `hotshotctl status` lists them")
        everyone = sorted({*self._supervisor.bots, *self._supervisor.invalid})
        # Each once: a name that is written twice must not count as two confirmations.
        return [BotName(name) for name in dict.fromkeys(names)] or everyone

    def _choose_bots(self, names: Sequence[str] | None) -> list[Bot]:
        chosen = self._check_known(names or []) if names != [] else []
        return [self._supervisor.bots[name] for name in chosen if name in self._supervisor.bots]

    def _with_figures(self, answer: Callable[[], None]) -> None:
        self._supervisor.quota.refresh(answer, seconds=FIGURES_SECONDS)

    def _describe_daemon(self) -> Json:
        quota = self._supervisor.quota
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": int(self._supervisor.loop.clock.monotonic() - self._started),
            "state_dir": str(self._supervisor.main.state_dir),
            "runtime_dir": str(self._supervisor.main.runtime_dir),
            "quota": {"pid": quota.pid, "state": quota.state, "message": quota.message},
            "services": quota.snapshot.get("services", []),
        }

    def _describe_bot(self, name: BotName) -> Json:
        bot = self._supervisor.bots.get(name)
        if bot is None:
            return _describe_invalid(name, self._supervisor.invalid[name])
        return {**bot.describe(), "spend": self._get_spend(bot)}

    def _get_spend(self, bot: Bot) -> Json:
        figures = self._supervisor.quota.snapshot.get("quota", {}).get("bots", [])
        spent = next((entry["characters"] for entry in figures if entry["name"] == bot.name), 0)
        return compute_spend(spent, bot.config.character_budget)

    def _answer_reload(self, outcome: tuple[Changes, tuple[Bot, ...]] | Loaded, reply: Reply, fail: Failure) -> None:
        if isinstance(outcome, Loaded):
            fail("invalid", "\n".join(str(fault) for fault in outcome.main_faults))
            return
        changes, started = outcome
        self._supervisor.when_settled(started, SIGN_IN_SECONDS, lambda: reply(_describe_changes(changes, started)))


class _PauseRound:
    """One `pause` command on its way: which bots are not quiet yet, and which write is in doubt."""

    def __init__(self, supervisor: Supervisor, bots: list[Bot], reply: Reply, fail: Failure) -> None:
        self._supervisor = supervisor
        self._bots = bots
        self._left = {bot.name: 2 for bot in bots}
        self._in_doubt: list[str] = []
        self._reply: Reply | None = reply
        self._fail = fail
        supervisor.loop.call_later(PAUSE_SECONDS, self._give_up)

    def begin(self, bot: Bot, pause: Pause) -> None:
        # Both at once: the ledger gives no more, and the worker sends and writes no more.
        self._supervisor.quota.set_paused(bot.name, paused=True, then=lambda: self._done(bot, None))
        bot.set_pause(pause, lambda in_doubt: self._done(bot, in_doubt))
        self._supervisor.resume_at(bot.name)

    def _done(self, bot: Bot, in_doubt: str | None) -> None:
        self._left[bot.name] -= 1
        if in_doubt:
            self._in_doubt.append(f"{bot.name}: {in_doubt}")
        self.finish_if_done()

    def finish_if_done(self) -> None:
        if self._reply is None or any(self._left.values()):
            return
        reply, self._reply = self._reply, None
        if self._in_doubt:
            self._fail("in_doubt", "paused, but nobody knows whether this arrived: " + "; ".join(self._in_doubt))
        else:
            reply({"paused": [bot.name for bot in self._bots]})

    def _give_up(self) -> None:
        if self._reply is not None:
            self._reply = None
            silent = [name for name, left in self._left.items() if left]
            self._fail("in_doubt", f"paused, but {', '.join(silent)} did not confirm; what it was writing is in doubt")


def compute_spend(spent: int, budget: int | None) -> Json:
    """Give the contract's figures; percent rounds down, and is null without a budget."""
    if budget is None:
        return {"characters": spent, "budget": None, "percent": None}
    return {"characters": spent, "budget": budget, "percent": spent * 100 // budget if budget else 100}


def _describe_invalid(name: BotName, invalid: InvalidBot) -> Json:
    faults = [str(fault) for fault in invalid.faults]
    return {
        "name": name,
        "state": State.INVALID.value,
        "reason": faults[0] if faults else "",
        "pid": None,
        "uptime_s": 0,
        "restarts": 0,
        "dry_run": False,
        "read": {"submissions": 0, "comments": 0},
        "write": {"posts": 0, "replies": 0},
        "spend": {"characters": 0, "budget": None, "percent": None},
        "next_post_at": None,
        "poll_interval_s": None,
        "paused_until": None,
        "degraded": [],
        "banned_in": [],
        "unreadable": [],
        "last_error": "\n".join(faults),
        "file": str(invalid.path),
    }


def _describe_changes(changes: Changes, started: tuple[Bot, ...]) -> Json:
    return {
        "added": list(changes.added),
        "changed": list(changes.changed),
        "removed": list(changes.removed),
        "unchanged": list(changes.unchanged),
        "invalid": [_describe_fault(fault) for bot in changes.invalid for fault in bot.faults],
        "not_running": [
            {"name": bot.name, "state": bot.shown.value, "reason": bot.reason or "not signed in yet"}
            for bot in started
            if bot.shown not in (State.RUNNING, State.PAUSED)
        ],
    }


def _describe_fault(fault: Fault) -> Json:
    return {"file": str(fault.file), "line": fault.line, "key": fault.key, "error": fault.message}
