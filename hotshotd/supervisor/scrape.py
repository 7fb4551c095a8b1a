"""A tiny web server for one page, in the supervisor's own loop: `GET /metrics` for Prometheus.

Every connection is bounded in bytes and seconds and serves one request; a client that is slow, or sends nonsense, costs
a descriptor for a few seconds.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from http import HTTPStatus

from hotshotd.loop import Loop, Timer
from hotshotd.wire import receive, send_some

#: Connections at once; one more, and the oldest is closed: whoever holds them all keeps nobody out.
MAX_CONNECTIONS = 16
#: The longest request, in bytes: Prometheus sends a few hundred.
MAX_REQUEST_BYTES = 8192
#: Seconds that a client has for asking, and for reading what it asked for.
CLIENT_SECONDS = 10.0

#: The text format that every Prometheus reads.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATH = "/metrics"

Give = Callable[[bytes], None]
Make = Callable[[Give], None]


def bind_tcp(address: str, port: int) -> socket.socket:
    """Listen on an IP address of this machine; `localhost` is 127.0.0.1. Never asks DNS.

    Raises:
        OSError: If that can't be.
        ValueError: If it is no IP address.
    """
    ip = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
    listener = socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        # A restart must not wait until the last scrape's connection is forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(ip), port))
        listener.listen(MAX_CONNECTIONS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class ScrapeServer:
    """Answers on `listener`, which it owns. `make` gives the page, now or later."""

    def __init__(self, loop: Loop, listener: socket.socket, make: Make) -> None:
        self._loop = loop
        self._listener = listener
        self._make = make
        #: Oldest first.
        self._connections: dict[_Connection, None] = {}
        loop.watch(listener, readable=self._accept)

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop.forget(self._listener)
        self._listener.close()
        for connection in list(self._connections):
            connection.close()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            next(iter(self._connections)).close()
        self._connections[_Connection(self._loop, peer, self._make, self._forget)] = None

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)


class _Connection:
    """One client and its one request."""

    def __init__(self, loop: Loop, peer: socket.socket, make: Make, forget: Callable[[_Connection], None]) -> None:
        self._loop = loop
        self._peer = peer
        self._make = make
        self._forget = forget
        self._request = b""
        self._unsent = bytearray()
        self._has_asked = False
        self._limit: Timer = loop.call_later(CLIENT_SECONDS, self.close)
        peer.setblocking(False)
        loop.watch(peer, readable=self._read)

    def close(self) -> None:
        self._limit.cancel()
        if self._peer.fileno() >= 0:
            self._loop.forget(self._peer)
            self._peer.close()
        self._forget(self)

    def _read(self) -> None:
        data = receive(self._peer, most_bytes=MAX_REQUEST_BYTES)
        if data is None:
            return
        if not data:
            self.close()
            return
        if self._has_asked:
            # One request a connection; what follows is read only to see the end.
            return
        self._request += data
        is_whole = b"\r\n\r\n" in self._request or b"\n\n" in self._request
        if is_whole or len(self._request) > MAX_REQUEST_BYTES:
            self._has_asked = True
            self._answer(is_whole=is_whole)

    def _answer(self, *, is_whole: bool) -> None:
        if not is_whole:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        words = self._request.split(b"\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif words[1].partition("?")[0] != PATH:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif words[0] not in ("GET", "HEAD"):
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._make(lambda page: self._send(HTTPStatus.OK, page, CONTENT_TYPE, with_body=words[0] == "GET"))

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, f"{status.phrase}; the figures are at {PATH}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, page: bytes, content_type: str, *, with_body: bool = True) -> None:
        if self._peer.fileno() < 0:
            return
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(page)}\r\nConnection: close\r\n"
        )
        head += "Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
        self._unsent += head.encode() + b"\r\n" + (page if with_body else b"")
        self._write()

    def _write(self) -> None:
        try:
            send_some(self._peer, self._unsent)
        except OSError:
            self.close()
            return
        if self._unsent:
            self._loop.watch(self._peer, readable=self._read, writable=self._write)
        else:
            self._end()

    def _end(self) -> None:
        # Not close() yet: unread bytes of a long request would turn it into a reset that eats the answer.
        try:
            self._peer.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._loop.watch(self._peer, readable=self._read)
