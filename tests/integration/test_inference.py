"""The clients of text, ranking and moderation services against real servers on this machine.

What must hold: nothing leaves without a permit, a permit is asked for only on a live connection, each is accounted for
exactly once, nothing that may have left is repeated, and no message knows key or prompt.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Permit, Result
from hotshotd.clock import SystemClock
from hotshotd.errors import (
    BotPaused,
    ConfigError,
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaExceeded,
    QuotaUnavailable,
)
from hotshotd.inference import tls
from hotshotd.inference.base import Endpoint, Message, Prompt, Speaker, TextModel
from hotshotd.inference.build import build_moderator, build_ranker, build_text_model
from hotshotd.inference.http import Answer, Call, ServiceSession, make_ask
from hotshotd.quota.stub import StubQuota
from hotshotd.sandbox.http import HttpServer, Request, Response, json_response, text_response
from hotshotd.sandbox.services import DEFAULT_KEY, Services

KEY = "sk-the-very-secret-key"
PROMPT_TEXT = "The following is part of an odd thread on Reddit about ducks."
PROMPT = Prompt(text=PROMPT_TEXT)
ONE_TEXT = {"generated_text": "quack"}
ONE_CHOICE = {"choices": [{"message": {"content": "quack"}, "text": "quack", "finish_reason": "stop"}]}


@dataclass
class Recorder:
    """An Admission that writes down what happens, in order, and refuses or does what a test wants."""

    refusal: Exception | None = None
    refuse_check: bool = False
    on_ask: Callable[[], None] = lambda: None
    events: list[str] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    gate_is_open: threading.Event = field(default_factory=threading.Event)

    def check(self, ask: Ask) -> None:
        self.events.append("check")
        if self.refusal and self.refuse_check:
            raise self.refusal

    def ask(self, ask: Ask) -> Permit:
        self.events.append("ask")
        self.on_ask()
        if self.refusal:
            raise self.refusal
        self.asks.append(ask)
        return Permit(number=len(self.asks), chars=ask.chars)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        assert ask.service
        assert error
        self.events.append(f"unsent {result}")

    def account(self, account: Account) -> None:
        self.events.append(f"account {account.result}")
        self.accounts.append(account)

    @contextmanager
    def sending(self) -> Iterator[None]:
        self.events.append("gate")
        self.gate_is_open.clear()
        try:
            yield
        finally:
            self.events.append("open")
            self.gate_is_open.set()

    def only(self) -> Account:
        """Give the one account; each permit has exactly one."""
        assert [account.permit.number for account in self.accounts] == list(range(1, len(self.asks) + 1))
        assert len(self.accounts) == 1
        return self.accounts[0]


@pytest.fixture
def admission() -> Recorder:
    return Recorder()


@pytest.fixture
def session(admission: Recorder) -> Iterator[ServiceSession]:
    session = ServiceSession(admission=admission, clock=SystemClock(), connect_seconds=2.0)
    yield session
    session.close()


@contextmanager
def serve(*answers: Response | Callable[[Request], Response]) -> Iterator[HttpServer]:
    """Serve the answers in turn, the last one for ever."""
    count = 0

    def handle(request: Request) -> Response:
        nonlocal count
        answer = answers[min(count, len(answers) - 1)]
        count += 1
        return answer if isinstance(answer, Response) else answer(request)

    with HttpServer("service", handle) as server:
        yield server
    assert not server.failures


@contextmanager
def serve_raw(*scripts: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve raw connections: each script has one, after the request's head and body were read."""
    listener = listen()

    def run() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            with connection:
                read_request(connection)
                try:
                    script(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


def listen(host: str = "127.0.0.1") -> socket.socket:
    """Listen on a free port; an `accept` that nobody comes to ends by itself."""
    listener = socket.create_server((host, 0))
    listener.settimeout(5)
    return listener


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def endpoint(url: str, **changes: Any) -> Endpoint:
    return Endpoint(**{"name": "own", "url": url, "key": KEY, **changes})


def text_model(session: ServiceSession, url: str, api: str = "hf", **changes: Any) -> TextModel:
    parameters = changes.pop("parameters", {})
    model = changes.pop("model", "org/duck-7b")
    return build_text_model(
        api=api, endpoint=endpoint(url, **changes), model=model, parameters=parameters, session=session
    )


def post(session: ServiceSession, url: str, *, read_seconds: float = 5.0, **changes: Any) -> Any:
    """Send one plain call and give its JSON."""
    target = endpoint(url)
    call = Call(
        endpoint=target,
        path="x",
        payload={"inputs": PROMPT_TEXT},
        ask=make_ask(target, chars=len(PROMPT_TEXT), model="m"),
        read_seconds=read_seconds,
        sent_texts=(PROMPT_TEXT,),
        **changes,
    )
    return session.send(call, parse=lambda answer: answer.json)


def assert_discreet(error: BaseException) -> None:
    """Neither the message nor the whole traceback text gives key or prompt away."""
    lines = "".join(traceback.format_exception_only(error))
    chain: BaseException | None = error
    while chain is not None:
        lines += f"{chain!s} {chain!r}"
        chain = chain.__cause__ or chain.__context__
    assert KEY not in lines
    assert PROMPT_TEXT not in lines


# --- the order in which money is spent ---


def test_send__asks_under_the_gate_and_waits_outside(session: ServiceSession, admission: Recorder) -> None:
    """check, connect, gate, ask, send, open, answer, account: the gate is open before the answer comes."""
    seen: list[bool] = []

    def answer(request: Request) -> Response:
        # The answer waits for the gate: if it were held until then, this would time out.
        seen.append(admission.gate_is_open.wait(4))
        return json_response({"ok": 1})

    with serve(answer) as server:
        assert post(session, server.base_url) == {"ok": 1}
    assert seen == [True]
    assert admission.events == ["check", "gate", "ask", "open", "account ok"]
    account = admission.only()
    assert account.permit.chars == len(PROMPT_TEXT)
    assert account.seconds > 0


def test_send__connects_before_it_asks(session: ServiceSession, admission: Recorder) -> None:
    """When leave is asked, the connection stands and not a byte was sent on it."""
    listener = listen()
    peers: list[socket.socket] = []

    def accept() -> None:
        peer, _ = listener.accept()
        peers.append(peer)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)

    admission.on_ask = accept
    admission.refusal = QuotaUnavailable("away")
    with listener, pytest.raises(QuotaUnavailable):
        post(session, f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert peers[0].recv(1) == b""  # and nothing was sent after the refusal
    peers[0].close()
    assert admission.accounts == []


def test_send__a_refused_connection_costs_nothing(session: ServiceSession, admission: Recorder) -> None:
    """Nobody listens: leave is not even asked for, but the breakers hear of it."""
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(InferenceUnavailable, match="nothing answers at its address") as caught:
        post(session, url)
    assert admission.events == ["check", "unsent failed"]
    assert_discreet(caught.value)


@pytest.mark.parametrize("refusal", [BotPaused("paused"), QuotaUnavailable("away")])
def test_send__is_refused_before_connecting(session: ServiceSession, admission: Recorder, refusal: Exception) -> None:
    """`check` refuses without a connection."""
    admission.refusal, admission.refuse_check = refusal, True
    with serve(json_response({})) as server, pytest.raises(type(refusal)):
        post(session, server.base_url)
    assert admission.events == ["check"]
    assert server.log.requests() == ()


def test_send__sends_nothing_without_a_permit(session: ServiceSession, admission: Recorder) -> None:
    """A refusal at the gate leaves the server without a request, and nothing to account for."""
    admission.refusal = QuotaExceeded("over", cost=1, left=0, resets_at=SystemClock().now())
    with serve(json_response({})) as server, pytest.raises(QuotaExceeded):
        post(session, server.base_url)
    assert server.log.requests() == ()
    assert admission.events == ["check", "gate", "ask", "open"]


# --- what was sent stays charged ---


def raw(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def drip(connection: socket.socket) -> None:
    """Send a byte every 50 ms, far beyond the limit: headers first, then body."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 10_000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


def stay_silent(connection: socket.socket) -> None:
    connection.settimeout(5)
    connection.recv(1)


@pytest.mark.parametrize("script", [drip, drip_headers, drip_body, stay_silent])
def test_send__has_one_limit_for_the_whole_answer(
    session: ServiceSession, admission: Recorder, script: Callable[[socket.socket], None]
) -> None:
    """Silence and drops of bytes alike end when the limit has passed; the request stays charged."""
    started = time.monotonic()
    with serve_raw(script) as url, pytest.raises(InferenceUnavailable, match="within 0.6 s") as caught:
        post(session, url, read_seconds=0.6)
    assert 0.5 < time.monotonic() - started < 4
    assert admission.only().result is Result.FAILED
    assert_discreet(caught.value)


@pytest.mark.parametrize(
    "script",
    [
        raw(b""),
        raw(b"SSH-2.0-OpenSSH\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 200 + b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx"),
    ],
)
def test_send__a_broken_answer_is_charged_once(
    session: ServiceSession, admission: Recorder, script: Callable[[socket.socket], None]
) -> None:
    """Whatever comes back that is no HTTP answer: charged, accounted for once, not repeated."""
    with serve_raw(script) as url, pytest.raises(InferenceUnavailable) as caught:
        post(session, url)
    assert admission.only().result is Result.FAILED
    assert_discreet(caught.value)


def test_send__a_reset_is_charged_and_not_repeated(session: ServiceSession, admission: Recorder) -> None:
    """A reset after the request was sent is an unknown outcome: spent."""
    with serve(Response(reset=True)) as server, pytest.raises(InferenceUnavailable):
        post(session, server.base_url)
    assert admission.only().result is Result.FAILED
    assert len(server.log.requests()) == 1


def test_send__a_gigantic_answer_is_nonsense(session: ServiceSession, admission: Recorder) -> None:
    """More than the cap is not read to its end, nor used."""
    with serve(Response(body=b"[" + b" " * 5 * 1024 * 1024 + b"]")) as server:
        with pytest.raises(InferenceNonsense, match="more than 4194304 bytes"):
            post(session, server.base_url)
    assert admission.only().result is Result.FAILED


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000])
def test_send__what_is_not_json_is_nonsense(session: ServiceSession, admission: Recorder, body: bytes) -> None:
    """A 200 that can't be read is a failure of the service."""
    with serve(Response(body=body)) as server, pytest.raises(InferenceNonsense):
        post(session, server.base_url)
    assert admission.only().result is Result.FAILED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_send__follows_no_redirect(session: ServiceSession, admission: Recorder, status: int) -> None:
    """Another host never gets to see the key."""
    with serve(json_response({})) as other:
        moved = Response(status, headers=(("Location", other.base_url + "/x"),))
        with serve(moved) as server, pytest.raises(InferenceError, match="redirects"):
            post(session, server.base_url)
        assert other.log.requests() == ()
    assert len(admission.accounts) == 1


# --- connections ---


def test_send__keeps_a_connection(session: ServiceSession) -> None:
    """Two requests in a row share a connection."""
    with listen() as listener:
        served: list[bytes] = []

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(2):
                    served.append(read_request(connection))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=run)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        post(session, url)
        post(session, url)
        thread.join(5)
    assert len(served) == 2


def test_send__a_dropped_connection_is_replaced_before_it_costs(session: ServiceSession, admission: Recorder) -> None:
    """A server that closes between two requests costs nothing extra."""
    with serve(json_response({})) as server:
        post(session, server.base_url)
        server.drop_connections()
        wait_until_closed(server)
        post(session, server.base_url)
    assert [account.result for account in admission.accounts] == [Result.OK, Result.OK]


def test_send__a_connection_dropped_while_asking_is_given_back(session: ServiceSession, admission: Recorder) -> None:
    """It closes between the question and the answer of the quota process: nothing left, so it is given back."""
    with serve(json_response({})) as server:
        post(session, server.base_url)

        def drop() -> None:
            admission.on_ask = lambda: None
            server.drop_connections()
            wait_until_closed(server)

        admission.on_ask = drop
        post(session, server.base_url)
    assert [account.result for account in admission.accounts] == [Result.OK, Result.NOT_SENT, Result.OK]
    assert len(server.log.requests()) == 2


def wait_until_closed(server: HttpServer) -> None:
    """Wait until the server's side has closed: its FIN is then in our socket's queue on loopback."""
    deadline = time.monotonic() + 5
    while server._open and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not server._open


def test_close__ends_a_wait_at_once(session: ServiceSession, admission: Recorder) -> None:
    """A worker that stops does not wait for a model; the request stays charged."""
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            post(session, server.base_url, read_seconds=30)
        except InferenceUnavailable as exc:
            errors.append(exc)

    with serve(Response(delay_seconds=30, body=b"{}")) as server:
        thread = threading.Thread(target=ask)
        thread.start()
        server.log.wait_for(lambda request: True)
        session.close()
        thread.join(5)
        assert not thread.is_alive()
    assert len(errors) == 1
    assert admission.only().result is Result.FAILED


def test_send__many_threads_share_a_session(session: ServiceSession, admission: Recorder) -> None:
    """Eight threads at once: each gets its own answer, each permit one account."""
    answers: dict[int, Any] = {}

    def echo(request: Request) -> Response:
        return json_response({"path": request.path})

    def ask(number: int, url: str) -> None:
        target = endpoint(url)
        call = Call(endpoint=target, path=f"n{number}", payload={}, ask=make_ask(target, chars=1))
        answers[number] = session.send(call, parse=lambda answer: answer.json)

    with serve(echo) as server:
        threads = [threading.Thread(target=ask, args=(number, server.base_url)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert answers == {number: {"path": f"/n{number}"} for number in range(8)}
    assert sorted(account.permit.number for account in admission.accounts) == list(range(1, 9))


# --- TLS and proxies ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",  # noqa: E501
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,DNS:service.test,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return path


@contextmanager
def serve_tls(certificate: Path, *, requests: int, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer `requests` requests on one TLS 1.3 connection; failed handshakes are let go."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server((host, 0))

    # A client that never comes must not keep the test's thread, and with it the test run, waiting for ever.
    listener.settimeout(10)

    def run() -> None:
        try:
            plain, _ = listener.accept()
        except TimeoutError:
            return
        plain.settimeout(10)
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                for _ in range(requests):
                    read_request(connection)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except OSError:
            plain.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(12)
        listener.close()
        assert not thread.is_alive()


def test_tls__verifies_with_the_bundle_of_the_environment(
    session: ServiceSession, admission: Recorder, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE counts, and a connection over TLS is kept as well."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serve_tls(certificate, requests=2) as port:
        assert post(session, f"https://127.0.0.1:{port}") == {}
        assert post(session, f"https://127.0.0.1:{port}") == {}
    assert [account.result for account in admission.accounts] == [Result.OK, Result.OK]


def test_tls__refuses_a_stranger_before_asking(session: ServiceSession, admission: Recorder, certificate: Path) -> None:
    """An untrusted certificate ends it before a permit is asked for."""
    with serve_tls(certificate, requests=1) as port:
        with pytest.raises(InferenceUnavailable, match="no certificate that is trusted"):
            post(session, f"https://127.0.0.1:{port}")
    assert admission.events == ["check", "unsent failed"]


def test_tls__refuses_another_host(
    session: ServiceSession, admission: Recorder, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate for another name is refused: the shared context checks host names."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serve_tls(certificate, requests=1, host="127.0.0.2") as port:
        with pytest.raises(InferenceUnavailable, match="certificate"):
            post(session, f"https://127.0.0.2:{port}")
    assert admission.events == ["check", "unsent failed"]


def test_tls__a_silent_handshake_costs_nothing(admission: Recorder) -> None:
    """A server that accepts and says nothing is given up within the connect limit, uncharged."""
    session = ServiceSession(admission=admission, clock=SystemClock(), connect_seconds=0.3)
    with listen() as listener:
        with pytest.raises(InferenceUnavailable, match="can't be connected to in time"):
            post(session, f"https://127.0.0.1:{listener.getsockname()[1]}")
    assert admission.events == ["check", "unsent failed"]


def test_warm_up__reads_the_bundle_once() -> None:
    """One context a process: the second call gives the same object."""
    tls.warm_up()
    assert tls.get_context() is tls.get_context()
    assert tls.get_context().verify_mode is ssl.CERT_REQUIRED
    assert tls.get_context().check_hostname


@contextmanager
def serve_proxy(target_port: int) -> Iterator[tuple[str, list[bytes]]]:
    """A CONNECT proxy for one connection, which it leads to `target_port`."""
    listener = listen()
    heads: list[bytes] = []

    def run() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", target_port)) as target:
            heads.append(read_request(client))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, client))
            back.start()
            pump(client, target)
            back.join(5)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        thread.join(5)
        listener.close()
        assert not thread.is_alive()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_proxy__the_tunnel_belongs_to_connecting(
    session: ServiceSession, admission: Recorder, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS goes through CONNECT; the proxy sees no key, and leave is asked for once the tunnel stands."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serve_tls(certificate, requests=1) as port, serve_proxy(port) as (proxy, heads):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        tunnel_stands: list[bool] = []
        admission.on_ask = lambda: tunnel_stands.append(len(heads) == 1)
        assert post(session, "https://service.test") == {}
        session.close()
    assert heads[0].startswith(b"CONNECT service.test:443 ")
    assert KEY.encode() not in heads[0]
    assert tunnel_stands == [True]
    assert admission.only().result is Result.OK


def test_proxy__plain_http_is_forwarded_under_the_gate(
    session: ServiceSession, admission: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a forwarding proxy the same order holds."""
    with serve(json_response({"via": "proxy"})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        assert post(session, "http://service.test/v1") == {"via": "proxy"}
    assert admission.events == ["check", "gate", "ask", "open", "account ok"]


def test_proxy__socks_is_refused_and_not_gone_around(
    session: ServiceSession, admission: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that can't be used is an error: nothing goes out past it, and its password stays out of the message."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://me:word@127.0.0.1:1080")
    with pytest.raises(InferenceUnavailable) as caught:
        post(session, "https://service.test")
    assert admission.events == ["check", "unsent failed"]
    assert "word" not in str(caught.value)
    assert caught.value.__cause__ is None


# --- keys ---


def test_key__goes_in_a_header_and_nowhere_else(
    session: ServiceSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bearer key is sent; a .netrc is not looked at."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serve(json_response({})) as server:
        post(session, server.base_url)
        target = endpoint(server.base_url, key=None)
        session.send(Call(endpoint=target, path="", payload={}, ask=make_ask(target, chars=0)), parse=lambda _: 0)
    first, second = server.log.requests()
    assert first.bearer == KEY
    assert "authorization" not in second.headers
    assert first.headers["user-agent"].startswith("hotshotd/")


def test_key__a_name_in_the_address_does_not_take_its_place(session: ServiceSession) -> None:
    """`https://me:word@host` is no way to sign in: the bearer key stays."""
    with serve(json_response({})) as server:
        post(session, server.base_url.replace("//", "//me:word@"))
    assert server.log.requests()[0].bearer == KEY


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_key__one_that_fits_no_header_is_never_quoted(session: ServiceSession, admission: Recorder, key: str) -> None:
    """The libraries would quote it: it is refused before they see it."""
    target = endpoint("http://127.0.0.1:9", key=key)
    with pytest.raises(InferenceGone) as caught:
        session.send(Call(endpoint=target, path="", payload={}, ask=make_ask(target, chars=0)), parse=lambda _: 0)
    assert key not in str(caught.value)
    assert caught.value.__cause__ is None


def test_key__in_the_query_stays_out_of_logs_and_errors(
    session: ServiceSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Perspective's key is put in as the request is written, so neither urllib3's debug lines nor errors have it."""
    caplog.set_level(logging.DEBUG)
    with serve(json_response({"error": f"no {KEY}"}, status=403), Response(reset=True)) as server:
        for _ in range(2):
            with pytest.raises(InferenceError) as caught:
                post(session, server.base_url, key_parameter="key")
            assert_discreet(caught.value)
    assert [request.params for request in server.log.requests()] == [{"key": KEY}, {"key": KEY}]
    assert "authorization" not in server.log.requests()[0].headers
    assert "/x" in caplog.text  # the debug lines are there
    assert KEY not in caplog.text


# --- the error table, end to end ---


@pytest.mark.parametrize(
    ("response", "kind", "result"),
    [
        (json_response({"error": "x"}, status=400), InferenceRejected, Result.REJECTED),
        (json_response({"error": "x"}, status=401), InferenceGone, Result.GONE),
        (json_response({"error": "x"}, status=402), InferenceGone, Result.GONE),
        (text_response("gone", status=404), InferenceGone, Result.GONE),
        (text_response("gone", status=410), InferenceGone, Result.GONE),
        (text_response("", status=413), InferenceRejected, Result.REJECTED),
        (json_response([{"error": {"message": "x"}}], status=422), InferenceRejected, Result.REJECTED),
        (json_response({"detail": "x"}, status=429), InferenceUnavailable, Result.FAILED),
        (json_response({"title": "x"}, status=500), InferenceUnavailable, Result.FAILED),
        (json_response({}, status=503), InferenceUnavailable, Result.FAILED),
        (json_response({"error": {"code": 402, "message": "x"}}), InferenceGone, Result.GONE),
        (json_response({"error": {"code": 429, "message": "x"}}), InferenceUnavailable, Result.FAILED),
        (json_response({"error": "x"}), InferenceUnavailable, Result.FAILED),
        (json_response([]), InferenceNonsense, Result.FAILED),
    ],
)
def test_generate__each_kind_of_failure_is_accounted_for(
    session: ServiceSession, admission: Recorder, response: Response, kind: type[Exception], result: Result
) -> None:
    """The exception that a chain decides by, and the result that a breaker counts, belong together."""
    with serve(response) as server:
        target = endpoint(server.base_url)
        call = Call(endpoint=target, path="m", payload={}, ask=make_ask(target, chars=3))

        def parse(answer: Answer) -> str:
            if not answer.json:
                raise InferenceNonsense("empty")
            return "text"

        with pytest.raises(kind) as caught:
            session.send(call, parse=parse)
    assert type(caught.value) is kind
    assert admission.only().result is result


def test_send__passes_on_what_a_service_asks_to_wait(session: ServiceSession, admission: Recorder) -> None:
    """Retry-After reaches both the caller and the breaker, capped."""
    busy = json_response({"error": "slow down"}, status=429, headers=[("Retry-After", "7200")])
    with serve(busy) as server, pytest.raises(InferenceUnavailable) as caught:
        post(session, server.base_url)
    assert caught.value.retry_after == 3600
    assert admission.only().retry_after == 3600


def test_send__an_echo_of_the_prompt_is_not_repeated(session: ServiceSession, admission: Recorder) -> None:
    """A server that quotes prompt and key in its error gives neither away."""
    loud = json_response({"error": f"cannot do {PROMPT_TEXT} with {KEY}"}, status=400)
    with serve(loud) as server, pytest.raises(InferenceRejected, match="cannot do") as caught:
        post(session, server.base_url)
    assert_discreet(caught.value)
    assert PROMPT_TEXT not in admission.only().error


# --- text models ---


def test_hf__asks_and_answers(session: ServiceSession, admission: Recorder) -> None:
    """The classic task: model in the path, parameters under their own names, prompt stripped, cost counted."""
    with serve(json_response([{"generated_text": PROMPT_TEXT + " quack"}, {"generated_text": "honk"}])) as server:
        model = text_model(session, server.base_url, parameters={"max_new_tokens": 9, "num_return_sequences": 2})
        found = model.generate(PROMPT)
    (request,) = server.log.requests()
    assert request.path == "/org/duck-7b"
    assert request.json() == {
        "inputs": PROMPT_TEXT,
        "parameters": {"return_full_text": False, "num_return_sequences": 2, "max_new_tokens": 9},
    }
    assert found.texts == ("quack", "honk")
    assert (found.backend, found.model, found.cost) == ("own", "org/duck-7b", len(PROMPT_TEXT))
    assert model.cost(PROMPT) == len(PROMPT_TEXT) == admission.asks[0].chars
    assert admission.asks[0].role is Role.TEXT
    assert admission.only().received_chars == len(PROMPT_TEXT) + len(" quack") + len("honk")


def test_generate__a_server_that_is_not_metered_costs_nothing(session: ServiceSession, admission: Recorder) -> None:
    """`metered: false` asks for a permit of no characters: paused and broken still count."""
    with serve(json_response(ONE_CHOICE)) as server:
        model = text_model(session, server.base_url, api="completions", metered=False, model="")
        assert model.cost(PROMPT) == 0
        assert model.generate(PROMPT).cost == 0
    assert [ask.chars for ask in admission.asks] == [0]
    assert server.log.requests()[0].json() == {"prompt": PROMPT_TEXT, "max_tokens": 250}


def test_chat__charges_all_messages(session: ServiceSession, admission: Recorder) -> None:
    """What is charged is every message's text."""
    prompt = Prompt(text="base", messages=(Message(Speaker.SYSTEM, "Be a duck."), Message(Speaker.USER, "Hellö")))
    with serve(json_response(ONE_CHOICE)) as server:
        found = text_model(session, server.base_url, api="chat").generate(prompt)
    assert found.texts == ("quack",)
    assert found.cost == admission.asks[0].chars == Chars(15)
    assert server.log.requests()[0].path == "/chat/completions"


def refuse_unless(allowed: set[str], text: str, status: int = 400) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        body = request.json()
        if set(body) - {"model", "messages", "max_tokens"} <= allowed:
            return json_response(ONE_CHOICE)
        return json_response({"error": {"message": text}}, status=status)

    return answer


@pytest.mark.parametrize("status", [400, 422])
def test_generate__a_refused_parameter_is_left_out_from_then_on(
    session: ServiceSession, admission: Recorder, status: int
) -> None:
    """Bare once, as a request of its own; then only what was named stays out."""
    parameters = {"temperature": 0.5, "top_k": 40}
    with serve(refuse_unless({"temperature"}, "Unknown name top_k: cannot find field", status)) as server:
        model = text_model(session, server.base_url, api="chat", parameters=parameters)
        first = model.generate(PROMPT)
        second = model.generate(PROMPT)
        other_client = text_model(session, server.base_url, api="chat", parameters=parameters)
        other_client.generate(PROMPT)
    sent = [set(request.json()) - {"model", "messages", "max_tokens"} for request in server.log.requests()]
    assert sent == [{"temperature", "top_k"}, set(), {"temperature"}, {"temperature"}]
    assert (first.cost, second.cost) == (2 * len(PROMPT_TEXT), len(PROMPT_TEXT))
    assert [account.result for account in admission.accounts] == [Result.REJECTED, *[Result.OK] * 3]


def test_generate__a_refusal_that_names_nothing_leaves_all_out(session: ServiceSession) -> None:
    """Without a name, nothing optional is sent to that model any more."""
    with serve(refuse_unless(set(), "Bad Request")) as server:
        model = text_model(session, server.base_url, api="chat", parameters={"temperature": 0.5, "top_k": 40})
        model.generate(PROMPT)
        model.generate(PROMPT)
    assert len(server.log.requests()) == 3


def test_generate__learns_the_other_name_of_the_limit(session: ServiceSession) -> None:
    """A model that wants max_completion_tokens gets it, at once and from then on."""

    def answer(request: Request) -> Response:
        if "max_completion_tokens" in request.json():
            return json_response(ONE_CHOICE)
        text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return json_response({"error": {"message": text}}, status=400)

    with serve(answer) as server:
        model = text_model(session, server.base_url, api="chat", parameters={"temperature": 1.0})
        model.generate(PROMPT)
        model.generate(PROMPT)
    assert len(server.log.requests()) == 3


def test_generate__a_400_that_says_the_model_is_gone(session: ServiceSession, admission: Recorder) -> None:
    """It counts against the model at once, without a second request."""
    text = "The requested model 'org/duck-7b' is not supported by any provider you have enabled."
    with serve(json_response({"error": text}, status=400)) as server, pytest.raises(InferenceGone):
        text_model(session, server.base_url, api="chat", parameters={"temperature": 1}).generate(PROMPT)
    assert admission.only().result is Result.GONE


def test_generate__two_different_prompts_refused_bare_count_against_the_model(
    session: ServiceSession, admission: Recorder
) -> None:
    """One prompt may be at fault, as often as it is tried; a second one in a row is not."""
    with serve(json_response({"error": "no"}, status=400)) as server:
        model = text_model(session, server.base_url, parameters={"temperature": 1})
        for _ in range(2):
            with pytest.raises(InferenceRejected):
                model.generate(PROMPT)
        with pytest.raises(InferenceGone):
            model.generate(Prompt("another prompt"))
    results = [account.result for account in admission.accounts]
    assert results == [*[Result.REJECTED] * 5, Result.GONE]


def test_generate__a_prompt_taken_between_two_refusals_clears_the_model(session: ServiceSession) -> None:
    """Refused, taken, refused: each fails alone."""
    no = json_response({"error": "no"}, status=400)
    with serve(no, json_response(ONE_TEXT), no) as server:
        model = text_model(session, server.base_url)
        with pytest.raises(InferenceRejected):
            model.generate(PROMPT)
        model.generate(Prompt("a good one"))
        with pytest.raises(InferenceRejected):
            model.generate(Prompt("another prompt"))


@pytest.mark.parametrize("parameters", [{}, {"temperature": 1}])
def test_generate__too_long_is_said_and_not_resent(
    session: ServiceSession, admission: Recorder, parameters: dict[str, Any]
) -> None:
    """The caller shortens: nothing is sent again, and it never counts against the model."""
    error = {"error": "maximum context length is 1024 tokens", "model": "org/duck-7b"}
    with serve(json_response(error, status=400)) as server:
        model = text_model(session, server.base_url, parameters=parameters)
        for prompt in (PROMPT, Prompt("another prompt"), Prompt("a third prompt")):
            with pytest.raises(InferenceRejected) as caught:
                model.generate(prompt)
            assert caught.value.too_long
    assert len(admission.asks) == 3


def think(content: str | None) -> Response:
    return json_response({"choices": [{"message": {"content": content, "reasoning": "hm"}, "finish_reason": "length"}]})


@pytest.mark.parametrize("content", [None, "", "<think>hm, let me see"])
def test_chat__thoughts_only_are_given_more_room_once(
    session: ServiceSession, admission: Recorder, content: str | None
) -> None:
    """One more request with 1000 tokens more; where it helped, the next prompt gets them at once."""
    with serve(think(content), think("<think>hm</think>quack")) as server:
        model = text_model(session, server.base_url, api="chat", parameters={"max_new_tokens": 50})
        found = model.generate(PROMPT)
        model.generate(PROMPT)
    assert found.texts == ("quack",)
    assert found.cost == 2 * len(PROMPT_TEXT)
    assert [request.json()["max_tokens"] for request in server.log.requests()] == [50, 1050, 1050]
    assert [account.result for account in admission.accounts] == [Result.FAILED, Result.OK, Result.OK]


def test_chat__never_asks_a_third_time(session: ServiceSession, admission: Recorder) -> None:
    """A model that only thinks is nonsense after one more try."""
    with serve(think(None)) as server, pytest.raises(InferenceNonsense):
        text_model(session, server.base_url, api="chat").generate(PROMPT)
    assert len(admission.accounts) == 2


def test_chat__more_room_that_no_longer_helps_is_not_asked_for_again(session: ServiceSession) -> None:
    """Once the thousand tokens more are always asked for, an empty answer is nonsense at once."""
    with serve(think(None), think("quack"), think(None)) as server:
        model = text_model(session, server.base_url, api="chat")
        model.generate(PROMPT)
        with pytest.raises(InferenceNonsense):
            model.generate(PROMPT)
    assert len(server.log.requests()) == 3


def test_chat__more_room_that_is_refused_is_not_remembered(session: ServiceSession) -> None:
    """A server that takes no thousand tokens more is asked for the plain number next time."""
    with serve(think(None), json_response({"error": "no"}, status=400), think("quack")) as server:
        model = text_model(session, server.base_url, api="chat", parameters={"max_new_tokens": 50})
        with pytest.raises(InferenceRejected):
            model.generate(PROMPT)
        assert model.generate(PROMPT).texts == ("quack",)
    assert [request.json()["max_tokens"] for request in server.log.requests()] == [50, 1050, 50]


def test_completions__an_empty_text_is_not_asked_for_again(session: ServiceSession, admission: Recorder) -> None:
    """A base model that has nothing to say is nonsense at once."""
    with serve(json_response({"choices": [{"text": "  "}]})) as server, pytest.raises(InferenceNonsense):
        text_model(session, server.base_url, api="completions").generate(PROMPT)
    assert len(admission.accounts) == 1


def test_completions__sends_its_stops(session: ServiceSession) -> None:
    """A base model is told where to stop, with at most four strings; a choice too few is not asked for again."""
    with serve(json_response(ONE_CHOICE)) as server:
        model = text_model(session, server.base_url, api="completions", parameters={"num_return_sequences": 3})
        assert model.generate(Prompt("x", stop=("a", "b", "c", "d", "e"))).texts == ("quack",)
    (request,) = server.log.requests()
    assert request.json()["stop"] == ["a", "b", "c", "d"]
    assert request.json()["n"] == 3


def test_build__knows_what_it_can_not_build(session: ServiceSession) -> None:
    """A wire format without a client names those that have one."""
    with pytest.raises(ConfigError, match="use one of chat, completions, hf"):
        text_model(session, "http://x", api="carrier-pigeon")


# --- rankers and moderators ---


@pytest.mark.parametrize(
    "body",
    [
        [[{"label": "LABEL_0", "score": 0.613}]],
        [{"label": "LABEL_0", "score": 0.613}],
        {"label": "LABEL_0", "score": 0.613},
    ],
)
def test_ranker__scores(session: ServiceSession, admission: Recorder, body: Any) -> None:
    """DialogRPT's input is built from the turns, and charged as it is sent."""
    with serve(json_response(body)) as server:
        ranker = build_ranker(
            api="hf",
            endpoint=endpoint(server.base_url, role=Role.RANK),
            model="microsoft/DialogRPT-updown",
            session=session,
        )
        assert ranker.score(["Hi ", " there"], "you") == 0.613
        assert ranker.cost(["Hi ", " there"], "you") == admission.asks[0].chars
    (request,) = server.log.requests()
    assert request.json() == {"inputs": "Hi<|endoftext|>there<|endoftext|>you"}
    assert admission.asks[0].role is Role.RANK


@pytest.mark.parametrize("body", [[], [[]], {}, [{"score": 1.5}], [{"score": "0.5"}], [{"score": 0.1}, {"score": 0.2}]])
def test_ranker__nonsense_is_no_score(session: ServiceSession, admission: Recorder, body: Any) -> None:
    """What is no probability raises."""
    with serve(json_response(body)) as server:
        ranker = build_ranker(api="hf", endpoint=endpoint(server.base_url), model="m", session=session)
        with pytest.raises(InferenceNonsense):
            ranker.score(["a"], "b")
    assert admission.only().result is Result.FAILED


def perspective_answer(scores: dict[str, float]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        wanted = request.json()["requestedAttributes"]
        table = {name: {"summaryScore": {"value": scores.get(name, 0.01), "type": "PROBABILITY"}} for name in wanted}
        return json_response({"attributeScores": table})

    return answer


def moderator(session: ServiceSession, name: str, url: str, threshold: Any = 0.9, languages: Any = ("en",)) -> Any:
    return build_moderator(
        name=name,
        endpoint=endpoint(url, role=Role.MODERATION),
        threshold=threshold,
        languages=languages,
        session=session,
    )


def test_perspective__asks_for_all_six_and_is_not_metered(session: ServiceSession, admission: Recorder) -> None:
    """The documented request; the highest attribute over its threshold refuses."""
    with serve(perspective_answer({"INSULT": 0.95})) as server:
        judgement = moderator(session, "perspective", server.base_url).judge("you goose")
    (request,) = server.log.requests()
    assert request.path == "/v1alpha1/comments:analyze"
    assert request.params == {"key": KEY}
    assert request.json()["comment"] == {"text": "you goose", "type": "PLAIN_TEXT"}
    assert len(request.json()["requestedAttributes"]) == 6
    assert request.json()["languages"] == ["en"]
    assert request.json()["doNotStore"] is True
    assert (judgement.ok, judgement.why) == (False, "INSULT 0.95")
    assert admission.asks[0].chars == 0


def test_perspective__lets_the_language_be_detected(session: ServiceSession) -> None:
    """`languages: null` leaves them out."""
    with serve(perspective_answer({})) as server:
        assert moderator(session, "perspective", server.base_url, languages=None).judge("hi").ok
    assert "languages" not in server.log.requests()[0].json()


def test_perspective__a_long_text_is_judged_in_pieces(session: ServiceSession) -> None:
    """Each piece fits; the worst decides."""

    def answer(request: Request) -> Response:
        bad = "goose" in request.json()["comment"]["text"]
        return perspective_answer({"TOXICITY": 0.99 if bad else 0.0})(request)

    with serve(answer) as server:
        judge = moderator(session, "perspective", server.base_url)
        assert not judge.judge("duck " * 8000 + "goose").ok
        assert judge.judge("duck " * 8000).ok
    assert len(server.log.requests()) == 4
    assert all(len(request.json()["comment"]["text"].encode()) <= 20_480 for request in server.log.requests())


def test_perspective__leaves_out_what_a_language_lacks(session: ServiceSession) -> None:
    """One unsupported attribute fails the whole request: it is dropped and remembered, TOXICITY never."""

    def answer(request: Request) -> Response:
        for name in ("THREAT", "INSULT"):
            if name in request.json()["requestedAttributes"]:
                text = f"Attribute {name} does not support request languages: xx"
                return json_response({"error": {"code": 400, "message": text}}, status=400)
        return perspective_answer({})(request)

    with serve(answer) as server:
        judge = moderator(session, "perspective", server.base_url, languages=("xx",))
        assert judge.judge("hi").ok
        assert judge.judge("hi").ok
    assert [len(request.json()["requestedAttributes"]) for request in server.log.requests()] == [6, 5, 4, 4]


def test_perspective__without_toxicity_there_is_no_verdict(session: ServiceSession) -> None:
    """A language in which the one attribute that matters is not scored fails, and goes on failing."""
    text = "Attribute TOXICITY does not support request languages: xx"
    with serve(json_response({"error": {"message": text}}, status=400), perspective_answer({})) as server:
        with pytest.raises(InferenceRejected):
            moderator(session, "perspective", server.base_url, languages=("xx",)).judge("hi")
    assert len(server.log.requests()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"attributeScores": {}},
        {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.1}}}},
        {"attributeScores": {key: {"summaryScore": {"value": "0.1"}} for key in ("TOXICITY", "THREAT")}},
    ],
)
def test_perspective__nonsense_never_passes(session: ServiceSession, body: Any) -> None:
    """A missing or mistyped score is no verdict."""
    with serve(json_response(body)) as server, pytest.raises(InferenceNonsense):
        moderator(session, "perspective", server.base_url).judge("hi")


@pytest.mark.parametrize("name", ["perspective", "openai", "mistral"])
@pytest.mark.parametrize("status", [400, 401, 403, 410, 429, 500])
def test_moderators__an_error_is_never_a_pass(session: ServiceSession, name: str, status: int) -> None:
    """Whatever goes wrong raises; the quota of characters is not touched."""
    with serve(json_response({"error": {"message": "x"}}, status=status)) as server, pytest.raises(InferenceError):
        moderator(session, name, server.base_url).judge("hi")


@pytest.mark.parametrize("name", ["perspective", "openai", "mistral"])
def test_moderators__an_empty_text_is_never_sent(session: ServiceSession, admission: Recorder, name: str) -> None:
    """There is nothing to judge in blanks."""
    assert moderator(session, name, "http://127.0.0.1:9").judge(" \n").ok
    assert admission.events == []


def moderation(flagged: Any = False, **scores: Any) -> dict[str, Any]:
    categories = {name: bool(flagged) and score == max(scores.values()) for name, score in scores.items()}
    return {"results": [{"flagged": flagged, "categories": categories, "category_scores": scores}]}


@pytest.mark.parametrize(
    ("name", "body", "is_ok"),
    [
        ("openai", moderation(hate=0.1, violence=0.2), True),
        ("openai", moderation(hate=0.1, violence=0.9), False),
        ("openai", moderation(True, hate=0.1, violence=0.2), False),
        ("mistral", moderation(sexual=0.1, health=0.99), True),
        ("mistral", moderation(True, sexual=0.1, health=0.99), True),
        ("mistral", moderation(True, sexual=0.6, health=0.1), False),
        ("mistral", moderation(sexual=0.95, health=0.1), False),
    ],
)
def test_moderations__flag_or_threshold_refuse(session: ServiceSession, name: str, body: Any, is_ok: bool) -> None:
    """Flagged refuses whatever the score; so does a counted score; advice and privacy do not count for Mistral."""
    with serve(json_response(body)) as server:
        assert moderator(session, name, server.base_url).judge("hi").ok is is_ok
    sent = server.log.requests()[0]
    assert sent.path == "/moderations"
    assert sent.json()["input"] == ("hi" if name == "openai" else ["hi"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"results": []},
        {"results": [{}]},
        {"results": [{"flagged": False, "categories": {}, "category_scores": {}}]},
        {"results": [{"flagged": False, "categories": {}, "category_scores": {"hate": None}}]},
        {"results": [{"flagged": "no", "categories": {}, "category_scores": {"hate": 0.1}}]},
        {"results": [{"categories": {}, "category_scores": {"hate": 0.1}}]},
        {"results": [{"flagged": False, "category_scores": {"hate": 0.1}}]},
        json.loads('{"results": [{"flagged": false, "categories": {}, "category_scores": {"hate": NaN}}]}'),
    ],
)
def test_openai__nonsense_never_passes(session: ServiceSession, body: Any) -> None:
    """A verdict that is not whole is none."""
    with serve(json_response(body)) as server, pytest.raises(InferenceNonsense):
        moderator(session, "openai", server.base_url).judge("hi")


# --- all together, with the sandbox's services and the real rules of the quota ---


def test_sandbox__what_is_charged_is_what_the_services_received() -> None:
    """Every wire format against its emulator: the ledger's sum is the sum that arrived, to the character."""
    clock = SystemClock()
    quota = StubQuota(clock, budgets={"iama": 10_000})
    admission = quota.enter("iama")
    session = ServiceSession(admission=admission, clock=clock)
    prompt = Prompt(text="Why do ducks quäck?", messages=(Message(Speaker.USER, "Why do ducks quäck, really?"),))
    with Services() as services:
        urls = {"hf": services.hf_url, "completions": services.openai_url, "chat": services.openai_url}
        charged = 0
        for api, url in urls.items():
            model = text_model(session, url, api=api, key=DEFAULT_KEY, parameters={"num_return_sequences": 2})
            found = model.generate(prompt)
            assert all(text.strip() for text in found.texts)
            charged += found.cost
        target = endpoint(services.hf_url, key=DEFAULT_KEY)
        ranker = build_ranker(api="hf", endpoint=target, model="microsoft/DialogRPT-updown", session=session)
        assert 0 <= ranker.score(["Why?"], "Because.") <= 1
        charged += ranker.cost(["Why?"], "Because.")
        for name, url in (("perspective", services.perspective_url), ("openai", services.openai_url)):
            judge = build_moderator(
                name=name, endpoint=endpoint(url, key=DEFAULT_KEY), threshold=0.9, languages=("en",), session=session
            )
            assert judge.judge("What a lovely duck.").ok
        assert services.received_chars() == charged
        for server in services.servers:
            assert not server.failures
    session.close()
    (figures,) = quota.compute_figures().bots
    assert figures.characters == charged


def test_sandbox__a_budget_that_is_used_up_sends_nothing() -> None:
    """The request that would go over the budget does not leave."""
    clock = SystemClock()
    admission = StubQuota(clock, budgets={"iama": len(PROMPT_TEXT) + 5}).enter("iama")
    session = ServiceSession(admission=admission, clock=clock)
    with Services() as services:
        model = text_model(session, services.hf_url, key=DEFAULT_KEY)
        model.generate(PROMPT)
        with pytest.raises(QuotaExceeded):
            model.generate(PROMPT)
        assert services.received_chars() == len(PROMPT_TEXT)
    session.close()
