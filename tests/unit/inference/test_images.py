"""Payloads and parameters of picture models, without a network."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd.errors import ConfigError, InferenceNonsense
from hotshotd.inference.base import Endpoint, Picture
from hotshotd.inference.build import build_painter
from hotshotd.inference.http import Answer, Call, make_ask
from hotshotd.inference.images import (
    CLOUDFLARE,
    GENERATIONS,
    HF_TASK,
    ImageWire,
    find_wire,
    make_parameters,
    read_answer,
)
from hotshotd.sandbox.pictures import draw_png

SIDES = {"width": 512, "height": 768}


@pytest.mark.parametrize(
    ("wire", "given", "sent"),
    [
        (HF_TASK, SIDES, SIDES),
        (HF_TASK, {"size": "512x768", "steps": 4}, {**SIDES, "num_inference_steps": 4}),
        (HF_TASK, {"size": "auto"}, {"size": "auto"}),
        (HF_TASK, {"negative_prompt": "text", "seed": None}, {"negative_prompt": "text"}),
        (GENERATIONS, SIDES, {"size": "512x768"}),
        (GENERATIONS, {"size": "1024x1024", "width": 5, "height": 6}, {"size": "1024x1024", "width": 5, "height": 6}),
        (GENERATIONS, {"width": 512}, {"width": 512}),
        (GENERATIONS, {"num_inference_steps": 4, "quality": "low"}, {"steps": 4, "quality": "low"}),
        (GENERATIONS, {"n": 4, "stream": True}, {}),
        (CLOUDFLARE, {"size": "512 X 768", "num_inference_steps": 4}, {**SIDES, "steps": 4}),
    ],
)
def test_parameters__take_the_names_of_the_format(wire: ImageWire, given: Any, sent: Any) -> None:
    """An operator writes a size or sides; each format gets what it knows, and nothing that would make more pictures."""
    assert make_parameters(given, wire=wire, url="https://own.example/v1") == sent


def test_parameters__a_host_that_wants_sides_gets_sides() -> None:
    """Together speaks OpenAI's format but for the size."""
    assert make_parameters({"size": "512x768"}, wire=GENERATIONS, url="https://api.together.xyz/v1") == SIDES


@pytest.mark.parametrize(
    ("wire", "model", "payload"),
    [
        (HF_TASK, "org/flux", {"inputs": "a duck", "parameters": SIDES}),
        (GENERATIONS, "flux", {"model": "flux", "prompt": "a duck", **SIDES}),
        (GENERATIONS, "", {"prompt": "a duck", **SIDES}),
        (CLOUDFLARE, "@cf/org/flux", {"prompt": "a duck", **SIDES}),
    ],
)
def test_payload__holds_prompt_and_parameters(wire: ImageWire, model: str, payload: Any) -> None:
    """Each format has its own places."""
    assert wire.make_payload("a duck", model, SIDES) == payload


def test_payload__no_parameter_replaces_the_prompt() -> None:
    """What is charged is what is sent: a parameter can't put another text in its place."""
    smuggled = {"prompt": "much more text", "model": "dearer"}
    assert GENERATIONS.make_payload("a duck", "flux", smuggled) == {"prompt": "a duck", "model": "flux"}
    assert CLOUDFLARE.make_payload("a duck", "@cf/x", smuggled)["prompt"] == "a duck"


@pytest.mark.parametrize(
    ("url", "model", "path"),
    [
        ("https://api.cloudflare.com/client/v4/accounts/ID/ai/v1", "@cf/a/b", ".../ai/run/@cf/a/b"),
        ("https://api.cloudflare.com/client/v4/accounts/ID/ai", "@cf/a/b", ".../ai/run/@cf/a/b"),
        ("https://api.cloudflare.com/client/v4/accounts/ID/ai/run/", "@hf/a/b", ".../ai/run/@hf/a/b"),
    ],
)
def test_cloudflare__is_found_beside_its_chat_models(url: str, model: str, path: str) -> None:
    """A model's name says that it is Cloudflare's, and the chat address leads to the picture models."""
    wire = find_wire(GENERATIONS, model=model)
    assert wire is CLOUDFLARE
    assert wire.make_path(Endpoint("cf", url), model) == "https://api.cloudflare.com/client/v4/accounts/ID" + path[3:]


def test_find_wire__leaves_others_alone() -> None:
    """Every other model is asked in the format of its backend."""
    assert find_wire(HF_TASK, model="org/cf") is HF_TASK


@pytest.mark.parametrize(
    ("model", "metered", "cost"), [("flux", True, 3000), ("@cf/a/b", True, 2048), ("flux", False, 0)]
)
def test_cost__is_what_is_sent(model: str, metered: bool, cost: int) -> None:
    """Characters of the prompt as far as the service takes them; none where it is not metered."""
    endpoint = Endpoint("own", "https://own.example/v1", metered=metered)
    painter = build_painter(api="chat", endpoint=endpoint, model=model, parameters={}, session=None)  # type: ignore[arg-type]
    assert painter.cost("x" * 3000) == cost


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.just(base64.b64encode(draw_png("x")).decode()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "result", "image", "url", "b64_json", "error", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON, st.sampled_from(["application/json", "image/png", "", "text/html; charset=utf-8"]))
def test_read_answer__gives_a_picture_an_address_or_nonsense(body: Any, content_type: str) -> None:
    """Whatever JSON a service sends, it is one of the three, and no other exception."""
    endpoint = Endpoint("own", "https://own.example", key="sk-secret")
    call = Call(endpoint=endpoint, path="", payload=None, ask=make_ask(endpoint, chars=0), sent_texts=("a duck",))
    answer = Answer(200, {"Content-Type": content_type}, json.dumps(body).encode(), where="own")
    try:
        found = read_answer(answer, call)
    except InferenceNonsense:
        return
    assert (isinstance(found, str) and found) or (isinstance(found, Picture) and found.kind == "png")


def test_build__names_what_is_there() -> None:
    """An api without pictures is refused with the list of those that have them."""
    with pytest.raises(ConfigError, match="'smoke' is not supported; use one of chat, completions, "):
        build_painter(api="smoke", endpoint=Endpoint("x", "x"), model="", parameters={}, session=None)  # type: ignore[arg-type]
