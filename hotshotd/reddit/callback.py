"""Where Reddit's consent page sends the browser back to: one small HTTP server on this machine.

It takes one answer, the one that carries the state of this very request; all else that comes by (a favicon, a page
that guesses, an older attempt) is turned away and changes nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import queue
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

from hotshotd.errors import AuthDead, ConfigError, PlatformError

#: Seconds a browser may take to send its request once it is connected.
_READ_SECONDS = 10.0

#: The longest address that is looked at, in characters.
_MAX_CHARS = 8_192


class WrongState(PlatformError):
    """An answer that does not belong to this request."""

    code = "wrong_state"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the consent page sent back: a one-time code, or the word of a refusal."""

    code: str = field(default="", repr=False)
    error: str = ""

    def get_code(self) -> str:
        """Give the code.

        Raises:
            AuthDead: It was refused; the message says by whom.
        """
        if self.code:
            return self.code
        if self.error == "access_denied":
            raise AuthDead("the consent was refused in the browser; nothing was changed")
        raise AuthDead(f"Reddit's consent page answers with {self.error or 'no code'}; nothing was changed")


def parse_answer(address: str, *, state: str) -> Answer:
    """Read the address to which the browser was sent back: a whole one, or its path and query.

    Raises:
        WrongState: If it does not carry `state`.
    """
    # Reddit puts "#_" behind it; a pasted address may carry that.
    query = parse_qs(urlsplit(address.strip()[:_MAX_CHARS]).query, keep_blank_values=True)
    values = {name: found[-1] for name, found in query.items()}
    if not hmac.compare_digest(values.get("state", "").encode("utf-8", "replace"), state.encode()):
        raise WrongState("this address is no answer to the request that waits: it carries another state")
    return Answer(code=values.get("code", ""), error=values.get("error", "")[:60])


def split_redirect_uri(uri: str) -> tuple[str, int, str]:
    """Give host, port and path of a redirect uri on this machine.

    Raises:
        ConfigError: If it is none.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme != "http" or not _is_this_machine(host) or not port or parts.query or parts.fragment:
        raise ConfigError(
            f"{uri}: must be an address of this machine such as http://127.0.0.1:65010/authorize_callback, "
            "with a port; for any other, use --paste"
        )
    return host, port, parts.path or "/"


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class CallbackServer:
    """Waits for the browser. A context manager: it listens inside, and every thread is gone after."""

    def __init__(self, redirect_uri: str, *, state: str) -> None:
        """Take the port.

        Raises:
            ConfigError: If it is taken, or the uri is none of this machine.
        """
        host, port, path = split_redirect_uri(redirect_uri)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        handler = type("Handler", (_Handler,), {"path_expected": path, "state": state, "answers": self._answers})
        try:
            self._server = _server_class(host)(("127.0.0.1" if host == "localhost" else host, port), handler)
        except OSError as exc:
            raise ConfigError(
                f"port {port} can't be used ({exc.strerror}): end what uses it, or register another redirect uri with "
                "the app and name it with --redirect-uri"
            ) from exc
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="callback", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait(self, *, seconds: float) -> Answer | None:
        """Give the answer, or None if none came in time. Blocks."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None


class _Server(ThreadingHTTPServer):
    # A browser keeps connections open that it never uses: nobody waits for them.
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Bind, without HTTPServer's look-up of the host's name, which may hang where there is no DNS."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about a browser that went away."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


class _Handler(BaseHTTPRequestHandler):
    path_expected: str
    state: str
    answers: queue.SimpleQueue[Answer]
    timeout = _READ_SECONDS
    server_version, sys_version = "hotshotctl", ""

    def do_GET(self) -> None:
        """Take an answer, or turn a request away."""
        if len(self.path) > _MAX_CHARS or urlsplit(self.path).path != self.path_expected:
            self._say(404, "There is nothing here.")
            return
        try:
            answer = parse_answer(self.path, state=self.state)
        except WrongState:
            self._say(400, "This is no answer to the request that waits in the terminal. Use the address shown there.")
            return
        self._say(200, "Thank you. The rest is in the terminal; this window can be closed.")
        self.answers.put(answer)

    def _say(self, status: int, text: str) -> None:
        body = f"<!doctype html><title>hotshotctl auth</title><p>{text}</p>\n".encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            # The address holds the code: it goes nowhere else.
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy", "default-src 'none'"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the address holds the code."""
