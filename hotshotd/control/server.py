"""The operator's socket, served from the supervisor's loop: no thread, no blocking, bounded in every way."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from hotshotd.control.handlers import Exchange
from hotshotd.control.peers import Doorkeeper
from hotshotd.control.protocol import REMEDY, Drop
from hotshotd.errors import ConfigError, ProtocolError
from hotshotd.log import get_logger
from hotshotd.loop import Loop, Timer
from hotshotd.wire import MAX_REQUEST_BYTES, Json, LineBuffer, encode, read_peer, receive, send_some

_log = get_logger()

#: Connections served at once; more are closed at once.
MAX_CONNECTIONS = 64
#: Unsent bytes to an operator who does not read, past which the connection is closed.
MAX_UNSENT_BYTES = 4 * 1024 * 1024
#: Seconds after which an idle or unread connection is closed, and one that waits for a reply.
IDLE_SECONDS = 60.0
WAITING_SECONDS = 3600.0
#: Strangers that are logged, each once.
MAX_STRANGERS = 1000


def bind_unix(path: Path, *, mode: int, backlog: int, group: int | None = None) -> socket.socket:
    """Listen on a Unix socket, in place of a stale one; it is given to `group` where we may do that.

    The caller holds the folder's lock, so a socket that is there was left by a daemon that died. Anything else that
    has its name is somebody's, and stays.

    Raises:
        ConfigError: If the path can't be used; the message says why and what to do.
    """
    # sockaddr_un has 108 bytes, the closing zero included (unix(7)).
    if len(os.fsencode(path)) > 107:
        raise ConfigError(f"{path}: too long for a socket; set a shorter runtime_dir")
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The umask, not a later chmod, so that there is no moment with the wrong mode.
        old = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old)
        if group is not None:
            # Only a member or root may; any other daemon serves its own user, and the doorkeeper the rest.
            with suppress(PermissionError):
                os.chown(path, -1, group)
        listener.listen(backlog)
    except OSError as exc:
        listener.close()
        raise ConfigError(f"{path}: can't listen there ({exc.strerror}); check the folder's owner and mode") from exc
    return listener


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigError(f"{path}: is no socket, and this daemon needs the name: move it away, or set runtime_dir")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ConfigError(
            f"{path}: can't replace this stale socket ({exc.strerror}): remove it as its owner or root,"
            " or set another runtime_dir"
        ) from exc


class ControlServer:
    """Accepts operators and hands each request to `handle`; without a doorkeeper only root and our own user."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        handle: Callable[[Exchange], None],
        *,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self._loop = loop
        self._doorkeeper = doorkeeper or Doorkeeper(os.geteuid(), None)
        self._strangers: set[int] = set()
        self._listener = listener
        self._handle = handle
        self._connections: set[_Connection] = set()
        listener.setblocking(False)
        loop.watch(listener, readable=self._accept)

    def close(self) -> None:
        """Take no more operators, and let go those who are here; what they have not taken yet is lost."""
        self._loop.forget(self._listener)
        self._listener.close()
        for connection in list(self._connections):
            connection.close()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if not self._doorkeeper.admits(peer):
            self._refuse(peer)
        elif len(self._connections) >= MAX_CONNECTIONS:
            peer.close()
        else:
            self._welcome(peer)

    def _welcome(self, peer: socket.socket) -> None:
        self._connections.add(_Connection(self._loop, peer, self._handle, self._connections.discard))

    def _refuse(self, peer: socket.socket) -> None:
        """Say why, and hang up: a stranger takes no place and nothing that he sends is read."""
        peer.setblocking(False)
        with peer, suppress(OSError):
            message = f"you may not use this socket: {REMEDY}"
            peer.send(encode({"id": None, "ok": False, "code": "forbidden", "message": message}))
            self._note_stranger(read_peer(peer)[1])

    def _note_stranger(self, uid: int) -> None:
        if uid not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(uid)
            _log.warning("control.refused", uid=uid, remedy=REMEDY)


class _Connection:
    def __init__(
        self,
        loop: Loop,
        peer: socket.socket,
        handle: Callable[[Exchange], None],
        forget: Callable[[_Connection], None],
    ) -> None:
        self._loop = loop
        self._peer = peer
        self._handle = handle
        self._forget = forget
        self._buffer = LineBuffer(limit=MAX_REQUEST_BYTES)
        self._unsent = bytearray()
        # What was asked and not answered yet, and what to call if nobody waits for it any more.
        self._open: dict[int, Drop | None] = {}
        self._numbers = count()
        self._closing = False
        self._idle: Timer | None = None
        peer.setblocking(False)
        self._watch()

    def close(self) -> None:
        if self._idle:
            self._idle.cancel()
        if self._peer.fileno() >= 0:
            self._loop.forget(self._peer)
            self._peer.close()
        self._forget(self)
        abandoned, self._open = self._open, {}
        for drop in filter(None, abandoned.values()):
            drop()

    def _watch(self) -> None:
        if self._idle:
            self._idle.cancel()
        self._idle = self._loop.call_later(WAITING_SECONDS if self._open else IDLE_SECONDS, self.close)
        self._loop.watch(self._peer, readable=self._read, writable=self._write if self._unsent else None)

    def _read(self) -> None:
        data = receive(self._peer)
        if data is None:
            return
        if not data:
            self.close()
            return
        if self._closing:
            return
        try:
            requests = self._buffer.feed(data)
        except ProtocolError as exc:
            self._closing = True
            self._send({"id": None, "ok": False, "code": exc.code, "message": str(exc)})
            return
        for request in requests:
            self._handle(self._make_exchange(request))
        if requests and self._peer.fileno() >= 0:
            self._watch()

    def _make_exchange(self, request: Json) -> Exchange:
        name: Any = request.get("id")
        number = next(self._numbers)
        self._open[number] = None

        def reply(data: Json) -> None:
            self._open.pop(number, None)
            self._send({"id": name, "ok": True, "data": data})

        def fail(code: str, message: str) -> None:
            self._open.pop(number, None)
            self._send({"id": name, "ok": False, "code": code, "message": message})

        def step(step: Json) -> None:
            self._send({"id": name, "step": step})

        def when_gone(drop: Drop) -> None:
            if number in self._open:
                self._open[number] = drop
            elif self._peer.fileno() < 0:
                # It left while the command was being begun.
                drop()

        return Exchange(request, reply, fail, step, when_gone)

    def _send(self, message: Json) -> None:
        if self._peer.fileno() < 0:
            return
        self._unsent += encode(message)
        self._write()

    def _write(self) -> None:
        try:
            send_some(self._peer, self._unsent)
        except OSError:
            self.close()
            return
        if len(self._unsent) > MAX_UNSENT_BYTES or (self._closing and not self._unsent):
            self.close()
        else:
            self._watch()
