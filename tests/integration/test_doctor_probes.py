"""Every kind of probe against the service's wire format: good, with a bad key, and for a model that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hotshotd._types import Role
from hotshotd.admission import billing
from hotshotd.clock import SystemClock
from hotshotd.doctor import probes
from hotshotd.doctor.counting import FreeLeave, Meter, Metered
from hotshotd.doctor.findings import Mark
from hotshotd.inference.base import Endpoint
from hotshotd.inference.build import build_captioner, build_painter, build_text_model, build_topic_model
from hotshotd.inference.http import ServiceSession
from hotshotd.sandbox.http import HttpServer, Response, Route, Routes, json_response
from hotshotd.sandbox.services import Services

KEY = "key-of-a-test"


@pytest.fixture
def services() -> Iterator[Services]:
    with Services(keys={KEY: "iama"}) as running:
        yield running


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def session(meter: Meter) -> Iterator[ServiceSession]:
    session = ServiceSession(admission=Metered(FreeLeave(), meter), clock=SystemClock())
    yield session
    session.close()


def endpoint(url: str, *, key: str | None = KEY, role: Role = Role.TEXT, metered: bool = False) -> Endpoint:
    return Endpoint(name="it", url=url, key=key, metered=metered, role=role)


def test_key__is_looked_at_for_free(services: Services, session: ServiceSession, meter: Meter) -> None:
    """GET /models: the key, and whether the model is listed; nothing is charged."""
    url = services.openai_url
    listed = probes.attempt(probes.ask_key(endpoint(url, metered=True), "sandbox/lighthouse-chat"), session)
    other = probes.attempt(probes.ask_key(endpoint(url, metered=True), "lighthouse"), session)
    refused = probes.attempt(probes.ask_key(endpoint(url, key="wrong"), ""), session)
    assert [tried.verdict.mark for tried in (listed, other, refused)] == [Mark.OK, Mark.WARN, Mark.FAIL]
    assert "sandbox/lighthouse-chat" in other.verdict.remedy
    assert (meter.chars, meter.requests) == (0, 3)


@pytest.mark.parametrize("body", [{"data": "none"}, {}, [1], {"data": [{"id": 5}, "x", {"id": "m"}]}])
def test_key__reads_lists_of_every_kind(session: ServiceSession, body: Any) -> None:
    """A list without sense is a failure, not a crash; odd entries of a good one are passed over."""
    with HttpServer("odd", Routes([Route("GET", "/models", lambda _: json_response(body))])) as server:
        tried = probes.attempt(probes.ask_key(endpoint(server.base_url), "m"), session)
    is_list = isinstance(body, list) or isinstance(body.get("data"), list)
    assert tried.verdict.mark is (Mark.OK if is_list else Mark.FAIL)


def test_text__shows_its_cost(services: Services, session: ServiceSession, meter: Meter) -> None:
    """What a probe charged is in its line, and in the total."""
    model = build_text_model(
        api="chat", endpoint=endpoint(services.openai_url, metered=True), model="m", parameters={}, session=session
    )
    with billing():
        verdict = probes.ask_text(model)
    assert verdict.detail.endswith(f"cost {len(probes.GREETING)} characters")
    assert meter.chars == len(probes.GREETING)


def test_text__that_reasons_only_is_told_what_it_needs(services: Services, session: ServiceSession) -> None:
    """A model that uses its few tokens up on thoughts works, and may need more in `parameters`."""
    thought = json_response({"choices": [{"message": {"content": "", "reasoning_content": "hm"}}]})
    services.script("m", [thought, thought])
    model = build_text_model(
        api="chat", endpoint=endpoint(services.openai_url), model="m", parameters={"max_tokens": 16}, session=session
    )
    tried = probes.attempt(lambda _: probes.ask_text(model), session)
    assert (tried.verdict.mark, "max_new_tokens" in tried.verdict.remedy) == (Mark.WARN, True)


def test_topics__know_a_duck(services: Services, session: ServiceSession) -> None:
    """The zero-shot model answers in labels, whatever it thinks of ducks."""
    model = build_topic_model(api="hf", endpoint=endpoint(services.hf_url), model="zero", session=session)
    assert probes.ask_topics(model).mark in (Mark.OK, Mark.WARN)
    services.gone.add("zero")
    tried = probes.attempt(lambda _: probes.ask_topics(model), session)
    assert (tried.verdict.mark, tried.error is not None) == (Mark.FAIL, True)


@pytest.mark.parametrize(("key", "mark"), [(KEY, Mark.OK), ("wrong", Mark.FAIL)])
def test_azure__is_asked_for_no_picture(services: Services, session: ServiceSession, key: str, mark: Mark) -> None:
    """The key is looked at before the picture, which is nowhere."""
    captioner = build_captioner(
        kind="azure", endpoint=endpoint(services.azure_url, key=key, role=Role.CAPTION), session=session, version="4.0"
    )
    assert probes.attempt(lambda _: probes.ask_unseen(captioner), session).verdict.mark is mark


def test_azure__that_refuses_the_picture_has_taken_the_key(session: ServiceSession) -> None:
    """A 400 for the address of no picture is what a good key gets."""
    body = {"error": {"code": "InvalidRequest", "innererror": {"code": "InvalidImageUrl"}, "message": "not accessible"}}
    refuse = Route("POST", "/computervision/imageanalysis:analyze", lambda _: json_response(body, status=400))
    with HttpServer("azure", Routes([refuse])) as server:
        captioner = build_captioner(kind="azure", endpoint=endpoint(server.base_url), session=session, version="4.0")
        assert probes.attempt(lambda _: probes.ask_unseen(captioner), session).verdict.mark is Mark.OK


def test_painter__makes_a_picture_when_asked(services: Services, session: ServiceSession) -> None:
    """With --pictures one is made, and its kind told."""
    painter = build_painter(
        api="hf", endpoint=endpoint(services.hf_url, role=Role.PICTURE), model="sd", parameters={}, session=session
    )
    assert "png" in probes.ask_painter(painter).detail


def _make_horde(models: Any) -> Routes:
    return Routes(
        [
            Route("GET", "/status/heartbeat", lambda _: json_response({"message": "OK"})),
            Route("GET", "/status/models", lambda _: json_response(models)),
        ]
    )


@pytest.mark.parametrize(
    ("model", "models", "mark"),
    [
        ("", [], Mark.OK),
        ("koboldcpp/X", [{"name": "koboldcpp/X", "count": 2}], Mark.OK),
        ("koboldcpp/X", [{"name": "koboldcpp/X", "count": 0}, {"name": "koboldcpp/Y", "count": 1}], Mark.WARN),
        ("koboldcpp/X", [{"name": "koboldcpp/Y", "count": 1}], Mark.WARN),
        ("koboldcpp/X", {"message": "odd"}, Mark.OK),
    ],
)
def test_horde__is_asked_for_nothing(session: ServiceSession, model: str, models: Any, mark: Mark) -> None:
    """Whether it is up and somebody serves the model; no job is ordered."""
    with HttpServer("horde", _make_horde(models)) as server:
        tried = probes.attempt(probes.ask_horde(endpoint(server.base_url, key=None), model, "text"), session)
        assert tried.verdict.mark is mark
        assert {request.method for request in server.log.requests()} == {"GET"}


@pytest.mark.parametrize(("key", "mark"), [(KEY, Mark.OK), (None, Mark.OK), ("wrong", Mark.FAIL)])
def test_horde__knows_the_key(services: Services, session: ServiceSession, key: str | None, mark: Mark) -> None:
    """A key that the horde does not know is found without a job; none at all is anonymous, and well."""
    ask = probes.ask_horde(endpoint(services.horde_url, key=key), "koboldcpp/X", "text")
    assert probes.attempt(ask, session).verdict.mark is mark


def test_horde__that_is_down_fails(session: ServiceSession) -> None:
    """No heartbeat, no horde."""
    down = Route("GET", "/status/heartbeat", lambda _: Response(503, b"{}"))
    with HttpServer("horde", Routes([down])) as server:
        tried = probes.attempt(probes.ask_horde(endpoint(server.base_url, key=None), "", "text"), session)
    assert tried.verdict.mark is Mark.FAIL


def test_meter__takes_back_what_never_left(session: ServiceSession, meter: Meter) -> None:
    """A server that nobody reaches was sent nothing, and nothing is charged."""
    model = build_text_model(
        api="chat", endpoint=endpoint("http://127.0.0.1:9/v1", metered=True), model="m", parameters={}, session=session
    )
    tried = probes.attempt(lambda _: probes.ask_text(model), session)
    assert (tried.verdict.mark, meter.chars, meter.requests) == (Mark.FAIL, 0, 0)
