"""What the service manager is told, and what of the quota process's news is worth a log line."""

from __future__ import annotations

from collections import Counter

from hotshotd.log import get_logger
from hotshotd.loop import Loop
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.systemd import Notifier
from hotshotd.wire import Json

_log = get_logger()

#: Events of the quota process that are logged as they are, and how loud.
_LOGGED = {"budget.reached": "warning", "service.state": "info", "clock.jump": "warning", "state": "info"}


class Notices:
    """Tells systemd when all is up, how the bots are, and that the loop is alive."""

    def __init__(self, loop: Loop, notifier: Notifier) -> None:
        self._loop = loop
        self._notifier = notifier
        self._supervisor: Supervisor | None = None
        self._ready = False
        self._line = ""

    def attend(self, supervisor: Supervisor) -> None:
        """Speak for this supervisor from now on."""
        self._supervisor = supervisor
        if self._notifier.watchdog_interval_seconds:
            self._pet()

    def on_quota_event(self, message: Json) -> None:
        """Log what is worth it, and look whether all is up now."""
        event = str(message.get("event"))
        if event in _LOGGED:
            facts = {key: value for key, value in message.items() if key != "event"}
            getattr(_log, _LOGGED[event])("quota.state" if event == "state" else event, **facts)
        self.on_change()

    def on_change(self) -> None:
        """Look again at the bots' states; called after each change."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        line = _describe(supervisor)
        if supervisor.stopping:
            self._notifier.stopping("stopping")
        elif not self._ready and supervisor.settled():
            self._ready = True
            self._notifier.ready(line)
            _log.info("daemon.ready", status=line)
        elif line != self._line:
            self._notifier.status(line)
        self._line = line

    def _pet(self) -> None:
        interval = self._notifier.watchdog_interval_seconds
        if interval:
            self._notifier.watchdog()
            self._loop.call_later(interval, self._pet)


def _describe(supervisor: Supervisor) -> str:
    """Say in one line how the bots are: `3 running, 1 paused, 0 failed`."""
    counts = Counter(bot.shown for bot in supervisor.bots.values())
    counts[State.INVALID] += len(supervisor.invalid)
    shown = [State.RUNNING, State.PAUSED, State.FAILED]
    shown += [state for state in (State.STARTING, State.BACKOFF, State.INVALID) if counts[state]]
    return ", ".join(f"{counts[state]} {state.value}" for state in shown)
