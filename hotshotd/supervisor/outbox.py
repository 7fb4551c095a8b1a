"""Alerts on their way out: a short queue, one courier process at a time, patience with a hook that is away.

An alert arrives at least once: where its courier is killed between the hook's answer and its own word, it goes again.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from hotshotd.backoff import Backoff
from hotshotd.log import get_logger
from hotshotd.loop import Loop, Timer
from hotshotd.supervisor.courier import Alert
from hotshotd.supervisor.process import Child, SpawnError
from hotshotd.supervisor.told import Subject, Told
from hotshotd.wire import Json

_log = get_logger()

#: Alerts that may wait; more are lost, and logged.
MAX_WAITING = 100
#: Alerts that one courier takes along, and the seconds it has for all of them.
MAX_BURDEN, COURIER_SECONDS = 10, 60.0
#: Seconds after which an alert is given up.
GIVE_UP_SECONDS = 3600.0

_BACKOFF = Backoff(base_seconds=5.0, cap_seconds=300.0)


class Launch(Protocol):
    """Forks a courier with some alerts; raises SpawnError."""

    def __call__(self, alerts: Sequence[Alert], *, on_message: Callable[[Json], None]) -> Child: ...


class Outbox:
    """The queue and its courier. No method waits for anything."""

    def __init__(self, loop: Loop, told: Told, *, launch: Launch, chance: random.Random) -> None:
        self._loop = loop
        self._told = told
        self._launch = launch
        self._chance = chance
        self._waiting: deque[tuple[Alert, Subject, float]] = deque()
        self._courier: Child | None = None
        self._deadline: Timer | None = None
        self._next: Timer | None = None
        self._failures = 0
        self._held: Json | None = None
        self._had_no_success = False
        self._lost: list[Subject] = []

    def put(self, alert: Alert, subject: Subject) -> None:
        """Send an alert as soon as can be. It goes behind those that wait."""
        if len(self._waiting) >= MAX_WAITING:
            self._lose(alert, subject, "too many alerts wait already")
            return
        self._waiting.append((alert, subject, self._loop.clock.monotonic()))
        if self._next is None:
            self._plan(0.0)

    def hurry(self) -> None:
        """Try at once, for the settings are new; what did not arrive with the old ones counts as untold."""
        self._failures = 0
        lost, self._lost = self._lost, []
        for subject in lost:
            self._told.forget(subject)
        if self._waiting:
            self._plan(0.0)

    def reap(self, pid: int, _status: int) -> None:
        """Take note that a child has ended; others' are ignored."""
        if self._courier is None or self._courier.pid != pid:
            return
        self._courier.drain()
        self._courier = None
        if self._deadline:
            self._deadline.cancel()
        held, self._held = self._held, None
        if held is not None or self._had_no_success:
            self._fail(held or {"error": "its courier ended without a word", "final": False})
        elif self._waiting:
            self._plan(0.0)

    # -- inside --------------------------------------------------------------------------------

    def _plan(self, seconds: float) -> None:
        if self._next:
            self._next.cancel()
        self._next = self._loop.call_later(seconds, self._send)

    def _send(self) -> None:
        self._next = None
        if self._courier is not None or not self._waiting:
            return
        burden = [alert for alert, _, _ in self._waiting][:MAX_BURDEN]
        self._had_no_success = True
        try:
            self._courier = self._launch(burden, on_message=self._on_message)
        except SpawnError as exc:
            self._fail({"error": str(exc), "final": False})
            return
        self._deadline = self._loop.call_later(COURIER_SECONDS, self._courier.kill)

    def _on_message(self, message: Json) -> None:
        if message.get("event") == "held":
            self._held = message
        elif message.get("event") == "delivered" and self._waiting:
            alert, subject, _ = self._waiting.popleft()
            self._had_no_success = False
            self._failures = 0
            self._told.note_arrived(subject)
            _log.info("alert.sent", bot=alert.bot, cause=alert.cause)

    def _fail(self, held: Json) -> None:
        """Try again later, or let go of what will never be taken."""
        error = str(held["error"])
        if held["final"]:
            self._lose_first(error)
        oldest = self._loop.clock.monotonic() - GIVE_UP_SECONDS
        while self._waiting and self._waiting[0][2] <= oldest:
            self._lose_first(error)
        if not self._waiting:
            self._failures = 0
            return
        self._failures += 1
        wish = held.get("retry_after") or 0.0
        seconds = max(_BACKOFF.compute_delay(self._failures, self._chance), wish)
        _log.warning("alert.delayed", error=error, attempt=self._failures, delay_seconds=round(seconds, 1))
        self._plan(seconds)

    def _lose_first(self, error: str) -> None:
        if self._waiting:
            alert, subject, _ = self._waiting.popleft()
            self._lose(alert, subject, error)

    def _lose(self, alert: Alert, subject: Subject, error: str) -> None:
        self._lost.append(subject)
        _log.error(
            "alert.lost",
            bot=alert.bot,
            cause=alert.cause,
            message=alert.message,
            error=error,
            remedy="set alerts.webhook_url_env right, then `hotshotctl reload`",
        )
