"""Labels and scores of classifiers: which count, which are the good one, and what is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.hf_moderation import count_labels
from hotshotd.inference.labels import match_labels, pick_positive, read_classes, read_labels
from hotshotd.inference.moderation import judge_scores, make_thresholds

TOXIC_BERT = {
    "toxic": 0.97, "obscene": 0.3, "insult": 0.6, "severe_toxic": 0.1, "identity_hate": 0.2, "threat": 0.01,
}  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        [[{"label": "a", "score": 0.1}, {"label": "b", "score": 0.2}]],
        [{"label": "a", "score": 0.1}, {"label": "b", "score": 0.2}],
    ],
)
def test_read_labels__takes_both_shapes(body: Any) -> None:
    """Nested or flat."""
    assert read_labels(body, where="x") == {"a": 0.1, "b": 0.2}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        "a",
        [{"score": 0.1}],
        [{"label": 1, "score": 0.1}],
        [{"label": "a"}],
        [{"label": "a", "score": 3.2}],
        [{"label": "a", "score": 0.1}, {"label": "a", "score": 0.9}],
    ],
)
def test_read_labels__nonsense_is_no_answer(body: Any) -> None:
    """Logits, doubles and missing parts raise."""
    with pytest.raises(InferenceNonsense):
        read_labels(body, where="x")


@pytest.mark.parametrize(
    ("data", "scores"),
    [
        ([{"index": 0, "label": "LABEL_0", "probs": [0.6], "num_classes": 1}], {"LABEL_0": 0.6}),
        ([{"index": 0, "label": "toxic", "probs": [0.6, 0.4]}], {"LABEL_0": 0.6, "LABEL_1": 0.4}),
        ([[{"label": "toxic", "score": 0.9}, {"label": "threat", "score": 0.1}]], {"toxic": 0.9, "threat": 0.1}),
    ],
)
def test_read_classes__takes_vllm_and_infinity(data: Any, scores: dict[str, float]) -> None:
    """The answers of both servers to one text."""
    assert read_classes({"data": data}, where="x") == scores


@pytest.mark.parametrize("body", [{}, [], {"data": []}, {"data": [{"probs": []}]}, {"data": [{"probs": [2]}, {}]}])
def test_read_classes__nonsense_is_no_answer(body: Any) -> None:
    """No text, two texts, no numbers."""
    with pytest.raises(InferenceNonsense):
        read_classes(body, where="x")


@pytest.mark.parametrize(
    ("scores", "score"),
    [({"LABEL_0": 0.6}, 0.6), ({"LABEL_0": 0.3, "LABEL_1": 0.7}, 0.7), ({"Positive": 0.2, "NEGATIVE": 0.8}, 0.2)],
)
def test_pick_positive__is_the_only_label_or_the_good_one(scores: dict[str, float], score: float) -> None:
    """One label is the score; of two, the one that says good."""
    assert pick_positive(scores, where="x") == score


@pytest.mark.parametrize(
    "scores", [{"a": 0.1, "b": 0.9}, {"yes": 0.1, "no": 0.2, "maybe": 0.7}, {"yes": 0.5, "1": 0.5}]
)
def test_pick_positive__refuses_to_guess(scores: dict[str, float]) -> None:
    """Several labels without a good one are no score."""
    with pytest.raises(InferenceNonsense):
        pick_positive(scores, where="x")


def test_match_labels__goes_by_label_and_wants_them_all() -> None:
    """The order of the answer is not the order of the question."""
    assert match_labels({"b": 0.9, "a": 0.1}, ["a", "b"], where="x") == {"a": 0.1, "b": 0.9}
    with pytest.raises(InferenceNonsense):
        match_labels({"a": 0.1}, ["a", "b"], where="x")


@pytest.mark.parametrize(
    ("scores", "threshold", "counted"),
    [
        (TOXIC_BERT, 0.9, TOXIC_BERT),
        ({"nothate": 0.1, "hate": 0.9}, 0.9, {"hate": 0.9}),
        ({"Non-Toxic": 0.1, "toxic": 0.9}, 0.9, {"toxic": 0.9}),
        ({"nothate": 0.25}, 0.9, {"not nothate": 0.75}),
        ({"toxic": 0.97}, 0.9, {"toxic": 0.97}),
        ({"LABEL_0": 0.2, "LABEL_1": 0.8}, {"LABEL_1": 0.5}, {"LABEL_1": 0.8}),
        ({"LABEL_0": 0.8, "LABEL_1": 0.2}, {"LABEL_1": 0.5}, {"LABEL_1": 0.2}),
        # They add up to 1, by chance or not: what is over the threshold refuses all the same.
        ({"toxic": 0.95, "threat": 0.05}, 0.9, {"toxic": 0.95, "threat": 0.05}),
    ],
)
def test_count_labels__leaves_out_what_is_harmless(scores: Any, threshold: Any, counted: Any) -> None:
    """Labels that say that nothing is wrong can't refuse a text."""
    assert count_labels(scores, thresholds=make_thresholds(threshold), where="x") == pytest.approx(counted)


@pytest.mark.parametrize(
    "scores",
    [
        {"LABEL_0": 0.2, "LABEL_1": 0.8},
        {"LABEL_0": 0.2},
        {"neutral": 0.5, "normal": 0.5},
        # Softmax over labels that do not exclude each other: toxic and insult halve each other.
        {"toxic": 0.34, "insult": 0.33, "obscene": 0.33},
    ],
)
def test_count_labels__what_says_nothing_is_no_verdict(scores: dict[str, float]) -> None:
    """Numbers for names, only harmless labels, and shares of one whole."""
    with pytest.raises(InferenceNonsense):
        count_labels(scores, thresholds=make_thresholds(0.9), where="x")


@pytest.mark.parametrize(
    ("threshold", "why"),
    [
        ({"TOXICITY": 0.9, "THREAT": 0.5}, "toxic 0.97"),
        ({"THREAT": 0.5}, ""),
        ({"toxic": 0.98, "TOXICITY": 0.1}, ""),
        ({"PROFANITY": 0.2}, "obscene 0.30"),
    ],
)
def test_judge_scores__knows_perspectives_names_for_toxic_berts(threshold: Any, why: str) -> None:
    """A table written for Perspective counts for toxic-bert, and its own names win."""
    assert judge_scores(TOXIC_BERT, thresholds=make_thresholds(threshold), moderator="hf").why == why
