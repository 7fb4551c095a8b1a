"""Messages between our own processes: one JSON object a line, UTF-8, over a Unix stream socket that never blocks.

A request carries an `id` that its reply repeats. A reply is `{"id", "ok": true, ...}` or
`{"id", "ok": false, "code", "message"}`, never both.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hotshotd.errors import ProtocolError

#: The longest line that is read, in bytes. A status of 200 bots is about 100 kB.
MAX_LINE_BYTES = 4 * 1024 * 1024

#: The longest request that is read from an operator or a worker, in bytes.
MAX_REQUEST_BYTES = 64 * 1024

Json = dict[str, Any]


def encode(message: Mapping[str, Any]) -> bytes:
    """Make one line of a message."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def decode(line: bytes) -> Json:
    """Make a message of one line.

    Raises:
        ProtocolError: If it is not one JSON object.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("not JSON") from exc
    if not isinstance(message, dict):
        raise ProtocolError("not a JSON object")
    return message


class LineBuffer:
    """Bytes in, whole messages out."""

    def __init__(self, *, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[Json]:
        """Give the messages that `data` completes.

        Raises:
            ProtocolError: If a line is no message, or longer than the limit; the connection is then of no use.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise ProtocolError(f"a message is longer than {self._limit} bytes")
        return [decode(line) for line in lines if line.strip()]


def receive(sock: socket.socket, *, most_bytes: int = 65536) -> bytes | None:
    """Give what has arrived: None while there is nothing, b"" once the other end is gone."""
    try:
        return sock.recv(most_bytes)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def send_some(sock: socket.socket, unsent: bytearray) -> None:
    """Send what the other end takes now, and leave the rest in `unsent`.

    Raises:
        OSError: The other end is gone.
    """
    with suppress(BlockingIOError):
        while unsent:
            # Of a bytearray the front is dropped in place; bytes would be copied whole for every piece sent.
            del unsent[: sock.send(unsent)]


def read_peer(sock: socket.socket) -> tuple[int, int, int]:
    """Give the process, user and main group at the other end of a Unix connection, when it connected (unix(7)).

    Raises:
        OSError: If the kernel does not tell.
    """
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
    return pid, uid, gid
