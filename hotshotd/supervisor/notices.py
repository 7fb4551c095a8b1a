"""What the service manager is told, and what of the quota process's news is worth a log line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hotshotd.log import get_logger
from hotshotd.loop import Loop
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.systemd import Notifier
from hotshotd.wire import Json

_log = get_logger()

#: Events of the quota process that are logged as they are, and how loud.
_LOGGED = {"budget.reached": "warning", "service.state": "info", "clock.jump": "warning", "state": "info"}

#: States of the quota process in which no bot can do anything.
_NOT_GRANTING = frozenset({"damaged", "failing"})

#: Seconds between two requests for more time, what each asks for, and how long it is asked for more in all: a daemon
#: that can't get up by then is started anew.
EXTEND_EVERY_SECONDS, EXTEND_SECONDS, EXTEND_LIMIT_SECONDS = 10.0, 30.0, 600.0
#: Seconds between two looks at what was spent, and how long one may take.
FIGURES_EVERY_SECONDS, FIGURES_SECONDS = 60.0, 5.0


class Notices:
    """Tells systemd when all is up, how the bots are, that a reload is under way, and that the loop is alive."""

    def __init__(self, loop: Loop, notifier: Notifier) -> None:
        self._loop = loop
        self._notifier = notifier
        self._supervisor: Supervisor | None = None
        self._ready = False
        self._stopping = False
        self._reloads = 0
        self._line = ""

    def attend(self, supervisor: Supervisor) -> None:
        """Speak for this supervisor from now on."""
        self._supervisor = supervisor
        if not self._notifier.is_connected:
            return
        self._extend(until=self._loop.clock.monotonic() + EXTEND_LIMIT_SECONDS)
        self._repeat(FIGURES_EVERY_SECONDS, self._refresh)
        if self._notifier.watchdog_interval_seconds:
            self._notifier.watchdog()
            self._repeat(self._notifier.watchdog_interval_seconds, self._notifier.watchdog)

    def on_quota_event(self, message: Json) -> None:
        """Log what is worth it, and look whether all is up now."""
        event = str(message.get("event"))
        if event in _LOGGED:
            facts = {key: value for key, value in message.items() if key != "event"}
            level = "error" if facts.get("state") in _NOT_GRANTING and event == "state" else _LOGGED[event]
            getattr(_log, level)("quota.state" if event == "state" else event, **facts)
        if event in ("ready", "budget.reached"):
            self._refresh()
        self.on_change()

    def on_change(self) -> None:
        """Look again at the bots' states; called after each change."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        line = describe(supervisor)
        if supervisor.stopping:
            self._say_stopping(line)
        elif not self._ready and supervisor.settled():
            self._ready = True
            self._notifier.ready(line)
            _log.info("daemon.ready", status=line)
        elif line != self._line:
            self._notifier.status(line)
        self._line = line

    def on_reload_begun(self) -> None:
        """A reload begins; during the start nobody waits for one, and READY would be taken for the start's."""
        self._reloads += 1
        if self._ready and not self._stopping:
            # Also while another is under way: systemd waits for one that is younger than its own request.
            self._notifier.reloading()

    def on_reload_ended(self) -> None:
        """A reload is over, well or not."""
        self._reloads -= 1
        if self._reloads == 0 and self._ready and not self._stopping:
            self._notifier.ready(self._line)

    def _say_stopping(self, line: str) -> None:
        if not self._stopping:
            self._stopping = True
            self._notifier.stopping(line)
        elif line != self._line:
            self._notifier.status(line)

    def _extend(self, *, until: float) -> None:
        """Ask for more time while the start is under way; a loop that hangs asks for none."""
        if self._ready or self._stopping or self._loop.clock.monotonic() >= until:
            return
        self._notifier.extend_timeout(EXTEND_SECONDS)
        self._loop.call_later(EXTEND_EVERY_SECONDS, lambda: self._extend(until=until))

    def _refresh(self) -> None:
        """Ask what was spent, and show it."""
        supervisor = self._supervisor
        if supervisor is None or not self._notifier.is_connected:
            return
        quota = supervisor.quota

        def take(snapshot: Json | None) -> None:
            if snapshot is not None and snapshot.get("ok"):
                quota.snapshot = snapshot
                self.on_change()

        quota.request({"op": "snapshot"}, take, seconds=FIGURES_SECONDS)

    def _repeat(self, seconds: float, call: Callable[[], None]) -> None:
        def again() -> None:
            call()
            self._loop.call_later(seconds, again)

        self._loop.call_later(seconds, again)


def describe(supervisor: Supervisor) -> str:
    """Say in one line how the bots are: `3 running, 1 paused, 0 failed; 41 % of today's characters`."""
    counts = Counter(bot.shown for bot in supervisor.bots.values())
    counts[State.INVALID] += len(supervisor.invalid)
    shown = [State.RUNNING, State.PAUSED, State.FAILED]
    shown += [state for state in (State.STARTING, State.BACKOFF, State.INVALID) if counts[state]]
    if supervisor.stopping:
        shown = [state for state in State if counts[state] and state is not State.INVALID]
    parts = [", ".join(f"{counts[state]} {state.value}" for state in shown)]
    percent = compute_percent(supervisor.quota.snapshot.get("quota", {}))
    if percent is not None:
        parts.append(f"{percent} % of today's characters")
    if supervisor.quota.state not in ("ok", "starting") and not supervisor.stopping:
        parts.append(f"nothing can be spent: the quota process is {supervisor.quota.state}")
    return "; ".join(parts)


def compute_percent(figures: Json) -> int | None:
    """Give how much of what all bots together may send today is spent, rounded down; None where there is no limit.

    The limit is the daily cap over all bots, or the sum of their budgets where that is less.
    """
    budgets = [(bot["characters"], bot["budget"]) for bot in figures.get("bots", []) if bot["budget"] is not None]
    limits = [(sum(spent for spent, _ in budgets), sum(budget for _, budget in budgets))] if budgets else []
    day = figures.get("daily_total", {})
    if day.get("cap") is not None:
        limits.append((day["spend"], day["cap"]))
    spent, limit = min(limits, key=lambda pair: pair[1], default=(0, 0))
    return spent * 100 // limit if limit else None
