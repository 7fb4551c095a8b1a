"""The quota process without a process: hotshotd's own server, turn by turn, over pipes in memory and the real store.

A death drops its memory; one in the middle of a write also leaves the files as a kill or a power cut may leave them.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hotshotd._types import BotName
from hotshotd.errors import QuotaUnavailable
from hotshotd.quota import server as server_module
from hotshotd.quota.client import QuotaClient
from hotshotd.quota.records import Batch, Loaded
from hotshotd.quota.store import LedgerInUse, SqliteStore, Store
from hotshotd.wire import Json
from simulation.loop import Gone, Process, SimClock, SimLoop

_FILES = ("ledger.db", "ledger.db-wal", "ledger.seq")
_PAGE = 4096
#: Turns in a row without anything to do and without a wait.
_MAX_SPINS = 50


class Died(BaseException):
    """The quota process ends here, in the middle of what it did."""


class Pipe:
    """Both ends of a Unix stream socket, of whole messages. It stands for the socket itself, too."""

    def __init__(self, data: Any = None) -> None:
        self.to_server: list[Json] = []
        self.to_client: list[Json] = []
        self.client_closed = False
        self.server_closed = False
        self.data = data

    def close(self) -> None:
        self.server_closed = True


class PipeLink:
    """`hotshotd.quota.link.Link` over a pipe."""

    def __init__(self, sock: Pipe, *, limit: int, max_waiting: int = 0) -> None:  # noqa: ARG002 - as Link
        self.sock = sock
        self.is_open = True
        self.ended = False

    def read(self) -> list[Json]:
        messages, self.sock.to_server = self.sock.to_server, []
        self.ended = self.sock.client_closed
        return messages

    def send(self, message: Json) -> None:
        if self.is_open:
            self.sock.to_client.append(message)

    def flush(self) -> None:
        """Everything is taken at once."""

    def flush_blocking(self, *, seconds: float) -> None:
        """Everything is taken at once."""

    def watch(self, selector: Turns, data: Any) -> None:  # noqa: ARG002 - as Link
        self.sock.data = data


class Turns:
    """A selector that is told what is ready."""

    def __init__(self) -> None:
        self.ready: list[Pipe | _Listener] = []

    def select(self, _timeout: float | None = None) -> list[tuple[_Key, int]]:
        ready, self.ready = self.ready, []
        return [(_Key(pipe, pipe.data), 1) for pipe in ready]

    def register(self, _sock: Any, _events: int, _data: Any = None) -> None:
        """Nothing to be done."""

    def unregister(self, _sock: Any) -> None:
        """Nothing to be done."""

    def close(self) -> None:
        """Nothing to be done."""


@dataclass(frozen=True, slots=True)
class _Key:
    fileobj: Any
    data: Any


class _Listener:
    """The listening socket; it outlives a quota process."""

    def __init__(self) -> None:
        self.data = None
        self.waiting: list[Pipe] = []

    def setblocking(self, _flag: bool) -> None:
        """It never blocks."""

    def accept(self) -> tuple[Pipe, None]:
        return self.waiting.pop(0), None


class FallibleStore:
    """The real store, which can be told to end its process in the middle of the next write, or to fail."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._store = SqliteStore(folder)
        self._folder = folder
        self._disk = disk

    def load(self) -> Loaded:
        if self._disk.is_full:
            raise QuotaUnavailable("no space left on device")
        return self._store.load()

    def write(self, batch: Batch) -> None:
        disk = self._disk
        if disk.is_full:
            self._fail(half=False, batch=batch)
        if disk.fails_half:
            self._fail(half=True, batch=batch)
        is_reopened = self._store._broken or self._store._db is None
        if disk.crash is None or (disk.crash == "cut" and is_reopened):
            # A write that opens its file anew checkpoints first, an order of which `cut_files` knows nothing.
            self._store.write(batch)
            return
        crash, disk.crash = disk.crash, None
        if crash == "before":
            raise Died
        before = read_files(self._folder)
        self._store.write(batch)
        if crash == "cut":
            disk.left = cut_files(before, read_files(self._folder), disk.chance)
            disk.on_cut()
        raise Died

    def close(self) -> None:
        self._store.close()

    def _fail(self, *, half: bool, batch: Batch) -> None:
        """Have the real store meet a disk that refuses, before or between its two writes."""
        store: Any = self._store
        if half:
            file, good = store._sequence_file, store._sequence_file.write
            store._sequence_file = _FullFile(file)
            try:
                store.write(batch)
            finally:
                store._sequence_file = file
            assert good is not None
        if store._db is None or store._broken:
            raise QuotaUnavailable("no space left on device")
        store._db.execute("PRAGMA query_only=ON")
        try:
            store.write(batch)
        finally:
            if store._db is not None:
                store._db.execute("PRAGMA query_only=OFF")


class _FullFile:
    """A `SequenceFile` on a full disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, _mark: object) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Disk:
    """What the disk will do, and what a death in a write leaves on it."""

    chance: random.Random
    is_full: bool = False
    fails_half: bool = False
    crash: str | None = None
    left: dict[str, bytes] | None = None
    #: Called when the power is cut in a write.
    on_cut: Callable[[], None] = lambda: None


def read_files(folder: Path) -> dict[str, bytes]:
    """Give the ledger's files as they are."""
    return {name: (folder / name).read_bytes() for name in _FILES if (folder / name).exists()}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Put files back; those that are not among them go."""
    for name in _FILES:
        if name in files:
            (folder / name).write_bytes(files[name])
        else:
            (folder / name).unlink(missing_ok=True)


def cut_files(before: dict[str, bytes], after: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """Give what a power cut during a write may leave.

    The store writes -wal, syncs it, then perhaps the database, syncs that, then the second file, and syncs that: each
    is cut only while those before it are whole.
    """
    left = dict(after)
    stage = chance.choice(("wal", "db", "seq"))
    if stage == "wal" and before.get("ledger.db") == after.get("ledger.db"):
        left["ledger.db-wal"] = _tear(before.get("ledger.db-wal", b""), after.get("ledger.db-wal", b""), chance)
        left["ledger.seq"] = before["ledger.seq"]
    elif stage == "db" or stage == "wal":
        old, new = before.get("ledger.db", b""), after.get("ledger.db", b"")
        pages = range(0, max(len(old), len(new)), _PAGE)
        # A page that was not there before may be missing only at the end.
        left["ledger.db"] = b"".join(
            (old if chance.random() < 0.5 and len(old) >= start + _PAGE else new)[start : start + _PAGE]
            for start in pages
        )
        left["ledger.seq"] = before["ledger.seq"]
    else:
        left["ledger.seq"] = _tear(before["ledger.seq"], after["ledger.seq"], chance)
    return left


def _tear(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Give a file whose writing got no further than some byte; behind it is what was there, or rubbish."""
    changed = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    cut = chance.randint(changed, len(new))
    rest = old[cut:]
    if not rest and chance.random() < 0.5:
        rest = chance.randbytes(min(200, len(new) - cut))
    return new[:cut] + rest


class QuotaProcess:
    """One life of the quota process; a `Child` to `QuotaChild`."""

    def __init__(self, site: QuotaSite, *, pid: int, on_message: Callable[[Json], None]) -> None:
        self.pid = pid
        self.site = site
        self.process = Process(f"quota {pid}")
        self._on_message = on_message
        self._channel = Pipe()
        self._selector = Turns()
        self._timer: tuple[float, asyncio.TimerHandle] | None = None
        self._pipes: list[Pipe] = []
        self._spins = 0
        server: Any = server_module._Server(
            cast("socket.socket", site.listener), cast("socket.socket", self._channel), site.clock, site.log
        )
        server._selector = self._selector
        self.server = server
        try:
            server._store = server._lock_store(site.folder, site.open_store)
        except LedgerInUse:
            site.fail("two quota processes on one file")

    @property
    def ledger(self) -> Any:
        """The ledger, or None before it is loaded."""
        return None if self.server._room is None else self.server._room.ledger

    def send(self, message: Json) -> None:
        """Take an order from the supervisor."""
        self._channel.to_server.append(message)
        self.turn(self._channel)

    def accept(self, pipe: Pipe) -> None:
        """Take a worker's connection."""
        self.site.listener.waiting.append(pipe)
        self._pipes.append(pipe)
        self.turn(self.site.listener)

    def turn(self, ready: Pipe | _Listener | None) -> None:
        """Let the server do one turn; a death in it shows in `process.dead`."""
        if self.process.dead:
            return
        if ready is not None:
            self._selector.ready.append(ready)
        try:
            self.server._turn()
        except Died:
            self.kill()
            return
        except AssertionError as exc:
            self.site.fail(f"the ledger contradicts itself: {exc}")
            self.kill()
            return
        self._hand_on()
        if self.server._stopping:
            self.server._write_last()
            self._end(0)
            return
        self._plan()

    def kill(self) -> None:
        """Die now: memory is gone, files stay as they are, or as the cut left them."""
        if self.process.dead:
            return
        disk = self.site.disk
        files = disk.left or read_files(self.site.folder)
        disk.left = None
        self._end(-9)
        write_files(self.site.folder, files)

    def drain(self) -> None:
        """Everything was handed on already."""

    def close(self) -> None:
        """Nothing is held."""

    def _end(self, status: int) -> None:
        self.process.dead = True
        if self.server._store is not None:
            self.server._store.close()
        for pipe in self._pipes:
            pipe.server_closed = True
        if self.site.current is self:
            self.site.current = None
        self.site.on_end(self.pid, status)

    def _hand_on(self) -> None:
        events, self._channel.to_client = self._channel.to_client, []
        for event in events:
            self._on_message(event)

    def _plan(self) -> None:
        """Wake the server when it would have woken itself."""
        timeout = self.server._compute_timeout()
        if timeout is None:
            return
        when = self.site.loop.elapsed + max(timeout, 0.001)
        if self._timer is not None and self.site.loop.elapsed < self._timer[0] <= when:
            return
        self._spins = 0 if timeout > 0 else self._spins + 1
        if self._spins > _MAX_SPINS:
            self.site.fail("the quota process spins: it has nothing to do and does not wait")
        if self._timer is not None:
            self._timer[1].cancel()
        self._timer = (when, self.site.loop.call_at(when, self._wake, context=self.process.context))

    def _wake(self) -> None:
        self._timer = None
        self.turn(None)


class QuotaSite:
    """The folder, the listening socket and the disk, which outlive every quota process."""

    def __init__(
        self,
        folder: Path,
        *,
        loop: SimLoop,
        clock: SimClock,
        log: Any,
        chance: random.Random,
        on_end: Callable[[int, int], None],
        fail: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.loop = loop
        self.clock = clock
        self.log = log
        self.disk = Disk(chance)
        self.listener = _Listener()
        self.current: QuotaProcess | None = None
        self.on_end = on_end
        self.fail = fail

    def open_store(self, folder: Path) -> Store:
        return FallibleStore(folder, self.disk)

    def start(self, *, pid: int, on_message: Callable[[Json], None]) -> QuotaProcess:
        """Begin the next life."""
        self.current = QuotaProcess(self, pid=pid, on_message=on_message)
        return self.current

    def back_up(self) -> Path:
        """Copy the files as an operator would, for a later restore."""
        backup = self.folder / "backup"
        backup.mkdir(exist_ok=True)
        for name in _FILES:
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, backup / name)
            else:
                (backup / name).unlink(missing_ok=True)
        return backup

    def restore(self) -> bool:
        """Put the older database back, without its second file; while no quota process runs."""
        backup = self.folder / "backup"
        if self.current is not None or not (backup / "ledger.db").exists():
            return False
        for name in _FILES[:2]:
            (self.folder / name).unlink(missing_ok=True)
            if (backup / name).exists():
                shutil.copyfile(backup / name, self.folder / name)
        return True


class SimQuotaClient(QuotaClient):
    """The worker's own client; only its socket is a pipe."""

    def __init__(self, site: QuotaSite, process: Process, *, bot: str, client: str, clock: SimClock) -> None:
        super().__init__(Path("quota.sock"), bot=BotName(bot), client=client, clock=clock)
        self._site = site
        self._process = process
        self._pipe: Pipe | None = None

    def die(self) -> None:
        """Close the connection as the kernel does at a death."""
        self._disconnect()

    def _connect(self, *, deadline: float) -> None:
        quota = self._site.current
        if quota is None or quota.process.dead:
            raise ConnectionRefusedError("nobody listens")
        self._pipe = Pipe()
        self._sock = cast("socket.socket", self._pipe)
        quota.accept(self._pipe)
        self._send_and_receive(self._hello, deadline=deadline)

    def _send_and_receive(self, request: Json, *, deadline: float) -> Json:  # noqa: ARG002 - as in the original
        if self._process.dead:
            raise Gone
        pipe, quota = self._pipe, self._site.current
        if pipe is None or quota is None or pipe.server_closed:
            raise ConnectionResetError("the connection ended")
        number = next(self._ids)
        pipe.to_server.append({"id": number, **request})
        quota.turn(pipe)
        # What was answered before a death is in the socket's buffer and can be read.
        answers, pipe.to_client = pipe.to_client, []
        for reply in answers:
            if reply.get("id") == number:
                return reply
        raise ConnectionResetError("the connection ended")

    def _disconnect(self) -> None:
        pipe, self._pipe, self._sock = self._pipe, None, None
        if pipe is None or pipe.server_closed:
            return
        pipe.client_closed = True
        if self._site.current is not None:
            self._site.current.turn(pipe)
