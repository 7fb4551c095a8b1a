"""One connection of the quota process: bytes in, messages out, never blocking."""

from __future__ import annotations

import selectors
import socket
from typing import Any

from hotshotd.wire import Json, LineBuffer, encode, receive, send_some

#: Bytes read from one connection in one turn, so that none keeps the others waiting.
READ_BYTES = 64 * 1024

#: Bytes that may wait for a peer that does not read; then it is dropped.
MAX_WAITING_BYTES = 256 * 1024


class Link:
    """A non-blocking stream socket. `is_open` goes False for good at any failure; closing is the owner's.

    `limit` is the longest line it reads, `max_waiting` the bytes that may wait to be written.
    """

    def __init__(self, sock: socket.socket, *, limit: int, max_waiting: int = MAX_WAITING_BYTES) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.is_open = True
        self.ended = False
        self._lines = LineBuffer(limit=limit)
        self._waiting = bytearray()
        self._max_waiting = max_waiting

    def read(self) -> list[Json]:
        """Give the messages that have arrived; sets `ended` when the peer has closed its end.

        Raises:
            ProtocolError: The peer sent what is no message.
        """
        data = receive(self.sock, most_bytes=READ_BYTES)
        if data is None:
            return []
        # Known at once: a peer that asked and left must not be granted anything.
        self.ended = not data or (len(data) < READ_BYTES and self._has_ended())
        return self._lines.feed(data)

    def send(self, message: Json) -> None:
        """Queue a message and write what the peer takes. A peer that does not read is dropped."""
        if not self.is_open:
            return
        self._waiting += encode(message)
        self.flush()
        if len(self._waiting) > self._max_waiting:
            self.is_open = False

    def flush(self) -> None:
        """Write what the peer takes now."""
        try:
            send_some(self.sock, self._waiting)
        except OSError:
            self.is_open = False

    def flush_blocking(self, *, seconds: float) -> None:
        """Write all that waits, for `seconds` at most: the last words of a process."""
        self.sock.settimeout(seconds)
        try:
            self.sock.sendall(self._waiting)
        except OSError:
            return

    def watch(self, selector: selectors.BaseSelector, data: Any) -> None:
        """Have `selector` watch for what this link waits for now."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
        key = selector.get_map().get(self.sock)
        if key is None:
            selector.register(self.sock, events, data)
        elif key.events != events:
            selector.modify(self.sock, events, data)

    def _has_ended(self) -> bool:
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
