"""What AI Horde's answers mean, and what its orders hold, without a network."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.errors import HotshotError, InferenceGone, InferenceNonsense, InferenceRejected, InferenceUnavailable
from hotshotd.inference import horde_pictures, horde_text
from hotshotd.inference.base import Prompt
from hotshotd.inference.horde import ORDER_GAP_SECONDS
from hotshotd.inference.horde_answers import (
    JobHollow,
    JobImpossible,
    JobLost,
    Progress,
    read_form,
    read_generations,
    read_job_id,
    read_progress,
    refine_look,
    refine_problem,
)
from hotshotd.inference.horde_orders import ALCHEMY, IMAGE, TEXT, list_models
from hotshotd.inference.refusals import Problem
from hotshotd.inference.turns import Turns

PROMPT = Prompt(text="Once upon a time", stop=("\n\n",))

#: JSON of any shape, in which the service's own words turn up.
WORDS = st.sampled_from(
    ["done", "faulted", "is_possible", "finished", "processing", "waiting", "generations", "text", "img", "state"]
) | st.sampled_from(
    ["ok", "gen_metadata", "type", "censorship", "censored", "forms", "form", "caption", "result", "id"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=8),
    max_leaves=25,
)
STATUS = st.fixed_dictionaries({"done": st.booleans()}, optional={"generations": JSON, "forms": JSON, "state": JSON})


def progress(**changes: Any) -> Progress:
    known: dict[str, Any] = {"is_done": False, "is_faulted": False, "is_possible": True}
    return Progress(**{**known, "finished": 0, "processing": 1, "waiting": 0, **changes})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"processing": 0, "waiting": 1}, None),
        ({"is_done": True}, None),  # said too early: one is still being made
        ({"is_done": True, "processing": 0, "waiting": 1}, None),
        ({"is_done": True, "processing": 0}, JobLost),
        ({"is_faulted": True}, JobLost),
        ({"is_possible": False, "processing": 0, "waiting": 1}, JobImpossible),
        ({"is_possible": False}, None),  # somebody works on it all the same
        ({"is_possible": False, "processing": 0, "finished": 1, "waiting": 1}, None),
    ],
)
def test_progress__tells_hope_from_none(changes: dict[str, Any], error: type[JobLost] | None) -> None:
    """A job is waited for as long as a part of it may come."""
    status = progress(**changes)
    if error is None:
        status.raise_if_hopeless(where="x")
    else:
        with pytest.raises(error):
            status.raise_if_hopeless(where="x")


@pytest.mark.parametrize("body", [None, [], {}, {"done": 1}, {"done": "true"}, "done"])
def test_read_progress__of_nothing(body: Any) -> None:
    """A status without `done` is none."""
    with pytest.raises(InferenceNonsense):
        read_progress(body, where="x")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"state": None},
        {"state": "OK"},
        {"state": "ok", "censored": True},
        {"state": "ok", "censored": "no"},
        {"state": "ok", "censored": 1},
        {"state": "ok", "gen_metadata": [{"type": "censorship", "value": "nsfw"}]},
        {"state": "ok", "gen_metadata": [{"type": "lora"}, {"type": "censorship"}]},
        {"state": "ok", "gen_metadata": ["censorship"]},
        {"state": "ok", "gen_metadata": {"type": "censorship"}},
    ],
)
def test_read_generations__fails_closed(entry: dict[str, Any]) -> None:
    """Only what is plainly said to be fine is."""
    good = {"state": "ok", "gen_metadata": None}
    with pytest.raises(InferenceRejected):
        read_generations({"generations": [good, entry]}, where="x")
    assert read_generations({"generations": [good]}, where="x") == [good]


@pytest.mark.parametrize("job_id", ["", "a/b", "..", "a b", "a" * 65, "é", "a\n", None, 5])
def test_read_job_id__only_what_may_stand_in_an_address(job_id: Any) -> None:
    """An id leads to no other place of the service."""
    with pytest.raises(InferenceNonsense):
        read_job_id({"id": job_id}, where="x")


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"state": "waiting", "forms": []}, None),
        ({"state": "processing", "forms": [{"form": "caption", "state": "processing"}]}, None),
        ({"state": "done", "forms": [{"form": "caption", "state": "done", "result": {"caption": "x"}}]}, "x"),
        ({"state": "partial", "forms": [{"form": "caption", "state": "done", "result": {"caption": "x"}}]}, "x"),
        ({"state": "partial", "forms": [{"form": "caption", "state": "faulted"}]}, JobLost),
        ({"state": "partial", "forms": []}, JobLost),
        ({"state": "cancelled", "forms": []}, JobLost),
        ({"state": "processing", "forms": [{"form": "caption", "state": "cancelled"}]}, JobLost),
        ({"state": "done", "forms": [{"form": "caption", "state": "done"}]}, JobHollow),
        ({"state": "done", "forms": [{"form": "caption", "state": "done", "result": "x"}]}, JobHollow),
        ({"state": "done"}, InferenceNonsense),
        ([], InferenceNonsense),
    ],
)
def test_read_form(body: Any, result: Any) -> None:
    """A form has its own state; `partial` is for ever."""
    if isinstance(result, type):
        with pytest.raises(result):
            read_form(body, "caption", where="x")
    else:
        assert read_form(body, "caption", where="x") == result


@given(JSON | STATUS)
def test_reading__hostile_answers_raise_our_errors_alone(body: Any) -> None:
    """Whatever a server says, a reader gives a value or one of our errors."""
    reader = horde_text._Reader(prompt=PROMPT, stops=PROMPT.stop, wanted=2)
    for read in (
        lambda: reader.read(body, "x"),
        lambda: horde_pictures._read_image(body, "x"),
        lambda: read_form(body, "caption", where="x"),
        lambda: read_job_id(body, where="x"),
    ):
        try:
            read()
        except HotshotError:
            pass


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SourceImageSizeExceeded", 400, InferenceRejected),
        ("MaintenanceMode", 503, InferenceUnavailable),
        ("", 403, InferenceGone),
        ("Whatever", 403, InferenceGone),
    ],
)
def test_refine_problem__by_code_where_it_is_known(code: str, status: int, kind: type[Exception]) -> None:
    """Codes win over statuses; without a known one the status's own error stays."""
    error = InferenceGone("x answered", status=status)
    assert type(refine_problem(Problem(status, "", return_code=code), error)) is kind


def test_refine_look__404_is_about_the_job() -> None:
    """Neither key nor model are gone when a job is forgotten."""
    assert type(refine_look(Problem(404, ""), InferenceGone("x", status=404))) is JobLost
    assert type(refine_look(Problem(401, ""), InferenceGone("x", status=401))) is InferenceGone


# --- orders ---


def test_choose_stops__keeps_to_the_service_s_limits() -> None:
    """128 strings, 2000 characters, none empty or twice, the first ones first."""
    assert horde_text.choose_stops(("a", "", "b", "a")) == ("a", "b")
    assert len(horde_text.choose_stops(tuple(str(number) for number in range(500)))) == 128
    assert horde_text.choose_stops(("x" * 1990, "y" * 20, "z" * 10)) == ("x" * 1990, "z" * 10)


@pytest.mark.parametrize(
    ("text", "tokens", "window"),
    [
        ("", 16, 1024),
        ("a" * 2000, 300, 1024),
        ("a" * 2400, 300, 2048),
        ("語" * 4000, 96, 4096),
        ("a" * 10**6, 16, 32768),
    ],
)
def test_choose_window__is_the_smallest_that_holds_all(text: str, tokens: int, window: int) -> None:
    """The prompt must not be cut, and large windows find few volunteers."""
    assert horde_text.choose_window(text, tokens=tokens) == window


@given(
    st.dictionaries(
        st.sampled_from([*horde_text.NAMES, *horde_text.RANGES, "n", "max_length", "do_sample", "seed"]),
        st.floats() | st.integers() | st.booleans() | st.text(max_size=3) | st.none() | st.just(10**400),
        max_size=8,
    )
)
def test_make_payload__is_always_within_what_the_service_takes(parameters: dict[str, Any]) -> None:
    """Whatever an operator wrote for other backends, the order is not refused for it."""
    params = horde_text.make_payload(PROMPT, model="m", parameters=parameters)["params"]
    assert 16 <= params["max_length"] <= 512
    assert 1 <= params["n"] <= 20
    for name, value in params.items():
        if name in horde_text.RANGES:
            low, high = horde_text.RANGES[name]
            assert low <= value <= high
        else:
            assert name in ("n", "max_length", "max_context_length", "stop_sequence")
    assert isinstance(params["max_length"], int)
    assert isinstance(params["n"], int)


@given(st.floats() | st.integers() | st.text(max_size=5) | st.none() | st.just(10**400) | st.booleans())
def test_choose_side__is_always_one_that_the_service_takes(value: Any) -> None:
    """A multiple of 64 from 64 to 3072."""
    side = horde_pictures.choose_side(value)
    assert side % 64 == 0
    assert 64 <= side <= 3072


@pytest.mark.parametrize(
    ("parameters", "sides"),
    [
        ({}, (1024, 1024)),
        ({"size": "768x512"}, (768, 512)),
        ({"width": 700, "height": "640"}, (640, 640)),
        ({"width": math.inf, "height": 5}, (1024, 64)),
    ],
)
def test_make_payload__sides(parameters: dict[str, Any], sides: tuple[int, int]) -> None:
    """By two numbers or by `size`."""
    params = horde_pictures.make_payload("a duck", model="m", parameters=parameters)["params"]
    assert (params["width"], params["height"]) == sides


@pytest.mark.parametrize(("model", "models"), [("", []), ("any", []), ("koboldcpp/x", ["koboldcpp/x"])])
def test_list_models(model: str, models: list[str]) -> None:
    """No name is any name."""
    assert list_models(model) == models


@pytest.mark.parametrize(
    ("text", "rest"), [("a\n\nb###c", "a"), ("a###b\n\nc", "a"), ("abc", "abc"), ("\n\na", ""), ("", "")]
)
def test_cut_at_stop__at_the_first_of_all(text: str, rest: str) -> None:
    """The text ends before the first stop string; an empty one stops nothing."""
    assert horde_text.cut_at_stop(text, ("\n\n", "", "###")) == rest


# --- pace ---


def test_turns__keep_apart_what_has_one_name() -> None:
    """Each turn is so much later than the one before; other names, and late comers, do not wait."""
    turns = Turns()
    assert [turns.take("a", gap_seconds=0.5, now=10.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    assert turns.take("b", gap_seconds=0.5, now=10.0) == 0.0
    assert turns.take("a", gap_seconds=0.5, now=60.0) == 0.0


def test_pace__keeps_the_service_s_limits() -> None:
    """2 orders a second and 90 a minute; 60 looks at a text a minute, 10 at others a second."""
    assert ORDER_GAP_SECONDS >= 60 / 90
    assert TEXT.look_seconds >= 1.0
    assert min(IMAGE.look_seconds, ALCHEMY.look_seconds) >= 0.1
