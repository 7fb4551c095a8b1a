"""A small HTTP/1.1 server for 127.0.0.1: what every emulator of the sandbox stands on.

Frozen `Request` and `Response` values, a route table, one middleware for faults, and a log of
what was asked, so that a test waits for a request and never for a time. Connections are kept
alive; each answer leaves in one segment. One thread a connection, all gone when `stop` returns.

    server = HttpServer("hf", Routes([Route("POST", "/models/{model:path}", answer)]))
    with server:
        requests.post(server.base_url + "/models/gpt2", json={"inputs": "x"})
        server.log.wait_for(lambda request: request.path.endswith("gpt2"))
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from hotshotd.clock import Clock, SystemClock

#: The longest request body that is read, in bytes; a longer one is answered with 413.
MAX_BODY_BYTES = 24 * 1024 * 1024

#: How many requests a log remembers; the oldest go first.
LOG_ENTRIES = 20_000

T = TypeVar("T")

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, zero seconds: close(2) sends RST


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart form."""

    data: bytes = field(repr=False)
    filename: str | None = None
    content_type: str = "text/plain"

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked. Headers, form and body stay out of the repr: they carry secrets.

    `path` is decoded and has no query. `headers` have lower-case names. `variables` are what the
    route's pattern caught. `account` is who asks, where the server can tell. `notes` is what a
    middleware left for the handler. `at` is monotonic seconds.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    at: float = 0.0
    account: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def json(self) -> Any:
        """Give the body as JSON.

        Raises:
            Answered: With 400, if it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Answered(json_response({"error": "the body is not JSON"}, status=400)) from None

    def parts(self) -> dict[str, Part]:
        """Give the parts of a multipart form by name; empty if the body is none."""
        content_type = self.headers.get("content-type", "")
        if not content_type.startswith("multipart/"):
            return {}
        message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + self.body)
        found: dict[str, Part] = {}
        for part in message.get_payload() if message.is_multipart() else ():
            name = str(part.get_param("name", "", header="content-disposition"))  # type: ignore[union-attr]
            found[name] = Part(
                data=part.get_payload(decode=True) or b"",  # type: ignore[union-attr, arg-type]
                filename=part.get_filename(),  # type: ignore[union-attr]
                content_type=part.get_content_type(),  # type: ignore[union-attr]
            )
        return found

    @property
    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.casefold() == "bearer" and token.strip() else None


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back, and how it travels.

    `delay_seconds` passes before the first byte; `drip_seconds` is what the body is spread over.
    `cut_after` sends only so many bytes of the body, though Content-Length promises all, and
    closes. `reset` sends nothing: the connection is reset. Stopping the server ends every wait.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = ()
    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    cut_after: int | None = None
    reset: bool = False

    def json(self) -> Any:
        """Give the body as JSON; raises ValueError if it is none."""
        return json.loads(self.body)

    def with_headers(self, *headers: tuple[str, str]) -> Response:
        """Give the same answer with more headers."""
        return replace(self, headers=(*self.headers, *headers))


class Answered(Exception):
    """Raised by a handler to end with `response` at once."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


Handler = Callable[[Request], Response]

#: Stands between server and handler: may answer itself, hand on a changed request, change the answer.
Middleware = Callable[[Request, Handler], Response]


def json_response(value: Any, *, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Make a JSON answer."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Response(status, body, headers=tuple(headers))


def text_response(text: str, *, status: int = 200, content_type: str = "text/plain; charset=UTF-8") -> Response:
    """Make an answer of text."""
    return Response(status, text.encode(), content_type)


def _compile(pattern: str) -> re.Pattern[str]:
    source = ""
    for piece in re.split(r"(\{\w+(?::path)?\})", pattern.rstrip("/")):
        if piece.startswith("{"):
            name, _, kind = piece[1:-1].partition(":")
            source += f"(?P<{name}>{'.+?' if kind else '[^/]+'})"
        else:
            source += re.escape(piece)
    return re.compile(source + "/*")


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path pattern. `{x}` catches a segment, `{x:path}` several; a final slash is optional."""

    method: str
    pattern: str
    handler: Handler


class Routes:
    """A route table: the first that fits answers; none gives 404, another method 405."""

    def __init__(self, routes: Iterable[Route], *, not_found: Handler | None = None) -> None:
        self._routes = [(route, _compile(route.pattern)) for route in routes]
        self._not_found = not_found

    def __call__(self, request: Request) -> Response:
        """Answer a request."""
        status = 404
        for route, pattern in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if route.method == request.method:
                return route.handler(replace(request, variables=match.groupdict()))
            status = 405
        if self._not_found is not None and status == 404:
            return self._not_found(request)
        return json_response({"message": HTTPStatus(status).phrase, "error": status}, status=status)


class RequestLog:
    """Every request a server got, in order of arrival, and every answer. Safe from any thread."""

    def __init__(self, *, size: int = LOG_ENTRIES) -> None:
        self._changed = threading.Condition()
        self._requests: deque[Request] = deque(maxlen=size)
        self._answers: deque[tuple[Request, Response]] = deque(maxlen=size)

    def requests(self, path: str | None = None, *, method: str | None = None) -> tuple[Request, ...]:
        """Give the requests so far; `path` is a regular expression that must match somewhere in the path."""
        with self._changed:
            found = tuple(self._requests)
        return tuple(r for r in found if (path is None or re.search(path, r.path)) and method in (None, r.method))

    def answers(self) -> tuple[tuple[Request, Response], ...]:
        """Give the requests that were handled, with their answers."""
        with self._changed:
            return tuple(self._answers)

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._requests.clear()
            self._answers.clear()

    def wait_for(
        self, predicate: Callable[[Request], bool], *, count: int = 1, timeout_seconds: float = 5.0
    ) -> tuple[Request, ...]:
        """Block until `count` logged requests, past ones included, satisfy `predicate`; give them.

        Raises:
            TimeoutError: With the last requests that did arrive.
        """
        with self._changed:
            return _wait(self._changed, self._requests, predicate, count, timeout_seconds)

    def wait_for_answer(
        self, predicate: Callable[[tuple[Request, Response]], bool], *, count: int = 1, timeout_seconds: float = 5.0
    ) -> tuple[tuple[Request, Response], ...]:
        """Block until `count` requests whose handling has ended satisfy `predicate`; give them with their answers."""
        with self._changed:
            return _wait(self._changed, self._answers, predicate, count, timeout_seconds)

    def note_request(self, request: Request) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def note_answer(self, request: Request, response: Response) -> None:
        with self._changed:
            self._answers.append((request, response))
            self._changed.notify_all()


def _wait(
    changed: threading.Condition, entries: deque[T], predicate: Callable[[T], bool], count: int, timeout_seconds: float
) -> tuple[T, ...]:
    found: list[T] = []

    def is_there() -> bool:
        found[:] = [entry for entry in entries if predicate(entry)]
        return len(found) >= count

    if not changed.wait_for(is_there, timeout_seconds):
        seen = "\n  ".join(repr(entry)[:200] for entry in list(entries)[-12:]) or "nothing"
        raise TimeoutError(f"{len(found)} of {count} after {timeout_seconds} s; the last that came:\n  {seen}")
    return tuple(found)


class HttpServer:
    """Serves one handler on 127.0.0.1 from `start` to `stop`.

    `port` 0 takes a free one. `identify` tells whose request it is, for the log and for faults.
    A handler that raises gives 500, and the exception is kept in `failures`: a test that ends
    with failures there has found a bug of the emulator. `connections_made` counts what was accepted.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        port: int = 0,
        middleware: Middleware | None = None,
        identify: Callable[[Request], str] | None = None,
        clock: Clock | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.name = name
        self.log = RequestLog()
        self.failures: list[Exception] = []
        self.connections_made = 0
        self.middleware = middleware
        self.max_body_bytes = max_body_bytes
        self._handler = handler
        self._identify = identify
        self._wanted_port = port
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._port = port

    @property
    def port(self) -> int:
        """The port it listens on; known once started, and kept for a later `start`."""
        return self._port

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without a final slash."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Listen and serve in threads of its own; returns at once. Harmless when it runs already.

        Raises:
            OSError: If the wanted port is taken.
        """
        if self._acceptor is not None:
            return self
        self._stopping.clear()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        listener.listen(1024)
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        wake, self._waker = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(listener, wake), name=f"{self.name}-accept", daemon=True
        )
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection, and join every thread; takes well under a second."""
        self._stopping.set()
        if self._waker is not None and self._acceptor is not None:
            self._waker.close()
            self._acceptor.join()
            self._waker = self._acceptor = None
        with self._lock:
            remaining = dict(self._open)
            for connection in remaining:
                _shut(connection)
        for thread in remaining.values():
            thread.join()

    def drop_connections(self) -> None:
        """Close every open connection, as a restarted server would; the port stays open."""
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, seconds: float) -> bool:
        """Block for `seconds`, or until the server stops: then False."""
        return not self._stopping.wait(seconds) if seconds > 0 else not self._stopping.is_set()

    def now(self) -> float:
        """Give the clock's monotonic seconds."""
        return self._clock.monotonic()

    def tell_date(self) -> str:
        """Give the clock's time as a header does."""
        return format_datetime(self._clock.now(), usegmt=True)

    def answer(self, request: Request) -> Response:
        """Log a request, run middleware and handler, and give the answer. Never raises."""
        if self._identify is not None:
            request = replace(request, account=self._identify(request))
        self.log.note_request(request)
        try:
            response = self.middleware(request, self._handle) if self.middleware else self._handle(request)
        except Exception as exc:  # noqa: BLE001 - the boundary of one request
            self.failures.append(exc)
            response = json_response({"message": f"{type(exc).__name__} in the emulator", "error": 500}, status=500)
        self.log.note_answer(request, response)
        return response

    def _handle(self, request: Request) -> Response:
        try:
            return self._handler(request)
        except Answered as early:
            return early.response

    def _accept_all(self, listener: socket.socket, wake: socket.socket) -> None:
        with listener, wake, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if not self._stopping.is_set():
                    self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, address = listener.accept()
        except OSError:
            return  # the client has gone already
        connection.setblocking(True)
        thread = threading.Thread(
            target=self._serve, args=(connection, address), name=f"{self.name}-connection", daemon=True
        )
        with self._lock:
            self.connections_made += 1
            self._open[connection] = thread
        thread.start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        try:
            _Connection(connection, address, cast(Any, self))
        except OSError:
            pass  # the client reset the connection
        finally:
            with self._lock:
                connection.close()
                del self._open[connection]


class _Connection(BaseHTTPRequestHandler):
    """One client's connection; `server` is the `HttpServer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0  # unbuffered: `_send` writes whole segments

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def version_string(self) -> str:
        return "sandbox"

    def _exchange(self) -> None:
        server = cast(HttpServer, self.server)
        refusal, body = self._read_body(server.max_body_bytes)
        response = refusal or server.answer(self._request(body, server.now()))
        if not server.wait(response.delay_seconds):
            self.close_connection = True
        elif response.reset:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        else:
            self._send(response, server)

    def _read_body(self, limit: int) -> tuple[Response | None, bytes]:
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.close_connection = True
            return json_response({"message": "Length Required", "error": 411}, status=411), b""
        if int(length) > limit:
            self.close_connection = True
            return json_response({"message": "Content Too Large", "error": 413}, status=413), b""
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the client left in the middle of a request")
        return None, body

    def _request(self, body: bytes, at: float) -> Request:
        url = urlsplit(self.path)
        headers = {name.casefold(): value for name, value in self.headers.items()}
        is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return Request(
            method=self.command,
            path=unquote(url.path),
            params=dict(parse_qsl(url.query, keep_blank_values=True)),
            form=dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if is_form else {},
            headers=headers,
            body=body,
            at=at,
        )

    def _send(self, response: Response, server: HttpServer) -> None:
        has_body = self.command != "HEAD" and response.status not in (204, 304)
        body = response.body if has_body else b""
        if response.cut_after is not None:
            self.close_connection = True
            body = body[: response.cut_after]
        head = self._head(response, server)
        if response.drip_seconds <= 0:
            self.wfile.write(head + body)
            return
        self.wfile.write(head)
        step = max(1, -(-len(body) // 20))
        for start in range(0, len(body), step):
            if not server.wait(response.drip_seconds * step / len(body)):
                self.close_connection = True
                return
            self.wfile.write(body[start : start + step])

    def _head(self, response: Response, server: HttpServer) -> bytes:
        lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
        given = {name.casefold() for name, _ in response.headers}
        if response.body and "content-type" not in given:
            lines.append(f"Content-Type: {response.content_type}")
        if "date" not in given:
            lines.append(f"Date: {server.tell_date()}")
        lines.extend(f"{name}: {value}" for name, value in response.headers)
        if response.status != 204:
            lines.append(f"Content-Length: {len(response.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # closed by the client already
