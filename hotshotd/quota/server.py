"""The quota process: one thread, one selector, one turn after the other.

A turn: read everything that is ready, apply it in memory, make it durable with one write, and only then answer.
If the write fails, the turn's grants are taken back and refused.

Worker connections (quota.sock), one JSON object a line, each with an `id` that its answer repeats:

    {"op": "hello", "bot", "client"}                        first; the connection is the lease of what follows
    {"op": "ask" | "check", "service", "role", "chars", "model", "key_id", "addressed", "knock"}
                                                                                -> {"number", "chars"} | {}
    {"op": "account", "number", "chars", "result", "received", "seconds", "retry_after", "error"}
    {"op": "acquire", "write"} -> {"wait"}      {"op": "observe", "used", "remaining", "reset_seconds"}
    {"op": "stretch", "interval", "requests"} -> {"interval"}

The supervisor's channel: `configure` (first), `pause`, `snapshot`, `stop`; its events are `ready`, `state`,
`budget.reached`, `service.state`, `clock.jump`. The end of the channel is the supervisor's death: figures are
written and the process ends.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hotshotd._types import BotName
from hotshotd.clock import Clock
from hotshotd.errors import ConfigError, HotshotError, ProtocolError, QuotaUnavailable
from hotshotd.quota import moment
from hotshotd.quota.figures import write_event, write_figures, write_service, write_service_event, write_timing
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.link import Link
from hotshotd.quota.messages import read_flag, read_text, write_error
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import LedgerState, Plan
from hotshotd.quota.requests import HANDLERS, parse_plan
from hotshotd.quota.room import Room, Tenant
from hotshotd.quota.store import LedgerInUse, SqliteStore, Store
from hotshotd.wire import MAX_LINE_BYTES, MAX_REQUEST_BYTES, Json, read_peer

#: How often a ledger that can't be written is tried again, in seconds.
RETRY_SECONDS = 3.0

#: How long counters that change no budget may wait for a write, in seconds.
COUNTERS_SECONDS = 300.0

#: How long a start waits for an earlier quota process to end (its supervisor may have been killed), in seconds.
LOCK_SECONDS = 5.0

#: Workers' connections at once; more are closed at the door.
MAX_CONNECTIONS = 4000


class EventLog(Protocol):
    """What is needed of a structlog logger."""

    def error(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...


@dataclass(slots=True)
class _Guest:
    """A worker's connection; `tenant` is None until it said hello."""

    link: Link
    lease: int
    tenant: Tenant | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that waits for the turn's write; `number` is the permit it grants."""

    guest: _Guest
    message: Json
    number: int | None = None


def serve(
    *,
    listener: socket.socket,
    channel: socket.socket,
    state_dir: Path,
    clock: Clock,
    log: EventLog,
    open_store: Callable[[Path], Store] = SqliteStore,
) -> None:
    """Run the quota process until it is told to stop or the supervisor is gone. Blocks that long.

    `listener` is a listening Unix socket and stays open for a successor. SIGTERM, SIGINT and SIGHUP are ignored:
    the channel stops it, after all workers.

    Raises:
        ConfigError: Another process has `state_dir`, or a newer version wrote it; the channel was told.
        AssertionError: The ledger contradicts itself: nothing more was granted.
    """
    _set_signals()
    server = _Server(listener, channel, clock, log)
    try:
        server.run(state_dir, open_store)
    finally:
        server.close()


class _Server:
    def __init__(self, listener: socket.socket, channel: socket.socket, clock: Clock, log: EventLog) -> None:
        self._clock = clock
        self._log = log
        self._listener = listener
        self._channel = Link(channel, limit=MAX_LINE_BYTES, max_waiting=MAX_LINE_BYTES)
        self._selector = selectors.DefaultSelector()
        self._guests: dict[int, _Guest] = {}
        self._answers: list[_Answer] = []
        self._next_lease = 1
        self._plan: Plan | None = None
        self._room: Room | None = None
        self._store: Store | None = None
        self._trouble = "it is not configured yet"
        self._told_state: tuple[LedgerState, str] | None = None
        self._was_ready = False
        self._stopping = False
        self._fatal: ConfigError | None = None
        self._retry_at: float | None = None
        self._counters_at: float | None = None

    def run(self, state_dir: Path, open_store: Callable[[Path], Store]) -> None:
        self._listener.setblocking(False)
        self._channel.watch(self._selector, None)
        try:
            self._store = self._lock_store(state_dir, open_store)
            if self._store is not None:
                # Only now: a worker that waits in the backlog is answered, not refused, after a restart.
                self._selector.register(self._listener, selectors.EVENT_READ, None)
            while not self._stopping:
                self._turn()
            if self._fatal is not None:
                raise self._fatal
        except ConfigError as exc:
            self._channel.send({"event": "state", "state": LedgerState.FAILING.value, "message": str(exc)})
            raise
        self._write_last()

    def close(self) -> None:
        """Close what belongs to this process; the listener does not."""
        for guest in self._guests.values():
            guest.link.sock.close()
        if self._store is not None:
            self._store.close()
        self._channel.flush_blocking(seconds=1.0)
        self._channel.sock.close()
        self._selector.close()

    # The turn: read, apply, write, answer.

    def _turn(self) -> None:
        for key, events in self._selector.select(self._compute_timeout()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._channel.sock:
                self._serve_channel(events)
            else:
                self._serve_guest(key.data, events)
        at = moment.read(self._clock)
        self._retry(at)
        self._commit(at)
        self._answer()
        self._tell_events(at)
        self._channel.watch(self._selector, None)
        if not self._channel.is_open:
            self._stopping = True

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the peer left the queue, or descriptors ran out: it tries again
        if not _is_own(sock) or len(self._guests) >= MAX_CONNECTIONS:
            sock.close()
            return
        guest = _Guest(link=Link(sock, limit=MAX_REQUEST_BYTES), lease=self._next_lease)
        self._next_lease += 1
        self._guests[guest.lease] = guest
        guest.link.watch(self._selector, guest)

    def _serve_guest(self, guest: _Guest, events: int) -> None:
        if guest.lease not in self._guests:
            return
        if events & selectors.EVENT_WRITE:
            guest.link.flush()
            guest.link.watch(self._selector, guest)
        if events & selectors.EVENT_READ:
            self._read_guest(guest)
        if guest.link.ended or not guest.link.is_open:
            self._drop(guest)

    def _read_guest(self, guest: _Guest) -> None:
        try:
            messages = guest.link.read()
        except ProtocolError as exc:
            guest.link.send({"id": None, **write_error(exc)})
            guest.link.is_open = False
            return
        at = moment.read(self._clock)
        for message in messages:
            # Who has left gets no grant, but what it had to tell counts.
            if not guest.link.ended or str(message.get("op")) in {"hello", "account", "observe"}:
                self._answers.append(self._handle(guest, message, at))

    def _handle(self, guest: _Guest, message: Json, at: Moment) -> _Answer:
        """Apply one request. A request is one of the four places where everything is caught, but for a false ledger."""
        number: int | None = None
        try:
            reply = self._apply(guest, message, at)
            # Only `ask` answers with a number.
            number = reply.get("number")
        except HotshotError as exc:
            reply = write_error(exc)
        except AssertionError:
            raise
        except Exception as exc:  # noqa: BLE001 - one broken request must not end the others
            self._log.error("quota.request_failed", error=repr(exc), op=str(message.get("op"))[:20])
            reply = write_error(QuotaUnavailable("the quota process could not read this request"))
        return _Answer(guest=guest, message={"id": message.get("id"), "ok": True, **reply}, number=number)

    def _apply(self, guest: _Guest, message: Json, at: Moment) -> Json:
        op = str(message.get("op"))
        if op == "hello":
            return self._hello(guest, message)
        handler = HANDLERS.get(op)
        if handler is None:
            raise ProtocolError("unknown op")
        if self._room is None:
            raise QuotaUnavailable(f"the quota process can't grant: {self._trouble}")
        if guest.tenant is None:
            raise ProtocolError("hello comes first")
        return handler(self._room, guest.tenant, message, at)

    def _hello(self, guest: _Guest, message: Json) -> Json:
        if guest.tenant is not None:
            raise ProtocolError("this connection has said hello")
        bot = BotName(read_text(message, "bot"))
        guest.tenant = Tenant(lease=guest.lease, bot=bot, client=read_text(message, "client"))
        if self._room is not None:
            self._room.enter(guest.tenant)
        return {}

    def _drop(self, guest: _Guest) -> None:
        del self._guests[guest.lease]
        self._selector.unregister(guest.link.sock)
        guest.link.is_open = False
        guest.link.sock.close()
        if self._room is not None:
            self._room.leave(guest.lease, at=moment.read(self._clock))

    def _commit(self, at: Moment) -> None:
        """Make durable what this turn's answers rest on, or what has waited long enough."""
        if self._room is None:
            return
        ledger = self._room.ledger
        # Not while a write fails: the next try writes all of it, and a time that has passed would keep us awake.
        if ledger.state is not LedgerState.FAILING:
            if self._counters_at is None and ledger.counters_changed:
                self._counters_at = at.monotonic + COUNTERS_SECONDS
            if ledger.must_write or (self._counters_at is not None and self._counters_at <= at.monotonic):
                self._write(full=False)
        if ledger.state is LedgerState.FAILING and any(answer.number is not None for answer in self._answers):
            self._take_back()

    def _write(self, *, full: bool) -> None:
        if self._room is None or self._store is None:
            return
        ledger = self._room.ledger
        ledger.check_invariants()
        batch = ledger.take_batch(full=full)
        try:
            self._store.write(batch)
        except QuotaUnavailable as exc:
            ledger.fail(str(exc))
            self._retry_at, self._counters_at = self._clock.monotonic() + RETRY_SECONDS, None
            return
        ledger.confirm(batch)
        self._retry_at = self._counters_at = None

    def _take_back(self) -> None:
        """Refuse this turn's grants: they are not durable, and nobody has been told of them."""
        if self._room is None:
            return
        refusal = write_error(QuotaUnavailable(self._room.ledger.message))
        answers, self._answers = self._answers, []
        for answer in answers:
            if answer.number is None:
                self._answers.append(answer)
                continue
            self._room.cancel(answer.guest.lease, answer.number)
            self._answers.append(_Answer(answer.guest, {"id": answer.message["id"], **refusal}))

    def _answer(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer.guest.link.send(answer.message)
        for guest in {answer.guest.lease: answer.guest for answer in answers}.values():
            if guest.lease not in self._guests:
                continue
            if guest.link.is_open:
                guest.link.watch(self._selector, guest)
            else:
                self._drop(guest)

    # The ledger's start, its trouble and its end.

    def _lock_store(self, state_dir: Path, open_store: Callable[[Path], Store]) -> Store | None:
        """Take the folder. Waits for one whose supervisor was killed a moment ago; None if told to stop meanwhile."""
        give_up_at = self._clock.monotonic() + LOCK_SECONDS
        retry_seconds = 0.1
        while not self._stopping:
            try:
                return open_store(state_dir)
            except LedgerInUse:
                if self._clock.monotonic() >= give_up_at:
                    raise
            except QuotaUnavailable as exc:
                self._trouble = str(exc)
                self._tell_state(LedgerState.FAILING, self._trouble)
                retry_seconds = RETRY_SECONDS
            for _key, events in self._selector.select(retry_seconds):
                self._serve_channel(events)
            self._channel.watch(self._selector, None)
        return None

    def _retry(self, at: Moment) -> None:
        if self._retry_at is None or at.monotonic < self._retry_at:
            return
        self._retry_at = None
        if self._room is None:
            self._load(at)
        else:
            self._write(full=True)

    def _load(self, at: Moment) -> None:
        """Build the ledger from the store, and make the new life durable before it grants."""
        if self._store is None or self._plan is None or self._room is not None:
            return
        try:
            loaded = self._store.load()
        except ConfigError as exc:
            self._fatal, self._stopping = exc, True
            return
        except QuotaUnavailable as exc:
            self._trouble = str(exc)
            self._retry_at = at.monotonic + RETRY_SECONDS
            self._tell_state(LedgerState.FAILING, self._trouble)
            return
        self._room = Room(ledger=Ledger(loaded, plan=self._plan, at=at))
        for guest in self._guests.values():
            if guest.tenant is not None:
                self._room.enter(guest.tenant)
        self._write(full=True)

    def _write_last(self) -> None:
        """Write exact figures, so that a restart loses nothing."""
        if self._room is None or self._store is None:
            return
        self._room.ledger.tick(moment.read(self._clock))
        batch = self._room.ledger.take_batch(clean=True)
        try:
            self._store.write(batch)
        except QuotaUnavailable as exc:
            self._log.error("quota.write_failed", error=str(exc))

    def _compute_timeout(self) -> float | None:
        now = self._clock.monotonic()
        due = [time for time in (self._retry_at, self._counters_at) if time is not None]
        if self._room is not None and self._room.ledger.state is LedgerState.DAMAGED:
            # Nobody asks, so the new day must come by itself; once an hour, for the clock may be set meanwhile.
            due.append(now + min(3600.0, (self._room.ledger.resets_at - self._clock.now()).total_seconds()))
        return max(0.0, min(due) - now) if due else None

    # The supervisor.

    def _serve_channel(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._channel.flush()
        if not events & selectors.EVENT_READ:
            return
        for message in self._channel.read():
            self._obey(message)
        if self._channel.ended:
            self._stopping = True

    def _obey(self, message: Json) -> None:
        try:
            reply = _ORDERS[str(message.get("op"))](self, message)
        except KeyError:
            reply = write_error(ProtocolError("unknown op"))
        except HotshotError as exc:
            reply = write_error(exc)
            self._log.error("quota.order_refused", op=str(message.get("op")), error=str(exc))
        if "id" in message:
            self._channel.send({"id": message["id"], "ok": True, **reply})

    def configure(self, message: Json) -> Json:
        self._plan = parse_plan(message)
        at = moment.read(self._clock)
        if self._room is not None:
            self._room.ledger.configure(self._plan, at=at)
        elif self._store is not None:
            self._load(at)
        else:
            self._retry_at = at.monotonic
        return {}

    def pause(self, message: Json) -> Json:
        bot, paused = BotName(read_text(message, "bot")), read_flag(message, "paused")
        if self._plan is not None and bot in self._plan.bots:
            self._plan = self._plan.pause(bot, paused=paused)
        known = self._room is None or self._room.ledger.pause(bot, paused=paused)
        return {"known": known}

    def snapshot(self, _message: Json) -> Json:
        at = moment.read(self._clock)
        if self._room is None:
            return {"state": LedgerState.FAILING.value, "message": self._trouble, "quota": {}, "services": []}
        figures = self._room.ledger.compute_figures(at=at)
        return {
            "state": figures.state.value,
            "message": figures.message,
            "quota": write_figures(figures),
            "services": [write_service(line) for line in self._room.breakers.compute_figures(at=at)],
            "timings": [write_timing(line) for line in self._room.timings.compute_figures()],
            "reddit_left": self._room.rates.compute_left(monotonic=at.monotonic),
        }

    def stop(self, _message: Json) -> Json:
        self._stopping = True
        return {}

    def _tell_events(self, at: Moment) -> None:
        if self._room is None:
            return
        ledger = self._room.ledger
        ledger.tick(at)
        for event in ledger.take_events():
            self._channel.send(write_event(event))
        for old, service in self._room.breakers.take_changes():
            self._channel.send(write_service_event(old, service))
        if ledger.state is LedgerState.OK and not self._was_ready:
            self._was_ready = True
            # A start that had trouble first has told of it, and tells that it is over.
            self._told_state = self._told_state or (LedgerState.OK, "")
            self._channel.send({"event": "ready"})
        self._tell_state(ledger.state, ledger.message)

    def _tell_state(self, state: LedgerState, message: str) -> None:
        if self._told_state == (state, message):
            return
        self._told_state = (state, message)
        self._channel.send({"event": "state", "state": state.value, "message": message})


_ORDERS: dict[str, Callable[[_Server, Json], Json]] = {
    "configure": _Server.configure,
    "pause": _Server.pause,
    "snapshot": _Server.snapshot,
    "stop": _Server.stop,
}


def _is_own(sock: socket.socket) -> bool:
    """Tell whether the other end is of our own user: nobody else has bots here, whatever the socket's mode is."""
    try:
        return read_peer(sock)[1] == os.geteuid()
    except OSError:
        return False


def _set_signals() -> None:
    """Leave the supervisor's handlers behind. The channel stops this process, last of all."""
    if threading.current_thread() is not threading.main_thread():
        return  # a test's thread
    # The supervisor's wake-up descriptor came along with the fork; a byte in it would wake the supervisor.
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
