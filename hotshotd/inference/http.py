"""The one way by which anything leaves for a service.

Asks whether it may, connects, asks for leave and sends under the gate, waits, reads, and accounts for the
permit exactly once, whatever happened. Repeats nothing that may have left, follows no redirect, keeps no
cookie, reads no .netrc.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import NameResolutionError

import hotshotd
from hotshotd._types import Chars
from hotshotd.admission import Account, Admission, Ask, Knock, Result
from hotshotd.clock import Clock
from hotshotd.errors import (
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaError,
)
from hotshotd.inference.base import Endpoint
from hotshotd.inference.habits import HabitBook
from hotshotd.inference.hosts import find_proxies
from hotshotd.inference.refusals import Problem, make_error, read_problem, read_problem_inside
from hotshotd.inference.transport import FLIGHT, DroppedWhileAsking, Flight, GatedAdapter
from hotshotd.inference.turns import Turns

#: Limits of a remote call, in seconds: connecting, the whole answer of a model, that of a small service.
CONNECT_SECONDS = 5.0
TEXT_SECONDS = 120.0
SMALL_SECONDS = 30.0

#: The longest answer that is read, in bytes.
MAX_ANSWER_BYTES = 4 * 1024 * 1024

_CHUNK_BYTES = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with a 2xx status, or 3xx for a call that is a `Fetching`; `headers` ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    where: str = ""

    @property
    def json(self) -> Any:
        """The JSON of the body.

        Raises:
            InferenceNonsense: If it is none.
        """
        try:
            return json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as exc:
            raise InferenceNonsense(f"{self.where} answered {self.status} with something that is not JSON") from exc


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent where it is no JSON."""

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """Marks a call to an address that came from outside: it may lie anywhere, and go wrong in any way.

    No failure counts against a service, and a redirect is an answer like another, not followed here. `address` is
    connected to in place of a look-up of the host's name, which certificate and Host header still have to fit;
    None where the host is a configured one.
    """

    address: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a service.

    `path` is put behind the endpoint's address; a whole address stands for itself. `payload` is sent as JSON, or
    `body` as it is, or nothing; `sent_texts` are its texts, which no message may quote. The key travels as a
    bearer token, or as it is in the header `key_header`, or in the query parameter `key_parameter`.
    `read_seconds` limits the answer, to its last byte.
    """

    endpoint: Endpoint
    path: str
    payload: Mapping[str, Any] | None = field(repr=False)
    ask: Ask
    read_seconds: float = TEXT_SECONDS
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sent_texts: tuple[str, ...] = field(default=(), repr=False)
    key_parameter: str | None = None
    max_bytes: int = MAX_ANSWER_BYTES
    key_header: str | None = None
    body: Body | None = None
    fetching: Fetching | None = None

    @property
    def url(self) -> str:
        if self.path.startswith(("https://", "http://")):
            return self.path
        base = self.endpoint.url.rstrip("/")
        return f"{base}/{self.path.lstrip('/')}" if self.path else base

    @property
    def where(self) -> str:
        """The service as an operator knows it: its name, its host, the model."""
        host = urlsplit(self.url).hostname or "?"
        model = f", model {self.ask.model}" if self.ask.model else ""
        return f"{self.endpoint.name} ({host}{model})"


#: Turns an error into the one to be raised, once what the answer says is known.
Refine = Callable[[Problem, InferenceError], InferenceError]


def keep_error(problem: Problem, error: InferenceError) -> InferenceError:  # noqa: ARG001
    """Refine nothing."""
    return error


def make_ask(endpoint: Endpoint, *, chars: int, model: str = "", knock: Knock = Knock.NONE) -> Ask:
    """Make the wish for one request to `endpoint`; characters count only where it is metered."""
    return Ask(
        service=endpoint.name,
        role=endpoint.role,
        chars=Chars(chars if endpoint.metered else 0),
        model=model,
        key_id=compute_key_id(endpoint.key),
        knock=knock,
    )


def compute_key_id(key: str | None) -> str:
    """Give a short hash that tells keys apart and gives none away; "" without a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:8] if key else ""


class ServiceSession:
    """A worker's way to its services. Make it after the fork; any thread may call.

    `habits` is what was learnt of each server and model, `turns` keeps requests to one server apart. `pause` blocks
    for so many seconds, for services that are asked again and again until they have made something.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        clock: Clock,
        connect_seconds: float = CONNECT_SECONDS,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.habits = HabitBook()
        self.turns = Turns()
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._admission = admission
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._adapter = GatedAdapter()
        self._lock = threading.Lock()
        self._by_id: dict[int, Flight] = {}

    def send(
        self,
        call: Call,
        *,
        parse: Callable[[Answer], T],
        refine: Refine = keep_error,
        measure: Callable[[T], int] = lambda _: 0,
    ) -> T:
        """Send one request and give what `parse` makes of its answer.

        Blocks for connecting, and then for `call.read_seconds` at most. `measure` counts the characters received.
        `parse` raises InferenceNonsense for an answer that is not what it should be.

        Raises:
            QuotaError: The request may not leave; nothing was sent or charged.
            InferenceError: It brought nothing usable. It was charged if a byte of it may have left.
        """
        self._admission.check(call.ask)
        try:
            return self._fly(call, parse, refine, measure)
        except DroppedWhileAsking:
            # Given back, for nothing was sent: the second connection is a new one.
            pass
        try:
            return self._fly(call, parse, refine, measure)
        except DroppedWhileAsking as exc:
            raise InferenceUnavailable(f"{call.where} closes its connections at once") from exc

    @property
    def clock(self) -> Clock:
        return self._clock

    def wait(self, seconds: float) -> None:
        """Block between two requests of one piece of work.

        Raises:
            InferenceUnavailable: The session was closed meanwhile.
        """
        if seconds > 0:
            self._pause(seconds)
        if self._closed.is_set():
            raise InferenceUnavailable("the bot is being stopped")

    def close(self) -> None:
        """Drop the connections; threads that wait, for an answer or in `wait`, get an error at once. Never blocks."""
        self._closed.set()
        with self._lock:
            flights = list(self._by_id.values())
        for flight in flights:
            flight.abort()
        self._adapter.close()

    def _fly(self, call: Call, parse: Callable[[Answer], T], refine: Refine, measure: Callable[[T], int]) -> T:
        flight = Flight(
            admission=self._admission,
            ask=call.ask,
            clock=self._clock,
            connect_seconds=self._connect_seconds,
            read_seconds=call.read_seconds,
            secret_query=_make_secret_query(call),
            server_name=_find_server_name(call),
        )
        flight.limit_to(self._connect_seconds)
        received = 0
        try:
            with self._in_flight(flight), _translated(call, flight):
                answer = self._exchange(call, flight)
            # Before accounting: an error inside a 200, or nonsense, is no success to a breaker.
            self._raise_problem(call, answer, refine)
            value = parse(answer)
            received = measure(value)
        except BaseException as exc:
            self._account(flight, exc, result=_find_result(exc, call))
            raise
        self._account(flight, None, result=Result.OK, received=received)
        return value

    @contextmanager
    def _in_flight(self, flight: Flight) -> Iterator[None]:
        with self._lock:
            self._by_id[id(flight)] = flight
        token = FLIGHT.set(flight)
        try:
            yield
        finally:
            FLIGHT.reset(token)
            with self._lock:
                del self._by_id[id(flight)]

    def _exchange(self, call: Call, flight: Flight) -> Answer:
        # The adapter alone, without a requests.Session: no redirects, cookies or .netrc to switch off.
        response = self._adapter.send(
            _prepare(call),
            stream=True,
            timeout=(flight.connect_seconds, call.read_seconds),
            proxies=find_proxies(call.url),
        )
        try:
            body = _read_body(call, response)
        except BaseException:
            response.raw.close()
            raise
        return Answer(status=response.status_code, headers=response.headers, body=body, where=call.where)

    def _raise_problem(self, call: Call, answer: Answer, refine: Refine) -> None:
        """Raise what an error answer means, its status or its body being one."""
        if _is_taken(call, answer):
            return
        status, body = answer.status, _read_leniently(answer)
        if 200 <= status < 300:
            inner = read_problem_inside(body)
            if inner is None:
                return
            status = inner
        problem = read_problem(
            status,
            body,
            headers=CaseInsensitiveDict(answer.headers),
            secrets=(call.endpoint.key or "",),
            sent=call.sent_texts,
            now=self._clock.now(),
        )
        raise refine(problem, make_error(problem, where=call.where))

    def _account(self, flight: Flight, exc: BaseException | None, *, result: Result, received: int = 0) -> None:
        if flight.permit is None:
            # A picture somewhere is no service of ours, and a refusal of the quota process no failure of one.
            if isinstance(exc, InferenceError) and result is not Result.REJECTED:
                self._admission.report_unsent(flight.ask, result=result, error=str(exc))
            return
        seconds = self._clock.monotonic() - flight.sent_at if flight.is_sent else 0.0
        self._admission.account(
            Account(
                permit=flight.permit,
                result=result if flight.is_sent else Result.NOT_SENT,
                received_chars=Chars(received),
                seconds=max(0.0, seconds),
                retry_after=getattr(exc, "retry_after", None),
                error=str(exc) if isinstance(exc, InferenceError) else type(exc).__name__ if exc else "",
            )
        )


#: What an exception means to a breaker; the first that fits.
_RESULTS: tuple[tuple[type[BaseException], Result], ...] = (
    (InferenceRejected, Result.REJECTED),
    (InferenceGone, Result.GONE),
    (BaseException, Result.FAILED),
)


def _find_result(exc: BaseException, call: Call) -> Result:
    if call.fetching is not None:
        return Result.REJECTED
    return next(result for kind, result in _RESULTS if isinstance(exc, kind))


# --- out ---


def _prepare(call: Call) -> requests.PreparedRequest:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # answers are small, and a compressed one may be a bomb
        "User-Agent": f"hotshotd/{hotshotd.__version__}",
        **call.headers,
    }
    if call.endpoint.key and not call.key_parameter:
        key = _check_key(call)
        headers |= {call.key_header: key} if call.key_header else {"Authorization": f"Bearer {key}"}
    body = call.body
    if call.payload is not None:
        body = Body(json.dumps(call.payload).encode(), "application/json")
    if body is not None:
        headers["Content-Type"] = body.content_type
    url = call.url
    if call.fetching and call.fetching.address:
        headers["Host"], url = _aim(url, call.fetching.address)
    data = body.data if body is not None else None
    return requests.Request(call.method, url, headers=headers, data=data, auth=_keep_request).prepare()


def _aim(url: str, address: str) -> tuple[str, str]:
    """Give the Host header of an address on the net, and the same address with a number in place of the name."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    number = f"[{address}]" if ":" in address else address
    return parts.netloc, urlunsplit((parts.scheme, number + port, parts.path, parts.query, ""))


def _find_server_name(call: Call) -> str | None:
    """Give the name that a certificate has to show, where the address is a number that stands for it."""
    return urlsplit(call.url).hostname if call.fetching and call.fetching.address else None


def _keep_request(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in the place of an authentication, so that none is looked for in the address."""
    return request


def _check_key(call: Call) -> str:
    """Give the key if it can stand in a header.

    The libraries' own exceptions quote a header that they refuse, key and all: this one does not.
    """
    key = (call.endpoint.key or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InferenceGone(
            f"the key of {call.endpoint.name} holds a blank, a line break or a letter that no key has: write it anew",
            status=401,
        )
    return key


def _make_secret_query(call: Call) -> str:
    if not call.key_parameter or not call.endpoint.key:
        return ""
    sign = "&" if "?" in call.url else "?"
    return f"{sign}{call.key_parameter}={quote(call.endpoint.key.strip(), safe='')}"


# --- back ---


def _read_body(call: Call, response: requests.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    limit = call.max_bytes if response.ok else min(call.max_bytes, MAX_ANSWER_BYTES)
    while chunk := response.raw.read(_CHUNK_BYTES, decode_content=True):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise InferenceNonsense(f"{call.where} answered with more than {limit} bytes; none is used")
    return b"".join(parts)


def _is_taken(call: Call, answer: Answer) -> bool:
    """Tell whether an answer can hold no error: it is what a fetch may get, or no JSON (a picture, say)."""
    if call.fetching is not None:
        return 200 <= answer.status < 400
    is_object = answer.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    return 200 <= answer.status < 300 and not is_object


def _read_leniently(answer: Answer) -> Any:
    try:
        return answer.json
    except InferenceNonsense:
        return answer.body.decode("utf-8", "replace")


@contextmanager
def _translated(call: Call, flight: Flight) -> Iterator[None]:
    """Turn what the libraries raise into our errors; their texts know neither key nor prompt."""
    try:
        yield
    except (QuotaError, InferenceError, DroppedWhileAsking):
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
        # A ValueError may quote an address of a proxy, password and all.
        cause = None if isinstance(exc, ValueError) else exc
        raise InferenceUnavailable(f"{call.where} {_describe(exc, call, flight)}") from cause


#: Exception → what happened before anything was sent, in words that go on from the service's name.
_UNSENT: tuple[tuple[type[BaseException], str], ...] = (
    (requests.Timeout, "can't be connected to in time"),
    (requests.exceptions.SSLError, "shows no certificate that is trusted (an own authority: REQUESTS_CA_BUNDLE)"),
    (requests.exceptions.ProxyError, "can't be reached through the proxy (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)"),
    (requests.exceptions.InvalidProxyURL, "can't be reached: HTTPS_PROXY or HTTP_PROXY is no address"),
    (requests.exceptions.InvalidSchema, "can't be reached: its address or the proxy's is of a kind not supported"),
    (ValueError, "has an address that can't be used; check `url`"),
)


def _describe(exc: BaseException, call: Call, flight: Flight) -> str:
    if flight.is_sent and isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"did not finish its answer within {call.read_seconds:g} s"
    if flight.is_sent:
        return "broke the connection off before its answer was complete"
    return next((words for kind, words in _UNSENT if isinstance(exc, kind)), "") or _describe_unreachable(exc)


def _describe_unreachable(exc: BaseException) -> str:
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    if isinstance(reason, NameResolutionError):
        return "can't be reached: no such host name"
    return "can't be reached: nothing answers at its address"
