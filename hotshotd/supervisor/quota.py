"""The quota process as the supervisor's child: restarted at once, told the budgets, asked for figures."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from itertools import count

from hotshotd.backoff import Backoff
from hotshotd.errors import ExitCode
from hotshotd.log import get_logger
from hotshotd.loop import Loop, Timer
from hotshotd.supervisor.process import Child, ChildMain, SpawnError, spawn
from hotshotd.wire import Json

_log = get_logger()

#: "At most 5 s apart": while it is away nothing is spent, so it comes back fast.
_BACKOFF = Backoff(base_seconds=0.05, cap_seconds=5.0)
_HEALTHY_SECONDS = 60.0

Answer = Callable[[Json | None], None]


class QuotaChild:
    """The quota process. `state` is what `status` shows: starting, ok, damaged, failing or down."""

    def __init__(
        self,
        loop: Loop,
        main: ChildMain,
        listener: socket.socket,
        *,
        chance: random.Random,
        on_event: Callable[[Json], None],
        on_refused: Callable[[str], None],
    ) -> None:
        """`on_refused` is called with the reason when the process can never run with what it was given."""
        self.state = "starting"
        self.message = ""
        self.snapshot: Json = {}
        self._loop = loop
        self._main = main
        self._listener = listener
        self._chance = chance
        #: Who hears each event of the process.
        self.listeners = [on_event]
        self._on_refused = on_refused
        self._child: Child | None = None
        self._settings: Json = {}
        self._ids = count(1)
        self._waiting: dict[int, tuple[Answer, Timer]] = {}
        self._failures = 0
        self._healthy: Timer | None = None
        self._stopping: Callable[[], None] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Fork the process and tell it the settings."""
        self.state, self.message = "starting", ""
        try:
            self._child = spawn(
                self._loop, self._main, on_message=self._on_message, keep=[self._listener], dies_with_parent=False
            )
        except SpawnError as exc:
            self._fail(str(exc))
            return
        if self._settings:
            self._child.send({"op": "configure", **self._settings})
        self._healthy = self._loop.call_later(_HEALTHY_SECONDS, self._forget_failures)

    def configure(self, settings: Json) -> None:
        """Set budgets, caps and time zone, now and after each restart."""
        self._settings = settings
        if self._child:
            self._child.send({"op": "configure", **settings})

    def set_paused(self, bot: str, *, paused: bool, then: Callable[[], None]) -> None:
        """Stop or allow a bot's grants; calls `then` once it holds (at once while the process is away)."""
        self._settings.get("bots", {}).get(bot, {}).update(paused=paused)
        self.request({"op": "pause", "bot": bot, "paused": paused}, lambda _answer: then(), seconds=5.0)

    def request(self, message: Json, answer: Answer, *, seconds: float) -> None:
        """Ask; calls `answer` with the reply, or with None when none comes in time."""
        if self._child is None:
            answer(None)
            return
        number = next(self._ids)
        timer = self._loop.call_later(seconds, lambda: self._answer(number, None))
        self._waiting[number] = (answer, timer)
        self._child.send({"id": number, **message})

    def refresh(self, then: Callable[[], None], *, seconds: float) -> None:
        """Ask for fresh figures; calls `then` when `snapshot` has them, or after `seconds` with the last known ones."""

        def take(snapshot: Json | None) -> None:
            if snapshot is not None and snapshot.get("ok"):
                self.snapshot = snapshot
            then()

        self.request({"op": "snapshot"}, take, seconds=seconds)

    def stop(self, then: Callable[[], None], *, seconds: float) -> None:
        """Let it write exact figures and end; kill it after `seconds`."""
        self._stopping = then
        if self._child is None:
            then()
            return
        self._child.send({"op": "stop"})
        self._loop.call_later(seconds, self._child.kill)

    def reap(self, pid: int, status: int) -> None:
        if self._child is None or self._child.pid != pid:
            return
        self._child.drain()
        self._child = None
        if self._healthy:
            self._healthy.cancel()
        for number in list(self._waiting):
            self._answer(number, None)
        if self._stopping:
            self.state = "down"
            self._stopping()
        elif status == ExitCode.CONFIG:
            self.state = "down"
            self._on_refused(self.message)
        else:
            self._fail(self.message or f"ended with {status}")

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self.state, self.message = "down", reason
        _log.error("quota.exited", reason=reason)
        self._loop.call_later(_BACKOFF.compute_ceiling(self._failures), self.start)

    def _forget_failures(self) -> None:
        self._failures = 0

    def _on_message(self, message: Json) -> None:
        if "id" in message:
            self._answer(int(message["id"]), message)
            return
        if message.get("event") == "ready":
            self.state, self.message = "ok", ""
        elif message.get("event") == "state":
            self.state, self.message = str(message.get("state")), str(message.get("message", ""))
        for listen in self.listeners:
            listen(message)

    def _answer(self, number: int, reply: Json | None) -> None:
        answer, timer = self._waiting.pop(number, (None, None))
        if timer:
            timer.cancel()
        if answer:
            answer(reply)
