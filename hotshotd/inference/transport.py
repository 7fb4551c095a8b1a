"""Connections that ask for leave between connecting and sending.

The order is what keeps the money straight: connect first, for a server that can't be reached must
cost nothing; then, under the gate that a pause closes, ask and send; then wait, outside the gate,
until a deadline that also ends an answer that only drips.

A `Flight` is handed down to the connection by a context variable, for neither requests nor urllib3
passes anything through. A connection without one fails, so nothing can leave past the gate.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from hotshotd.admission import Admission, Ask, Permit
from hotshotd.clock import Clock
from hotshotd.inference import tls

#: A kept connection that was idle for longer, in seconds, is not trusted: a router may have forgotten it,
#: and a request sent into the void is charged.
IDLE_SECONDS = 30.0

#: The longest time that sending may take, in seconds; a pause waits for it.
SEND_SECONDS = 20.0


@dataclass(slots=True)
class Flight:
    """One request on its way: what it may do, and how far it came. Used by one thread.

    `deadline` is monotonic and moves: until it is sent it limits connecting, afterwards the answer.
    `secret_query` is put behind the address as it is written to the socket, so that no exception and no
    debug line of the libraries knows it. `server_name` is what the certificate has to show where that is not
    the host of the address.
    """

    admission: Admission
    ask: Ask
    clock: Clock
    connect_seconds: float
    read_seconds: float
    secret_query: str = field(default="", repr=False)
    server_name: str | None = None
    deadline: float = 0.0
    permit: Permit | None = None
    is_sent: bool = False
    sent_at: float = 0.0
    sock: Any = None

    def limit_to(self, seconds: float) -> None:
        """Set the deadline `seconds` from now."""
        self.deadline = self.clock.monotonic() + seconds

    def compute_left(self) -> float:
        """Give the seconds to the deadline.

        Raises:
            TimeoutError: If it has passed.
        """
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise TimeoutError("the time limit of the whole answer has passed")
        return left

    def abort(self) -> None:
        """End the wait of the thread that flies this; any thread may call."""
        if isinstance(self.sock, socket.socket):
            try:
                # Not SSLSocket.shutdown: it takes the TLS object from under the reading thread.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
            except OSError:
                pass


#: The request that the current thread is about to send.
FLIGHT: ContextVar[Flight] = ContextVar("hotshotd_flight")


class DroppedWhileAsking(Exception):
    """A kept connection was closed by the server while leave was asked; nothing was sent."""


class _DeadlineReader(io.RawIOBase):
    """Bytes from a socket, each wait cut to what is left of the flight's time."""

    def __init__(self, raw: Any, *, sock: Any, flight: Flight) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._flight = flight

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._flight.compute_left())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    """A response whose status line, headers and body share one deadline."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None) -> None:
        super().__init__(sock, debuglevel, method, url)
        # makefile keeps the socket open when the connection lets go of it ("Connection: close").
        raw = sock.makefile("rb", buffering=0)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock=sock, flight=FLIGHT.get()))


class GatedConnection(HTTPConnection):
    """Connects, asks, then sends."""

    response_class = _DeadlineResponse
    idle_since: float | None = None
    _is_fresh = True

    def connect(self) -> None:
        flight = FLIGHT.get()
        flight.limit_to(flight.connect_seconds)
        super().connect()
        self._is_fresh = True

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # Anew: where a host's first address is dead, its second one still needs time for TLS or a tunnel.
        flight = FLIGHT.get()
        flight.limit_to(flight.connect_seconds)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        flight = FLIGHT.get()
        if self.sock is None:
            self.connect()
        flight.sock = self.sock
        with flight.admission.sending():
            flight.permit = flight.admission.ask(flight.ask)
            self._check_still_there()
            self.timeout = SEND_SECONDS
            try:
                super().request(*args, **kwargs)
            finally:
                # Also after a broken pipe: urllib3 then still reads an early answer.
                self._is_fresh = False
                flight.sent_at = flight.clock.monotonic()
                flight.limit_to(flight.read_seconds)

    def _check_still_there(self) -> None:
        # A fresh TLS 1.3 connection has session tickets to read and would look closed.
        if not self._is_fresh and not self.is_connected:
            raise DroppedWhileAsking

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, url + FLIGHT.get().secret_query, *args, **kwargs)

    def send(self, data: Any) -> None:
        flight = FLIGHT.get()
        # Before the permit only the CONNECT of a proxy is sent, which costs nothing.
        flight.is_sent = flight.is_sent or flight.permit is not None
        super().send(data)


class GatedTlsConnection(GatedConnection, HTTPSConnection):
    """The same over TLS; the handshake belongs to connecting."""


class _ForgettingPool(HTTPConnectionPool):
    """Drops connections that were idle for too long."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)
        idle_since = getattr(conn, "idle_since", None)
        if idle_since is not None and FLIGHT.get().clock.monotonic() - idle_since > IDLE_SECONDS:
            conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        flight = FLIGHT.get(None)
        if conn is not None and flight is not None:
            conn.idle_since = flight.clock.monotonic()
        super()._put_conn(conn)


class _HttpPool(_ForgettingPool):
    ConnectionCls = GatedConnection


class _HttpsPool(_ForgettingPool, HTTPSConnectionPool):
    ConnectionCls = GatedTlsConnection


POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _HttpPool, "https": _HttpsPool}


class GatedAdapter(HTTPAdapter):
    """Pools of gated connections, direct or through an HTTP proxy, with the shared TLS context.

    Never repeats a request: the retries of requests' adapter are 0 by default.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if proxy.lower().startswith("socks"):
            raise InvalidSchema("SOCKS proxies are not supported; name an HTTP proxy in HTTPS_PROXY")
        manager = super().proxy_manager_for(proxy, proxy_ssl_context=tls.get_context(), **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        # Without `ca_certs`, or urllib3 parses the bundle again for each connection.
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        tls_ways = {"ssl_context": tls.get_context(), "cert_reqs": ssl.CERT_REQUIRED}
        name = FLIGHT.get().server_name
        # Not `assert_hostname`, for which urllib3 would change the shared context.
        return host, tls_ways | ({"server_hostname": name} if name else {})

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the pool alone: the shared context verifies."""
