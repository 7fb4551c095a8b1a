"""One forked child and the socket to it.

A fork is safe only while the supervisor has a single thread; the child gets a copy of all it needs by memory, closes
every descriptor but its own, and never returns into the supervisor's code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence

from hotshotd.errors import HotshotError, ProtocolError
from hotshotd.loop import Loop
from hotshotd.memory import opened_up
from hotshotd.wire import Json, LineBuffer, encode, receive, send_some

_PR_SET_PDEATHSIG = 1

# Looked up here, before any fork, and not by each child anew.
_libc = ctypes.CDLL(None)
_prctl, _signal = _libc.prctl, _libc.signal
_signal.argtypes, _signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
_SIG_DFL, _SIG_IGN = int(signal.SIG_DFL), int(signal.SIG_IGN)

#: What is added to a worker's "badness" (proc(5), oom_score_adj): where memory runs out, a bot dies before the daemon.
_WORKER_OOM_SCORE = 200

#: Unsent bytes to a child that does not read, past which it counts as dead.
_MAX_BACKLOG_BYTES = 1024 * 1024

ChildMain = Callable[[socket.socket], int]


class SpawnError(HotshotError):
    """A child can't be made: too many processes, or no memory."""

    code = "spawn"


class Child:
    """A child process, its channel, and what it says; made by `spawn`."""

    def __init__(
        self, loop: Loop, *, pid: int, channel: socket.socket, on_message: Callable[[Json], None] | None
    ) -> None:
        self.pid = pid
        self._loop = loop
        self._channel = channel
        self._on_message = on_message
        self._buffer = LineBuffer()
        self._unsent = bytearray()
        channel.setblocking(False)
        if on_message is not None:
            loop.watch(channel, readable=self._read)

    def listen(self, on_message: Callable[[Json], None]) -> None:
        """Hand the child's messages on from now on."""
        self._on_message = on_message
        self._loop.watch(self._channel, readable=self._read)

    def send(self, message: Json) -> None:
        """Queue a message; never blocks. A child that does not read for long is killed."""
        self._unsent += encode(message)
        self._write()

    def signal(self, number: int) -> None:
        """Send a signal; harmless when the child is gone but not yet reaped."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        # A stopped process takes no other signal.
        self.signal(signal.SIGKILL)

    def drain(self) -> None:
        """Read what a dead child said last, then let its channel go."""
        self._read()
        self.close()

    def close(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.forget(self._channel)
            self._channel.close()

    def _read(self) -> None:
        while self._channel.fileno() >= 0:
            data = receive(self._channel)
            if data is None:
                return
            if not data:
                self.close()
                return
            try:
                messages = self._buffer.feed(data)
            except ProtocolError:
                self.kill()
                return
            for message in messages:
                if self._on_message is not None:
                    self._on_message(message)

    def _write(self) -> None:
        if self._channel.fileno() < 0:
            return
        try:
            send_some(self._channel, self._unsent)
        except OSError:
            self._unsent.clear()
        if len(self._unsent) > _MAX_BACKLOG_BYTES:
            self.kill()
        if self._channel.fileno() >= 0:
            self._loop.watch(self._channel, readable=self._read, writable=self._write if self._unsent else None)


def spawn(
    loop: Loop,
    main: ChildMain,
    *,
    on_message: Callable[[Json], None],
    keep: Sequence[socket.socket] = (),
    dies_with_parent: bool = True,
) -> Child:
    """Fork a child that runs `main(channel)` and exits with what it returns.

    `keep` lists sockets that the child may use besides its channel. With `dies_with_parent` the kernel kills
    it when the supervisor dies by any cause (prctl(2), PR_SET_PDEATHSIG); without, it must end by itself on end
    of file.

    Raises:
        SpawnError: If the system refuses.
    """
    [(pid, channel)] = _fork_all([main], keep=keep, dies=dies_with_parent)
    return Child(loop, pid=pid, channel=channel, on_message=on_message)


def spawn_many(loop: Loop, mains: Sequence[ChildMain]) -> list[Child]:
    """Fork a child for each of `mains`, one right after the other; each dies with its parent.

    What the parent writes between two forks leaves the older child alone with the page as it was (0.5 MB a
    worker, measured): so nothing is done in between. A child's messages wait until its `listen` is called.

    Raises:
        SpawnError: If the system refuses one; then there is none.
    """
    made = _fork_all(mains, keep=(), dies=True)
    return [Child(loop, pid=pid, channel=channel, on_message=None) for pid, channel in made]


def _fork_all(
    mains: Sequence[ChildMain], *, keep: Sequence[socket.socket], dies: bool
) -> list[tuple[int, socket.socket]]:
    if threading.active_count() != 1:
        raise AssertionError("fork beside threads")
    pairs: list[tuple[socket.socket, socket.socket]] = []
    parent = os.getpid()
    pids = [0] * len(mains)
    try:
        pairs.extend(socket.socketpair() for _ in mains)
        for place in range(len(mains)):
            pids[place] = os.fork()
            if pids[place] == 0:
                break
    except OSError as exc:
        _take_back(pids, pairs)
        raise SpawnError(
            f"can't start a process: {exc.strerror}; free memory, or raise TasksMax and LimitNOFILE (ulimit -u, -n)"
        ) from exc
    if pids and 0 in pids:
        place = pids.index(0)
        _run_child(mains[place], channel=pairs[place][1], keep=keep, parent=parent, dies=dies)
    for _, theirs in pairs:
        theirs.close()
    return [(pid, ours) for pid, (ours, _) in zip(pids, pairs, strict=True)]


def _take_back(pids: Sequence[int], pairs: Sequence[tuple[socket.socket, socket.socket]]) -> None:
    for pid in filter(None, pids):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for pair in pairs:
        for end in pair:
            end.close()


def _run_child(
    main: ChildMain,
    *,
    channel: socket.socket,
    keep: Sequence[socket.socket],
    parent: int,
    dies: bool,
) -> None:
    """Be the child; never returns, whatever happens."""
    code = 1
    try:
        _reset_signals()
        if dies:
            _die_with(parent)
            _die_first()
        _close_others({channel.fileno(), *(sock.fileno() for sock in keep)})
        code = main(channel)
    except BaseException:  # noqa: BLE001 - the top of a process
        # log.py has put its own hook here, so that a traceback is a log line like any other.
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        # Not sys.exit(): the supervisor's frames, buffers and exit handlers are copies that must not run here.
        os._exit(code)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    # By the C library: Python's own handlers never run then, and its `signal` would cost each child 0.1 MB.
    # Ctrl-C reaches the whole foreground group; only the supervisor decides what follows.
    _signal(signal.SIGINT, _SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        _signal(number, _SIG_DFL)


def _die_with(parent: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died between fork and prctl.
    if os.getppid() != parent:
        os._exit(1)


def _die_first() -> None:
    """Let the kernel take this process, not the supervisor, when memory runs out; one bot must not end all."""
    try:
        _add_to_badness(_WORKER_OOM_SCORE)
    except (OSError, ValueError):
        # No /proc, or a system that forbids it: it only matters when memory runs out.
        return


def _add_to_badness(points: int) -> None:
    # No text file: its codec would be loaded anew by each child (0.4 MB of its memory, measured).
    number = _open_own("/proc/self/oom_score_adj")
    try:
        os.pwrite(number, b"%d" % min(1000, int(os.pread(number, 16, 0)) + points), 0)
    finally:
        os.close(number)


def _open_own(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        # It is root's, for nobody else may look into us (memory.py). No secret has been read yet.
        with opened_up():
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _close_others(keep: set[int]) -> None:
    """Close every descriptor but these and the standard ones.

    By number: the parent's objects stay in this process, for the frames that hold them never end.
    """
    kept = sorted({0, 1, 2, *keep})
    end = 1 + max(int(name) for name in os.listdir("/proc/self/fd"))
    for low, high in zip(kept, (*kept[1:], end), strict=True):
        os.closerange(low + 1, high)
