"""What every client of a service does about every bad answer: a row a client, a row an answer, and all of them meet.

What must hold everywhere: the error has the kind that the table says, breakers are told the right thing, at most one
request more is sent, nothing is asked hot, and no message gives away the key or what somebody wrote.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from clients import KEY, PROMPT_TEXT, Diary, assert_discreet

from hotshotd._types import Role
from hotshotd.admission import Admission, Result
from hotshotd.clock import SystemClock
from hotshotd.errors import (
    BreakerOpen,
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
)
from hotshotd.inference import build
from hotshotd.inference.base import Endpoint, Message, Picture, Prompt, Speaker
from hotshotd.inference.build import (
    ModelOfModerator,
    build_captioner,
    build_moderator,
    build_painter,
    build_ranker,
    build_text_model,
    build_topic_model,
    build_upscaler,
)
from hotshotd.inference.horde_pictures import HordeCaptioner, HordePainter, HordeUpscaler
from hotshotd.inference.horde_text import HordeTextModel
from hotshotd.inference.http import Call, ServiceSession
from hotshotd.quota.breakers import ServiceState
from hotshotd.quota.moment import read as read_moment
from hotshotd.quota.stub import StubQuota
from hotshotd.sandbox.http import HttpServer, Request, Response, json_response, text_response

MODEL = "org/duck-7b"
URL = "https://pictures.example/duck-on-a-pond-at-noon.png"
PROMPT = Prompt(text=PROMPT_TEXT, messages=(Message(Speaker.USER, PROMPT_TEXT),))
DOT = Picture(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    ),
    "png",
)


class HastySession(ServiceSession):
    """A session that waits for no answer longer than 0.3 s, whatever a client allows."""

    def send(self, call: Call, **rest: Any) -> Any:
        return super().send(replace(call, read_seconds=min(0.3, call.read_seconds)), **rest)


@contextmanager
def serve(response: Response, admission: Admission) -> Iterator[tuple[HttpServer, ServiceSession]]:
    """Serve one answer to everything that is asked, but for how AI Horde fares."""

    def answer(request: Request) -> Response:
        return json_response({}) if request.path == "/status/performance" else response

    session = HastySession(admission=admission, clock=SystemClock(), connect_seconds=2.0)
    with HttpServer("service", answer) as server:
        yield server, session
    session.close()
    assert not server.failures


# --- the clients ---

Ask = Callable[[ServiceSession, Endpoint], object]


@dataclass(frozen=True)
class Client:
    """One kind of client. `ask` uses it once; `resends` tells that it sends options a server may refuse.

    `sent` is what it sends of somebody's words, `before` the requests before the one that matters.
    """

    name: str
    ask: Ask
    resends: bool = False
    sent: str = PROMPT_TEXT
    before: int = 0


def _text(api: str, **parameters: Any) -> Ask:
    return lambda session, endpoint: build_text_model(
        api=api, endpoint=endpoint, model=MODEL, parameters=parameters, session=session
    ).generate(PROMPT)


def _rank(api: str) -> Ask:
    return lambda session, endpoint: build_ranker(api=api, endpoint=endpoint, model=MODEL, session=session).score(
        ["What do you see?"], PROMPT_TEXT
    )


def _moderate(name: str, api: str = "hf") -> Ask:
    return lambda session, endpoint: build_moderator(
        name=name,
        endpoint=endpoint,
        threshold=0.9,
        languages=["en"],
        session=session,
        own=ModelOfModerator(api=api, model="unitary/toxic-bert" if name == "hf" else MODEL),
    ).judge(PROMPT_TEXT)


def _topics(api: str) -> Ask:
    return lambda session, endpoint: build_topic_model(
        api=api, endpoint=endpoint, model=MODEL, session=session
    ).classify(PROMPT_TEXT, ["ducks", "politics"])


def _caption(kind: str, version: str | None = None) -> Ask:
    return lambda session, endpoint: build_captioner(
        kind=kind, endpoint=endpoint, session=session, model=MODEL, version=version
    ).describe(URL)


def _paint(api: str, model: str = MODEL) -> Ask:
    return lambda session, endpoint: build_painter(
        api=api, endpoint=endpoint, model=model, parameters={}, session=session
    ).paint(PROMPT_TEXT)


#: A new service is one row.
CLIENTS = (
    Client("text-hf", _text("hf")),
    Client("text-completions", _text("completions")),
    Client("text-chat", _text("chat")),
    Client("text-hf-options", _text("hf", temperature=0.5, top_k=4), resends=True),
    Client("text-completions-options", _text("completions", temperature=0.5, top_k=4), resends=True),
    Client("text-chat-options", _text("chat", temperature=0.5, top_k=4), resends=True),
    Client("text-horde", lambda session, endpoint: HordeTextModel(endpoint, MODEL, session).generate(PROMPT)),
    Client("ranker-hf", _rank("hf")),
    Client("ranker-rerank", _rank("rerank")),
    Client("ranker-classify", _rank("classify")),
    Client("ranker-judge", _rank("judge"), resends=True),
    Client("moderator-perspective", _moderate("perspective")),
    Client("moderator-openai", _moderate("openai")),
    Client("moderator-mistral", _moderate("mistral")),
    Client("moderator-hf", _moderate("hf")),
    Client("moderator-classify", _moderate("hf", api="classify")),
    Client("moderator-chat", _moderate("chat"), resends=True),
    Client("topics-hf", _topics("hf")),
    Client("topics-chat", _topics("chat"), resends=True),
    Client("captions-azure-4.0", _caption("azure", "4.0"), sent=URL),
    Client("captions-azure-3.2", _caption("azure", "3.2"), sent=URL),
    Client("captions-chat", _caption("chat"), sent=KEY),
    Client(
        "captions-horde", lambda session, endpoint: HordeCaptioner(endpoint, session).describe(URL), sent=URL, before=1
    ),
    Client("painter-hf", _paint("hf")),
    Client("painter-chat", _paint("chat")),
    Client("painter-completions", _paint("completions")),
    Client("painter-cloudflare", _paint("chat", "@cf/black-forest-labs/flux-1-schnell")),
    Client("painter-horde", lambda session, endpoint: HordePainter(endpoint, MODEL, session).paint(PROMPT_TEXT)),
    Client(
        "upscaler-deepai",
        lambda session, endpoint: build_upscaler(kind="deepai", endpoint=endpoint, session=session).enlarge(DOT),
        sent=KEY,
    ),
    Client(
        "upscaler-horde", lambda session, endpoint: HordeUpscaler(endpoint, session).enlarge(DOT), sent=KEY, before=1
    ),
)


# --- the answers ---


@dataclass(frozen=True)
class Bad:
    """One bad answer, and what becomes of it. `is_resent`: once more where options were sent."""

    name: str
    response: Response
    error: type[InferenceError]
    result: Result
    wait_seconds: float | None = None
    is_resent: bool = False


#: What services quote in their errors, and what must not get into ours.
ECHO = f"cannot process {PROMPT_TEXT!r} from {URL} with key {KEY}"


def _status(status: int, *headers: tuple[str, str], **more: Any) -> Response:
    return json_response({"error": {"message": ECHO}, **more}, status=status).with_headers(*headers)


def _inside(code: object) -> Response:
    return json_response({"error": {"code": code, "message": ECHO}})


BAD = (
    Bad("400", _status(400), InferenceRejected, Result.REJECTED, is_resent=True),
    Bad("401", _status(401), InferenceGone, Result.GONE),
    Bad("402", _status(402), InferenceGone, Result.GONE),
    Bad("403", _status(403), InferenceGone, Result.GONE),
    Bad("404", _status(404), InferenceGone, Result.GONE),
    Bad("410", _status(410), InferenceGone, Result.GONE),
    Bad("413", _status(413), InferenceRejected, Result.REJECTED),
    Bad("422", _status(422), InferenceRejected, Result.REJECTED, is_resent=True),
    Bad("429", _status(429), InferenceUnavailable, Result.FAILED),
    Bad("429-wait", _status(429, ("Retry-After", "7")), InferenceUnavailable, Result.FAILED, 7),
    Bad("429-wait-long", _status(429, ("Retry-After", "999999")), InferenceUnavailable, Result.FAILED, 3600),
    Bad("429-wait-silly", _status(429, ("Retry-After", "-5 ducks")), InferenceUnavailable, Result.FAILED),
    Bad("500", text_response(ECHO, status=500), InferenceUnavailable, Result.FAILED),
    Bad("503", text_response("", status=503), InferenceUnavailable, Result.FAILED),
    Bad("503-loading", _status(503, estimated_time=20.5), InferenceUnavailable, Result.FAILED, 20.5),
    Bad("503-loading-long", _status(503, estimated_time=9e9), InferenceUnavailable, Result.FAILED, 60),
    Bad("504", text_response(f"<html>{ECHO}</html>", status=504), InferenceUnavailable, Result.FAILED),
    Bad("silence", Response(delay_seconds=30), InferenceUnavailable, Result.FAILED),
    Bad("reset", Response(reset=True), InferenceUnavailable, Result.FAILED),
    Bad("half", replace(json_response({"text": ECHO * 9}), cut_after=40), InferenceUnavailable, Result.FAILED),
    Bad("nothing", Response(body=b""), InferenceNonsense, Result.FAILED),
    Bad("html", text_response(f"<!doctype html>{ECHO}"), InferenceNonsense, Result.FAILED),
    Bad("array", json_response([]), InferenceNonsense, Result.FAILED),
    Bad("array-of-text", json_response([ECHO]), InferenceNonsense, Result.FAILED),
    Bad("object", json_response({}), InferenceNonsense, Result.FAILED),
    Bad("other-object", json_response({"said": ECHO}), InferenceNonsense, Result.FAILED),
    Bad("null", json_response(None), InferenceNonsense, Result.FAILED),
    Bad("number", json_response(5), InferenceNonsense, Result.FAILED),
    Bad("text", json_response(ECHO), InferenceNonsense, Result.FAILED),
    Bad("deep", Response(body=b"[" * 50_000), InferenceNonsense, Result.FAILED),
    Bad("inside-402", _inside(402), InferenceGone, Result.GONE),
    Bad("inside-429", _inside(429), InferenceUnavailable, Result.FAILED),
    Bad("inside-unknown", _inside("odd"), InferenceUnavailable, Result.FAILED),
    Bad("inside-array", json_response([{"error": {"code": 403, "message": ECHO}}]), InferenceGone, Result.GONE),
)


#: Clients that ask no service.
NO_SERVICE = {"moderator-local", "upscaler-pillow"}


def test_clients__none_is_missing() -> None:
    """A new row of `build` wants a row here."""
    tables = {
        "text": {*build.TEXT_WIRES, *build.TEXT_MODELS},
        "ranker": build.RANKERS,
        "moderator": build.MODERATORS,
        "topics": build.TOPIC_MODELS,
        "captions": build.CAPTIONERS,
        "painter": build.PAINTERS,
        "upscaler": build.UPSCALERS,
    }
    names = {client.name for client in CLIENTS} | NO_SERVICE
    built = {f"{kind}-{api}" for kind, table in tables.items() for api in table}
    assert [wanted for wanted in built if not any(name.startswith(wanted) for name in names)] == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client__meets_a_bad_answer(client: Client, bad: Bad) -> None:
    """The error's kind, the breaker's result, the wait, the number of requests, and what the message keeps quiet."""
    diary = Diary()
    with serve(bad.response, diary) as (server, session):
        endpoint = Endpoint(name="own", url=server.base_url, key=KEY, role=Role.TEXT)
        with pytest.raises(InferenceError) as caught:
            client.ask(session, endpoint)
    assert isinstance(caught.value, bad.error), repr(caught.value)
    sent = 2 if bad.is_resent and client.resends else 1
    assert len(server.log.requests()) == client.before + sent
    assert diary.results == [Result.OK] * client.before + [bad.result] * sent
    accounts = diary.accounts[client.before :]
    assert [account.retry_after for account in accounts] == pytest.approx([bad.wait_seconds] * sent)
    assert getattr(caught.value, "retry_after", None) == pytest.approx(bad.wait_seconds)
    for error in (str(caught.value), *(account.error for account in accounts)):
        assert error.startswith("own (127.0.0.1")
        assert len(error) < 500
        assert KEY not in error
        assert client.sent not in error
    assert_discreet(caught.value, client.sent)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_breaker__nothing_is_asked_hot(bad: Bad) -> None:
    """Twenty wishes at once: one request where it is gone or names a time, at most six otherwise; status shows it."""
    clock = SystemClock()
    quota = StubQuota(clock, budgets={"duck": None})
    hasty = replace(bad.response, delay_seconds=0, reset=True) if bad.response.delay_seconds else bad.response
    with serve(hasty, quota.enter("duck")) as (server, session):
        endpoint = Endpoint(name="own", url=server.base_url, key=KEY)
        errors = [_try(_text("chat"), session, endpoint) for _ in range(20)]
    sent = len(server.log.requests())
    assert sent == 1 if bad.result is Result.GONE or bad.wait_seconds else 1 < sent <= 6
    assert isinstance(errors[0], bad.error)
    assert isinstance(errors[-1], BreakerOpen)
    assert errors[-1].gone is (bad.result is Result.GONE)
    (line,) = quota.room.breakers.compute_figures(at=read_moment(clock))
    wanted = {Result.GONE: ServiceState.GONE, Result.FAILED: ServiceState.OPEN, Result.REJECTED: ServiceState.OK}
    assert line.state is wanted[bad.result]
    assert (line.until is None) is (bad.result is Result.REJECTED)
    assert json.dumps(line.last_error).count(KEY) == 0


def _try(ask: Ask, session: ServiceSession, endpoint: Endpoint) -> Exception:
    try:
        ask(session, endpoint)
    except (InferenceError, BreakerOpen) as exc:
        return exc
    raise AssertionError("a bad answer was taken for a good one")
