"""Pictures made, described, enlarged and fetched against real servers on this machine.

What must hold: the key goes to the configured server only; an address that a stranger or a service names is fetched
with care; every request has its permit; and what is no picture never passes for one.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from PIL import Image

from hotshotd._types import Role
from hotshotd.admission import Account, Ask, Permit, Result
from hotshotd.clock import SystemClock
from hotshotd.errors import (
    BotPaused,
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
)
from hotshotd.inference.base import Captioner, Endpoint, Painter, Picture
from hotshotd.inference.build import build_captioner, build_painter, build_upscaler
from hotshotd.inference.captions import INSTRUCTION
from hotshotd.inference.fetch import Fetcher
from hotshotd.inference.http import ServiceSession
from hotshotd.inference.pictures import MAX_PICTURE_BYTES
from hotshotd.sandbox.http import HttpServer, Request, Response, json_response, text_response
from hotshotd.sandbox.pictures import azure_error, draw_png, read_size
from hotshotd.sandbox.services import DEFAULT_KEY, Services

PNG = draw_png("ducks")
PROMPT = "a lighthouse at night, with ducks, by a patient painter"
PHOTO = "https://i.redd.it/abc123.jpg"
NO_REGION = "not supported in this region."


@dataclass
class Counter:
    """An Admission that allows all, or nothing, and writes down what it allowed."""

    refusal: Exception | None = None
    asks: list[Ask] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    def check(self, ask: Ask) -> None:
        """Everything is known only when it is asked."""

    def ask(self, ask: Ask) -> Permit:
        if self.refusal:
            raise self.refusal
        self.asks.append(ask)
        return Permit(number=len(self.asks), chars=ask.chars)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        """Keep no book of it."""

    def account(self, account: Account) -> None:
        self.accounts.append(account)

    @contextmanager
    def sending(self) -> Iterator[None]:
        yield

    @property
    def results(self) -> list[Result]:
        """What became of each permit, in order; each has exactly one account."""
        assert [account.permit.number for account in self.accounts] == list(range(1, len(self.asks) + 1))
        return [account.result for account in self.accounts]


@pytest.fixture
def admission() -> Counter:
    return Counter()


@pytest.fixture
def session(admission: Counter) -> Iterator[ServiceSession]:
    session = ServiceSession(admission=admission, clock=SystemClock(), connect_seconds=2.0)
    yield session
    session.close()


@pytest.fixture
def services() -> Iterator[Services]:
    with Services() as services:
        yield services
    assert not [server.failures for server in services.servers if server.failures]


@contextmanager
def serve(handler: Callable[[Request], Response]) -> Iterator[HttpServer]:
    with HttpServer("service", handler) as server:
        yield server
    assert not server.failures


def say(status: int, **body: Any) -> Response:
    return json_response(body, status=status)


def picture(data: bytes = PNG, kind: str = "image/png") -> Response:
    return Response(body=data, content_type=kind)


def painter(session: ServiceSession, url: str, api: str = "hf", model: str = "org/flux", **parameters: Any) -> Painter:
    endpoint = Endpoint("own", url, key=DEFAULT_KEY, role=Role.PICTURE)
    return build_painter(api=api, endpoint=endpoint, model=model, parameters=parameters, session=session)


def azure(session: ServiceSession, url: str, **changes: Any) -> Captioner:
    endpoint = Endpoint("azure", url, key=DEFAULT_KEY, metered=False, role=Role.CAPTION)
    return build_captioner(kind="azure", endpoint=endpoint, session=session, **changes)


def seeing(session: ServiceSession, url: str, **changes: Any) -> Captioner:
    endpoint = Endpoint("groq", url, key=DEFAULT_KEY, role=Role.CAPTION)
    return build_captioner(kind="chat", endpoint=endpoint, model="vision", session=session, **changes)


def fetch(session: ServiceSession, url: str, *, own: str | None = None, **changes: Any) -> Picture:
    return Fetcher(session=session, role=Role.CAPTION, own_url=own, **changes).fetch(url)


# --- making ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "api", "model", "path"),
    [
        ("hf_url", "hf", "org/flux", "/hf-inference/models/org/flux"),
        ("openai_url", "chat", "flux", "/v1/images/generations"),
        ("openai_url", "completions", "flux", "/v1/images/generations"),
        ("cloudflare_url", "chat", "@cf/org/flux", "/client/v4/accounts/sandbox/ai/run/@cf/org/flux"),
    ],
)
def test_paint__makes_a_picture_in_every_format(
    services: Services, session: ServiceSession, admission: Counter, where: str, api: str, model: str, path: str
) -> None:
    """One charged request brings a picture of the wanted size; the key goes as a bearer token."""
    made = painter(session, getattr(services, where), api, model, width=48, height=32).paint(PROMPT)
    assert (made.kind, read_size(made.data), made.url) == ("png", (48, 32), None)
    asked = (services.hf if api == "hf" else services.openai).log.requests()
    assert [(request.method, request.path, request.bearer) for request in asked] == [("POST", path, DEFAULT_KEY)]
    assert [(ask.role, ask.chars, ask.model) for ask in admission.asks] == [(Role.PICTURE, len(PROMPT), model)]
    assert admission.results == [Result.OK]
    assert services.received_chars() == len(PROMPT)


def test_paint__the_same_prompt_brings_a_new_picture(services: Services, session: ServiceSession) -> None:
    """Hugging Face is asked for bytes, and not for what it gave the last time."""
    painter(session, services.hf_url).paint(PROMPT)
    (asked,) = services.hf.log.requests()
    assert (asked.headers["accept"], asked.headers["x-use-cache"]) == ("image/png", "false")


def test_paint__fetches_what_only_has_an_address(
    services: Services, session: ServiceSession, admission: Counter
) -> None:
    """A result on the service's own server is fetched, plain http or not, and without the key."""
    made = painter(session, services.openai_url, "chat", "flux", response_format="url").paint(PROMPT)
    assert read_size(made.data) == (64, 64)
    assert made.url is None
    fetched = services.openai.log.requests("/files/")[0]
    assert (fetched.method, fetched.bearer, fetched.body) == ("GET", None, b"")
    assert DEFAULT_KEY not in str(fetched.headers)
    assert [(ask.service, ask.chars) for ask in admission.asks] == [("own", len(PROMPT)), ("picture", 0)]
    assert admission.results == [Result.OK, Result.OK]


def test_paint__an_address_may_be_the_picture_itself(session: ServiceSession) -> None:
    """A `data:` address is unpacked, and nothing is asked for."""
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    with serve(lambda _: json_response({"data": [{"url": url}]})) as server:
        assert painter(session, server.base_url, "chat").paint(PROMPT).data == PNG
        assert len(server.log.requests()) == 1


def test_paint__knows_its_own_server_by_either_name(session: ServiceSession) -> None:
    """A server on this machine may call itself localhost where the operator wrote 127.0.0.1; the latter is asked."""

    def handle(request: Request) -> Response:
        port = request.headers["host"].partition(":")[2]
        named = {"data": [{"url": f"http://localhost:{port}/x.png?sig=1"}]}
        return json_response(named) if request.method == "POST" else picture()

    with serve(handle) as server:
        made = painter(session, f"{server.base_url}/v1", "chat").paint(PROMPT)
        got = server.log.requests("/x.png")[0]
        assert (got.headers["host"], got.params) == (server.base_url.removeprefix("http://"), {"sig": "1"})
    assert made.data == PNG


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.png", "http://127.0.0.2/x.png", "https://127.0.0.1/x.png", "https://localhost/x.png",
        "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "https://[::ffff:169.254.169.254]/x",
    ],
)  # fmt: skip
def test_paint__is_not_led_elsewhere_by_an_answer(session: ServiceSession, admission: Counter, url: str) -> None:
    """A service can't send the daemon to another port of this machine, or to the network around it."""
    with serve(lambda _: json_response({"data": [{"url": url}]})) as server:
        with pytest.raises(InferenceRejected):
            painter(session, f"{server.base_url}/v1", "chat").paint(PROMPT)
        assert len(server.log.requests()) == 1
    assert len(admission.asks) == 1


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (text_response("<html>", content_type="text/html"), "text/html, which is no picture"),
        (Response(body=b"", content_type="image/png"), "something, which is no picture"),
        (picture(b"<svg/>", "image/svg+xml"), "svg"),
        (json_response({}), "without a picture"),
        (json_response({"data": []}), "without a picture"),
        (json_response({"data": [{"b64_json": None, "url": 5}]}), "without a picture"),
        (json_response({"data": [{"b64_json": "!!"}]}), "no base64"),
        (json_response({"data": [{"b64_json": base64.b64encode(b"GIF").decode()}]}), "not a PNG"),
        (json_response({"result": None, "errors": [{"message": "NSFW prompt"}]}), "without a picture: NSFW prompt"),
        (json_response({"message": f"bad: {PROMPT} {DEFAULT_KEY}"}), r"without a picture: bad: \[…\] \*\*\*"),
        (json_response([1]), "without a picture"),
        (picture(b"{broken", "application/json"), "not JSON"),
    ],
)
def test_paint__takes_no_substitute(session: ServiceSession, admission: Counter, response: Response, why: str) -> None:
    """A 200 without a picture is nonsense, said in the service's words, without key and prompt."""
    with serve(lambda _: response) as server:
        with pytest.raises(InferenceNonsense, match=why) as caught:
            painter(session, server.base_url).paint(PROMPT)
    assert DEFAULT_KEY not in str(caught.value)
    assert admission.results == [Result.FAILED]


@pytest.mark.parametrize(
    ("response", "kind", "why"),
    [
        (say(503, error="Model x is loading", estimated_time=20.0), InferenceUnavailable, "loading"),
        (say(400, error={"message": "safety system"}), InferenceRejected, "safety system"),
        (say(429, success=False, errors=[{"message": "out of neurons"}]), InferenceUnavailable, "neurons"),
        (say(402, error="no credit"), InferenceGone, "credit"),
        (say(200, error={"message": "inside a 200", "code": 502}), InferenceUnavailable, "inside a 200"),
        (Response(status=302, headers=(("Location", "/elsewhere"),)), InferenceUnavailable, "redirects"),
    ],
)
def test_paint__knows_errors(session: ServiceSession, response: Response, kind: type[InferenceError], why: str) -> None:
    """Errors are those of every other service, whatever was accepted; a redirect of the service is not followed."""
    with serve(lambda _: response) as server:
        with pytest.raises(kind, match=why):
            painter(session, server.base_url).paint(PROMPT)
        assert len(server.log.requests()) == 1


def test_paint__reads_a_large_picture_and_no_larger(session: ServiceSession) -> None:
    """20 MB arrive, raw or in base64; a byte more is refused, and the limit of texts is not that of pictures."""
    whole = PNG.ljust(MAX_PICTURE_BYTES, b"\0")
    answers = [
        picture(whole),
        json_response({"data": [{"b64_json": base64.b64encode(whole).decode()}]}),
        picture(whole + b"\0"),
    ]
    with serve(lambda _: answers.pop(0)) as server:
        own = painter(session, server.base_url)
        assert len(own.paint(PROMPT).data) == len(own.paint(PROMPT).data) == MAX_PICTURE_BYTES
        with pytest.raises(InferenceNonsense, match="20000001 bytes"):
            own.paint(PROMPT)


def test_paint__sends_nothing_without_a_permit(services: Services, session: ServiceSession, admission: Counter) -> None:
    """A refused permit ends it on the open connection."""
    admission.refusal = BotPaused("paused")
    with pytest.raises(BotPaused):
        painter(session, services.hf_url).paint(PROMPT)
    assert services.hf.log.requests() == ()


def test_paint__a_pause_holds_the_fetch_too(services: Services, session: ServiceSession, admission: Counter) -> None:
    """A result is fetched under a permit of its own: what is paused in between stays where it is."""
    own = painter(session, services.openai_url, "chat", "flux", response_format="url")
    with services.hold("flux") as held:
        caught: list[BaseException] = []

        def run() -> None:
            try:
                own.paint(PROMPT)
            except BotPaused as exc:
                caught.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        held.wait_arrived()
        admission.refusal = BotPaused("paused")
        held.release()
        thread.join(5)
    assert len(caught) == 1
    assert services.openai.log.requests("/files/") == ()


# --- describing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "path", "params"),
    [
        ("4.0", "/computervision/imageanalysis:analyze", {"api-version": "2024-02-01", "features": "caption"}),
        ("3.2", "/vision/v3.2/describe", {"maxCandidates": "1", "language": "en"}),
    ],
)
def test_azure__describes_in_both_versions(
    services: Services, session: ServiceSession, admission: Counter, version: str, path: str, params: dict[str, str]
) -> None:
    """The address goes to Azure with the key in Azure's header; nothing is charged, and nothing is fetched."""
    services.script("azure", ["a duck\non a pond"])
    assert azure(session, services.azure_url, version=version).describe(PHOTO) == "a duck on a pond"
    (asked,) = services.azure.log.requests()
    assert (asked.path, asked.json()) == (path, {"url": PHOTO})
    assert asked.params.items() >= params.items()
    assert (asked.headers["ocp-apim-subscription-key"], asked.bearer) == (DEFAULT_KEY, None)
    assert [(ask.service, ask.role, ask.chars) for ask in admission.asks] == [("azure", Role.CAPTION, 0)]


@pytest.mark.parametrize(
    ("response", "kind", "why"),
    [
        (azure_error(401, "401", "Access denied"), InferenceGone, "Access denied"),
        (azure_error(400, "InvalidRequest", "Too small.", inner="InvalidImageSize"), InferenceRejected, "Too small"),
        (azure_error(400, "InvalidRequest", f"Caption is {NO_REGION}"), InferenceGone, "version to 3.2"),
        (azure_error(429, "429", "Too many requests"), InferenceUnavailable, "Too many"),
        (json_response({"captionResult": None}), InferenceNonsense, "without a caption"),
        (json_response({"captionResult": {"text": 5}}), InferenceNonsense, "no text"),
        (json_response({"captionResult": {"text": " "}}), InferenceNonsense, "without a word"),
        (json_response([]), InferenceNonsense, "without a caption"),
        (Response(status=202, headers=(("Operation-Location", "/result"),)), InferenceNonsense, "not JSON"),
        (Response(status=307, headers=(("Location", "/result"),)), InferenceUnavailable, "redirects"),
    ],
)
def test_azure__follows_nothing_and_names_the_cause(
    session: ServiceSession, response: Response, kind: type[InferenceError], why: str
) -> None:
    """Every other answer is an error with its cause, and no address of it is ever asked with the key."""
    with serve(lambda _: response) as server:
        with pytest.raises(kind, match=why):
            azure(session, server.base_url).describe(PHOTO)
        assert len(server.log.requests()) == 1


def test_chat__describes_with_a_model_that_sees(
    services: Services, session: ServiceSession, admission: Counter
) -> None:
    """The address goes as part of a message; the instruction is what is charged, and thoughts are not read."""
    services.script("vision", ["<think>hm, ducks</think>\n\u201cTwo ducks.\u201d"])
    captioner = seeing(session, services.openai_url)
    assert captioner.describe(PHOTO) == "Two ducks."
    (asked,) = services.openai.log.requests()
    content = asked.json()["messages"][0]["content"]
    assert content == [{"type": "text", "text": INSTRUCTION}, {"type": "image_url", "image_url": {"url": PHOTO}}]
    assert [ask.chars for ask in admission.asks] == [len(INSTRUCTION)] == [services.received_chars()]


def test_chat__thoughts_are_no_caption(services: Services, session: ServiceSession, admission: Counter) -> None:
    """A model that only thinks is asked once more with more room, and then there is no caption."""
    services.script("vision", ["<think>never ending", "<think>still"])
    with pytest.raises(InferenceNonsense):
        seeing(session, services.openai_url).describe(PHOTO)
    first, second = (request.json()["max_tokens"] for request in services.openai.log.requests())
    assert second > first
    assert len(admission.asks) == 2


def test_chat__a_refused_picture_is_no_refused_model(services: Services, session: ServiceSession) -> None:
    """Pictures that a model can't load, one after another, do not make the model count as gone."""
    refusal = json_response({"error": {"message": "failed to download the image"}}, status=400)
    services.script("vision", [refusal] * 20)
    captioner = seeing(session, services.openai_url)
    for number in range(4):
        with pytest.raises(InferenceRejected, match="failed to download"):
            captioner.describe(f"https://i.redd.it/{number}.jpg")


@pytest.mark.parametrize("make", [azure, seeing])
def test_inline__a_strangers_address_is_fetched_with_care(
    services: Services, session: ServiceSession, admission: Counter, make: Callable[..., Captioner]
) -> None:
    """With `caption_inline` the daemon fetches: not from this machine, whoever asks for it, nor over plain http."""
    captioner = make(session, services.openai_url, inline=True)
    for url in (services.openai.base_url + "/files/x.png", "https://127.0.0.1/x.png", "http://i.redd.it/x.png"):
        with pytest.raises(InferenceRejected, match="not fetched"):
            captioner.describe(url)
    assert admission.asks == []


# --- enlarging -------------------------------------------------------------------------------


def deepai(session: ServiceSession, url: str) -> Any:
    endpoint = Endpoint("deepai", url, key=DEFAULT_KEY, metered=False, role=Role.UPSCALE)
    return build_upscaler(kind="deepai", endpoint=endpoint, session=session)


def test_deepai__enlarges(services: Services, session: ServiceSession, admission: Counter) -> None:
    """The picture travels in a form, the key in DeepAI's header, and the result is fetched without the key."""
    larger = deepai(session, services.deepai_url).enlarge(Picture(draw_png("x", width=30, height=20), "png"))
    assert (larger.kind, read_size(larger.data)) == ("png", (60, 40))
    sent, fetched = services.deepai.log.requests()
    assert (sent.path, sent.headers["api-key"], sent.bearer) == ("/api/torch-srgan", DEFAULT_KEY, None)
    assert sent.parts()["image"].data == draw_png("x", width=30, height=20)
    assert fetched.path.startswith("/job-view-file/")
    assert DEFAULT_KEY not in str(fetched.headers)
    assert [(ask.service, ask.chars) for ask in admission.asks] == [("deepai", 0), ("picture", 0)]


@pytest.mark.parametrize(
    ("response", "kind", "why"),
    [
        (json_response({"status": "Please pass a valid Api-Key"}, status=401), InferenceGone, "DeepAI Pro"),
        (json_response({"err": f"no {DEFAULT_KEY}"}), InferenceNonsense, r"without `output_url`: no \*\*\*"),
        (json_response({"output_url": None}), InferenceNonsense, "without `output_url`"),
        (json_response({"output_url": "http://10.0.0.1/x.png"}), InferenceRejected, "not https"),
        (json_response({"output_url": "https://10.0.0.1/x.png"}), InferenceRejected, "no address on the internet"),
        (json_response([]), InferenceNonsense, "without `output_url`"),
        (text_response("busy", status=500), InferenceUnavailable, "500"),
    ],
)
def test_deepai__names_the_cause(
    session: ServiceSession, response: Response, kind: type[InferenceError], why: str
) -> None:
    """Its own shapes of errors are read, and its result is fetched from the internet or from itself only."""
    with serve(lambda _: response) as server:
        with pytest.raises(kind, match=why):
            deepai(session, server.base_url).enlarge(Picture(PNG, "png"))
        assert len(server.log.requests()) == 1


# --- fetching --------------------------------------------------------------------------------


def test_fetch__follows_within_the_host_only(session: ServiceSession, admission: Counter) -> None:
    """A redirect to the same server is followed, each with a permit, and three of them at most."""
    answers = {"/a": "/b", "/b": "c/", "/c/": "?d=1", "/far": "http://127.0.0.2/x", "/loop": "/loop", "/none": ""}

    def handle(request: Request) -> Response:
        target = answers.get(request.path)
        if target is None or request.params:
            return picture()
        return Response(status=302, headers=(("Location", target),) if target else ())

    with serve(handle) as server:
        own = server.base_url
        assert fetch(session, f"{own}/a", own=own).data == PNG
        assert [request.path for request in server.log.requests()] == ["/a", "/b", "/c/", "/c/"]
        assert admission.results == [Result.OK] * 4
        for path, why in (("/far", "another host"), ("/loop", "more than 3 times"), ("/none", "without a picture")):
            with pytest.raises(InferenceRejected, match=why):
                fetch(session, own + path, own=own)
        assert len(server.log.requests("/loop")) == 4


@pytest.mark.parametrize(
    ("response", "kind", "why"),
    [
        (text_response("gone", status=404), InferenceRejected, "404"),
        (text_response("no", status=403), InferenceRejected, "403"),
        (text_response("busy", status=503), InferenceUnavailable, "503"),
        (text_response("<html>", content_type="image/png"), InferenceRejected, "6 bytes of something else"),
        (json_response({"error": "inside"}), InferenceRejected, "something else"),
        (picture(PNG + b"x" * MAX_PICTURE_BYTES), InferenceRejected, "more than 20000000 bytes"),
        (Response(body=PNG, content_type="image/png", cut_after=20), InferenceUnavailable, "broke the connection off"),
    ],
)
def test_fetch__no_failure_counts_against_a_service(
    session: ServiceSession, admission: Counter, response: Response, kind: type[InferenceError], why: str
) -> None:
    """A stranger's dead or false link is about that picture: no breaker learns of it, and no service is gone."""
    with serve(lambda _: response) as server:
        with pytest.raises(kind, match=why):
            fetch(session, f"{server.base_url}/x.png", own=server.base_url)
    assert admission.results == [Result.REJECTED]
    assert [(ask.service, ask.chars, ask.key_id) for ask in admission.asks] == [("picture", 0, "")]


def test_fetch__an_endless_answer_ends(session: ServiceSession) -> None:
    """A server that drips a picture byte by byte has as long as everybody, to the last byte."""
    with serve(lambda _: Response(body=PNG * 100, content_type="image/png", drip_seconds=60)) as server:
        with pytest.raises(InferenceUnavailable, match=r"within 0\.3 s"):
            fetch(session, f"{server.base_url}/x.png", own=server.base_url, read_seconds=0.3)


# --- over TLS, to a looked-up address --------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for pictures.example, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=pictures.example",
         "-addext", "subjectAltName=DNS:pictures.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    path = folder / "both.pem"
    path.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return path


class TlsServer:
    """Answers one request a connection on 127.0.0.1, and keeps the names it was called by and the heads it read."""

    def __init__(self, certificate: Path, *answers: bytes) -> None:
        self.names: list[str | None] = []
        self.heads: list[bytes] = []
        self._answers = list(answers)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for answer in self._answers:
            try:
                plain, _ = self._listener.accept()
            except TimeoutError:
                return
            with plain:
                plain.settimeout(5)
                self._answer(plain, answer)

    def _answer(self, plain: socket.socket, answer: bytes) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                self.heads.append(head)
                connection.sendall(answer)
        except OSError:
            pass  # the client did not like the certificate


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG


def redirect(target: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


class Resolver:
    """Says 127.0.0.1 once, and then something else, as a host does that wants to lead astray."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append((host, port))
        return ("127.0.0.1",) if len(self.asked) == 1 else ("127.0.0.2",)


def test_pinned__the_looked_up_address_is_connected_to_under_the_hosts_name(
    session: ServiceSession, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look-up; its address is connected to, also after a redirect; name, certificate and Host are the host's."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    resolver = Resolver()
    with TlsServer(certificate, redirect("/b.png?x=%20y"), OK) as server:
        url = f"https://Pictures.Example:{server.port}/a.png#part"
        found = fetch(session, url, look_up=resolver, is_allowed=lambda address: address == "127.0.0.1")
    assert found.data == PNG
    assert found.url == f"https://pictures.example:{server.port}/b.png?x=%20y"
    assert resolver.asked == [("pictures.example", server.port)]
    assert server.names == ["pictures.example"] * 2
    assert [head.split(b" ")[1] for head in server.heads] == [b"/a.png", b"/b.png?x=%20y"]
    host = f"\r\nHost: pictures.example:{server.port}\r\n".encode()
    assert all(host in head and head.count(b"\r\nHost:") == 1 for head in server.heads)
    assert not any(b"Authorization" in head or b"Cookie" in head for head in server.heads)


def test_pinned__the_certificate_has_to_be_the_hosts(
    session: ServiceSession, admission: Counter, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that answers with another host's certificate gets no request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with TlsServer(certificate, OK) as server:
        with pytest.raises(InferenceUnavailable, match="certificate"):
            fetch(session, f"https://other.example:{server.port}/a.png", look_up=Resolver(), is_allowed=lambda _: True)
    assert (server.heads, admission.asks) == ([], [])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pinned__leads_to_no_other_host(
    session: ServiceSession, certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """A redirect elsewhere, or down to plain http, is not followed."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    host = "other.example" if scheme == "https" else "pictures.example"
    with TlsServer(certificate, redirect(f"{scheme}://{host}/x.png")) as server:
        url = f"https://pictures.example:{server.port}/a.png"
        with pytest.raises(InferenceRejected, match="redirects to another host"):
            fetch(session, url, look_up=Resolver(), is_allowed=lambda _: True)
    assert len(server.heads) == 1


def test_inline__sends_the_bytes(
    services: Services, session: ServiceSession, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched goes to the model as a data address, to Azure as it is; the stranger's address stays here."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr("hotshotd.inference.captions.Fetcher", fetch_locally)
    with TlsServer(certificate, OK, OK) as server:
        url = f"https://pictures.example:{server.port}/a.png"
        assert seeing(session, services.openai_url, inline=True).describe(url)
        assert azure(session, services.azure_url, inline=True).describe(url)
    (chat,), (analysis,) = services.openai.log.requests(), services.azure.log.requests()
    sent = json.loads(chat.body)["messages"][0]["content"][1]["image_url"]["url"]
    assert sent == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert (analysis.body, analysis.headers["content-type"]) == (PNG, "application/octet-stream")
    assert b"pictures.example" not in chat.body + analysis.body


def fetch_locally(**fields: Any) -> Fetcher:
    """Make a fetcher for which 127.0.0.1 is the internet."""
    return Fetcher(**fields, look_up=Resolver(), is_allowed=lambda _: True)


def test_session__stays_open_for_others_after_a_pinned_fetch(
    session: ServiceSession, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared TLS context goes on checking names: a pinned fetch changes nothing for the next request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with TlsServer(certificate, OK, OK) as server:
        fetch(session, f"https://pictures.example:{server.port}/", look_up=Resolver(), is_allowed=lambda _: True)
        with pytest.raises(InferenceUnavailable, match="certificate"):
            painter(session, f"https://127.0.0.1:{server.port}").paint(PROMPT)
    assert len(server.heads) == 1


class Proxy:
    """A CONNECT proxy for one connection, which it leads to a port of this machine whatever it is asked for."""

    def __init__(self, port: int) -> None:
        self.asked = b""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self._thread = threading.Thread(target=self._run)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._port)) as target:
            while b"\r\n\r\n" not in self.asked:
                self.asked += client.recv(65536)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, client))
            back.start()
            pump(client, target)
            back.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side has had enough


def test_pinned__a_proxy_is_told_the_address_and_not_the_name(
    session: ServiceSession, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked up and looked through is what a proxy is led to; it can't look the name up once more."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with TlsServer(certificate, OK) as server, Proxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        found = fetch(session, "https://pictures.example/a.png", look_up=lambda *_: ("8.8.8.8",))
        session.close()
    assert found.data == PNG
    assert proxy.asked.startswith(b"CONNECT 8.8.8.8:443 ")
    assert server.names == ["pictures.example"]
    assert b"\r\nHost: pictures.example\r\n" in server.heads[0]


@pytest.mark.parametrize("work", ["hf", "openai", "cloudflare", "azure", "azure 3.2", "chat", "deepai"])
def test_key__a_wrong_one_is_gone_for_good(services: Services, session: ServiceSession, work: str) -> None:
    """Every service says 401 in its own shape; the operator is told which key to check."""
    services.keys.clear()
    works: dict[str, Callable[[], object]] = {
        "hf": lambda: painter(session, services.hf_url).paint(PROMPT),
        "openai": lambda: painter(session, services.openai_url, "chat").paint(PROMPT),
        "cloudflare": lambda: painter(session, services.cloudflare_url, "chat", "@cf/x").paint(PROMPT),
        "azure": lambda: azure(session, services.azure_url).describe(PHOTO),
        "azure 3.2": lambda: azure(session, services.azure_url, version="3.2").describe(PHOTO),
        "chat": lambda: seeing(session, services.openai_url).describe(PHOTO),
        "deepai": lambda: deepai(session, services.deepai_url).enlarge(Picture(PNG, "png")),
    }
    with pytest.raises(InferenceGone, match="check its key") as caught:
        works[work]()
    assert caught.value.status == 401
    assert DEFAULT_KEY not in str(caught.value)


def test_sandbox__refuses_what_is_no_picture(services: Services, session: ServiceSession) -> None:
    """The emulators look at what they get: an address that is none, a file that is none, a prompt without an end."""
    with pytest.raises(InferenceRejected, match="badly formatted"):
        azure(session, services.azure_url).describe("x")
    with pytest.raises(InferenceRejected, match="400"):
        deepai(session, services.deepai_url).enlarge(Picture(b"GIF89a", "gif"))
    assert painter(session, services.cloudflare_url, "chat", "@cf/x").paint("x" * 9000).kind == "png"
    sent = services.openai.log.requests("/ai/run/")[0].json()
    assert sent == {"prompt": "x" * 2048}


def test_sandbox__draws_real_pictures() -> None:
    """A strict reader unpacks them whole: sizes, rows, checksums."""
    with Image.open(io.BytesIO(draw_png("x", width=3, height=5)), formats=("PNG",)) as image:
        image.load()
        assert (image.size, image.mode) == ((3, 5), "RGB")
    assert draw_png("x") != draw_png("y")
