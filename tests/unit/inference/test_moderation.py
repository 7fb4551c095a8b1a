"""Thresholds, scores and pieces of text."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hotshotd.errors import ConfigError, InferenceNonsense
from hotshotd.inference.base import Moderator, Prompt, Ranker, TextModel
from hotshotd.inference.moderation import judge_scores, make_thresholds, read_scores, split_text
from hotshotd.inference.stub import StubModerator, StubRanker, StubTextModel


@pytest.mark.parametrize(
    ("threshold", "scores", "why"),
    [
        (0.9, {"TOXICITY": 0.89}, ""),
        (0.9, {"TOXICITY": 0.9}, "TOXICITY 0.90"),
        (0.9, {"TOXICITY": 0.91, "THREAT": 0.95}, "THREAT 0.95"),
        ({"TOXICITY": 0.9, "THREAT": 0.5}, {"TOXICITY": 0.1, "THREAT": 0.5, "INSULT": 1.0}, "THREAT 0.50"),
        ({"toxicity": 0.9}, {"TOXICITY": 0.95}, "TOXICITY 0.95"),
        ({"TOXICITY": 0.9}, {"TOXICITY": 0.1, "INSULT": 1.0}, ""),
        # A table that names nothing this moderator knows is no reason to let all pass.
        ({"TOXICITY": 0.5}, {"hate": 0.95}, "hate 0.95"),
        ({}, {"hate": 0.95}, "hate 0.95"),
        (0.0, {"hate": 0.0}, "hate 0.00"),
    ],
)
def test_judge_scores__refuses_from_the_threshold_on(threshold: Any, scores: dict[str, float], why: str) -> None:
    """A score that reaches its threshold refuses; the reason names the worst."""
    judgement = judge_scores(scores, thresholds=make_thresholds(threshold), moderator="m")
    assert (judgement.ok, judgement.why) == (not why, why)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, {"A": math.nan}, {"A": 2}])
def test_make_thresholds__refuses_what_is_no_share(threshold: Any) -> None:
    """A threshold that no score can reach would switch moderation off."""
    with pytest.raises(ConfigError):
        make_thresholds(threshold)


@pytest.mark.parametrize(
    "value", [None, {}, [], {"a": None}, {"a": "0.1"}, {"a": math.nan}, {"a": math.inf}, {"a": True}, {"a": -0.1}]
)
def test_read_scores__nonsense_never_passes(value: Any) -> None:
    """Missing, mistyped or impossible scores raise."""
    with pytest.raises(InferenceNonsense):
        read_scores(value, where="x")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("short", ["short"]),
        ("aaaa bbbb cccc", ["aaaa bbbb", "cccc"]),
        ("a" * 25, ["a" * 10, "a" * 10, "a" * 5]),
        ("äöüäöü", ["äöüäö", "ü"]),
        ("x" * 10 + " " * 30, ["x" * 10]),
    ],
)
def test_split_text__cuts_at_blanks_and_loses_no_word(text: str, pieces: list[str]) -> None:
    """Pieces fit, are cut at blanks where there are any, and never inside a code point."""
    found = list(split_text(text, max_bytes=10))
    assert [piece.strip() for piece in found] == pieces
    assert all(len(piece.encode()) <= 10 for piece in found)


def test_stubs__fit_the_interfaces() -> None:
    """The stubs do what they are told, and count what they were asked."""
    model: TextModel = StubTextModel(script=("one", InferenceNonsense("no"), ("a", "b")))
    ranker: Ranker = StubRanker(rate=lambda context, reply: len(reply) / 10)
    moderator: Moderator = StubModerator(bad=("bad",))
    assert model.generate(Prompt("hello")).texts == ("one",)
    with pytest.raises(InferenceNonsense):
        model.generate(Prompt("hello"))
    assert model.generate(Prompt("hello")).cost == 5
    assert ranker.score(["x"], "reply") == 0.5
    assert not moderator.judge("so bad").ok
    assert moderator.judge("good").ok
