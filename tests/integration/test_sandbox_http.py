"""The sandbox's HTTP server, spoken to by real clients and by bare sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from hotshotd.sandbox.http import HttpServer, Request, Response, Route, Routes, json_response


def echo(request: Request) -> Response:
    """Answer with what arrived."""
    return json_response(
        {
            "variables": dict(request.variables),
            "params": dict(request.params),
            "form": dict(request.form),
            "parts": {name: [part.text, part.filename, part.content_type] for name, part in request.parts().items()},
            "size": len(request.body),
        }
    )


def fail(_: Request) -> Response:
    """Be an emulator with a bug."""
    raise ValueError("a bug")


ROUTES = Routes(
    [
        Route("GET", "/r/{place}/new", echo),
        Route("POST", "/models/{model:path}", echo),
        Route("POST", "/json", lambda request: json_response(request.json())),
        Route("GET", "/fail", fail),
        Route("GET", "/reset", lambda _: Response(reset=True)),
        Route("GET", "/hang", lambda _: Response(delay_seconds=600)),
        Route("GET", "/drip", lambda _: Response(body=b"x" * 100, drip_seconds=600)),
    ]
)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """A running server with a small limit for bodies."""
    with HttpServer("test", ROUTES, max_body_bytes=10_000) as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def raw(server: HttpServer, data: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_routes__variables_params_and_forms(server: HttpServer, session: requests.Session) -> None:
    """A pattern catches segments or paths; a final slash makes no difference; `+` in a path stays."""
    answer = session.get(server.base_url + "/r/a+b/new/?limit=5&x=%20").json()
    assert (answer["variables"], answer["params"]) == ({"place": "a+b"}, {"limit": "5", "x": " "})
    answer = session.post(server.base_url + "/models/a/b%20c", data={"k": "é&="}).json()
    assert (answer["variables"], answer["form"]) == ({"model": "a/b c"}, {"k": "é&="})


def test_routes__unknown_and_wrong_method(server: HttpServer, session: requests.Session) -> None:
    """404 for what is not there, 405 for what can't be asked that way, 400 for what is no JSON."""
    assert session.get(server.base_url + "/nothing").status_code == 404
    assert session.get(server.base_url + "/r/a/b/new").status_code == 404
    assert session.delete(server.base_url + "/r/a/new").status_code == 405
    assert session.post(server.base_url + "/json", data=b"{").status_code == 400


def test_parts__binary_survives(server: HttpServer, session: requests.Session) -> None:
    """A multipart form gives fields and files."""
    files = {"file": ("a.png", b"\r\n--x\r\nab", "image/png")}
    answer = session.post(server.base_url + "/models/m", data={"key": "v"}, files=files).json()
    assert answer["parts"] == {
        "key": ["v", None, "text/plain"],
        "file": ["\r\n--x\r\nab", "a.png", "image/png"],
    }


def test_keep_alive__one_connection_for_many(server: HttpServer) -> None:
    """Requests on one connection are answered in order, pipelined ones too."""
    one = b"GET /r/a/new HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /r/b/new HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = raw(server, one + one + last)
    assert (received.count(b"HTTP/1.1 200 OK"), server.connections_made) == (3, 1)
    assert received.index(b'"place":"a"') < received.index(b'"place":"b"')


def test_reset__is_a_reset_and_no_orderly_end(server: HttpServer) -> None:
    """The client sees ECONNRESET, not an empty answer."""
    with pytest.raises(ConnectionResetError):
        raw(server, b"GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")


def test_answer__leaves_in_one_segment(server: HttpServer) -> None:
    """Head and body come with one read: no delay between them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"GET /r/a/new HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).endswith(b"}")


def test_body__too_large_is_413(server: HttpServer, session: requests.Session) -> None:
    """A body over the cap is refused unread; one at the cap is taken."""
    assert session.post(server.base_url + "/models/m", data=b"x" * 10_000).json()["size"] == 10_000
    head = b"POST /models/m HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n"
    assert raw(server, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"Transfer-Encoding: chunked", 411), (b"Content-Length: -1", 411), (b"Content-Length: x", 411)],
)
def test_body__without_a_length_is_411(server: HttpServer, head: bytes, status: int) -> None:
    """Only a plain Content-Length tells how long a body is."""
    received = raw(server, b"POST /models/m HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert received.startswith(f"HTTP/1.1 {status} ".encode())


def test_log__records_without_secrets(server: HttpServer, session: requests.Session) -> None:
    """Every request is there with its headers and form, and no repr shows them."""
    session.post(
        server.base_url + "/models/m?a=1", data={"password": "s3cret"}, headers={"Authorization": "Bearer t0p"}
    )
    (request,) = server.log.requests("models", method="POST")
    assert (request.bearer, request.form["password"], request.params) == ("t0p", "s3cret", {"a": "1"})
    assert "s3cret" not in repr(request)
    assert "t0p" not in repr(request)
    ((_, response),) = server.log.wait_for_answer(lambda pair: pair[1].status == 200)
    assert response.json()["params"] == {"a": "1"}


def test_wait_for__says_what_did_come(server: HttpServer, session: requests.Session) -> None:
    """A wait in vain is a TimeoutError that shows the last requests."""
    session.get(server.base_url + "/r/a/new")
    with pytest.raises(TimeoutError, match="/r/a/new"):
        server.log.wait_for(lambda request: request.path == "/other", timeout_seconds=0)
    server.log.clear()
    assert server.log.requests() == ()


def test_failure__is_a_500_and_kept(server: HttpServer, session: requests.Session) -> None:
    """A handler's exception goes to the client as 500, and to the test by `failures`."""
    assert session.get(server.base_url + "/fail").status_code == 500
    assert [str(failure) for failure in server.failures] == ["a bug"]


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_stop__ends_hung_requests_and_threads(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever hangs, a stop is quick, silent, and leaves no thread; the port can be taken again."""
    before = set(threading.enumerate())
    server = HttpServer("test", ROUTES).start()
    idle = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    hung = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    hung.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    server.log.wait_for(lambda request: request.path == path)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 1
    assert set(threading.enumerate()) == before
    with server.start(), requests.get(server.base_url + "/r/a/new", timeout=5) as answer:
        assert answer.status_code == 200
    idle.close()
    hung.close()
    assert capfd.readouterr().err == ""


def test_client__that_leaves_is_no_noise(server: HttpServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Half a request, then gone: the server goes on without a word."""
    for data in (b"", b"GET /r", b"POST /json HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(data)
    with requests.get(server.base_url + "/r/a/new", timeout=5) as answer:
        assert answer.status_code == 200
    server.stop()
    assert capfd.readouterr().err == ""
    assert server.failures == []
