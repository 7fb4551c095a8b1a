"""Reading the words of models that were asked for a verdict: what is clear counts, what is not is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.asking import CLOSE, OPEN, quote_text
from hotshotd.inference.guard import read_verdict
from hotshotd.inference.judge import read_grade, read_yes_no
from hotshotd.inference.topics import read_lines

WHERE = "own (model m)"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("yes", 1.0),
        ("Yes.", 1.0),
        ("**No**", 0.0),
        ("NO!", 0.0),
        (" \n'yes'", 1.0),
        ("No, there is nothing to say yes to.", 0.0),
        ("```\nyes\n```", 1.0),
    ],
)
def test_read_yes_no__takes_the_first_word(text: str, score: float) -> None:
    """Marks and reasons around the word change nothing."""
    assert read_yes_no([text], WHERE) == score


@pytest.mark.parametrize(
    "text", ["maybe", "I would say yes", "yesterday", "nope", "7", "", "???", "not at all", "Answer: yes", "ja"]
)
def test_read_yes_no__anything_else_is_no_score(text: str) -> None:
    """What does not start with one of the two words is not guessed at."""
    with pytest.raises(InferenceNonsense):
        read_yes_no([text], WHERE)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("7", 0.7),
        ("**10**", 1.0),
        ("0", 0.0),
        ("8/10", 0.8),
        ("9 out of 10.", 0.9),
        ("7.0", 0.7),
        ("Yes", 1.0),
        ("no.", 0.0),
    ],
)
def test_read_grade__is_a_tenth_of_the_grade(text: str, score: float) -> None:
    """A grade is the whole answer."""
    assert read_grade([text], WHERE) == score


@pytest.mark.parametrize("text", ["11", "-1", "7 or 8", "seven", "I give it a 7", "7.5", "100", "8/100", "", "10 10"])
def test_read_grade__anything_else_is_no_score(text: str) -> None:
    """A number that is not from 0 to 10, or one of several, is none."""
    with pytest.raises(InferenceNonsense):
        read_grade([text], WHERE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("safe", ""),
        ("\n\nsafe", ""),
        ("Safe.", ""),
        ("unsafe\nS10", "unsafe S10"),
        ("unsafe\nS1,S10", "unsafe S1 S10"),
        ("unsafe", "unsafe"),
        ("Safety: Safe\nCategories: None", ""),
        ("Safety: Safe\nCategories: None\nRefusal: No", ""),
        ("Safety: Unsafe\nCategories: Violent", "unsafe Violent"),
        (
            "Safety: Controversial\nCategories: Politically Sensitive Topics",
            "controversial Politically Sensitive Topics",
        ),
        ('{"violation": 0}', ""),
        ('{"violation": 1, "policy_category": "H2.f"}', "violation"),
        ('```json\n{"violation": 0}\n```', ""),
        ('{"safe": true}', ""),
        ('{"safe": false}', "safe"),
        ('{"verdict": "unsafe"}', "unsafe"),
        ('{"User Safety": "safe", "Safety Categories": ""}', ""),
        ('{"User Safety": "safe", "Response Safety": "unsafe"}', "unsafe"),
        ('{"flagged": "yes"}', "flagged"),
        ('{"violation": 0, "label": "H0.a"}', ""),
        ('{"violation": 0, "label": "violating"}', "violating"),
    ],
)
def test_read_verdict__understands_the_known_guards(text: str, why: str) -> None:
    """Llama Guard, Qwen3Guard and JSON, each with the reason."""
    assert read_verdict([text], WHERE) == why


@pytest.mark.parametrize(
    "text",
    [
        "The message is safe.",
        "safe\nunsafe",
        "safe\nS10",
        "unsafe? no, safe",
        "safety first",
        "I can't help with that.",
        "Safety: Perhaps",
        "Safety: Safe\nbut",
        "Safety: Safe\nSafety: Unsafe",
        "{}",
        "[]",
        "0",
        "yes",
        '{"violation": 2}',
        '{"violation": null}',
        '{"violation": "low"}',
        '{"violation": 1, "violation": 0}',
        '{"violation": 0',
        '{"violation": 0} and more',
        '{"reason": "nothing wrong"}',
        '{"safe": true, "violation": "perhaps"}',
        '{"verdict": ["safe"]}',
        '{"verdict": "perhaps", "safe": true}',
        '{"label": "H0.a"}',
        '{"verdict": 0}',
    ],
)
def test_read_verdict__anything_unclear_is_none(text: str) -> None:
    """What is not nothing but a verdict is not taken for a pass."""
    with pytest.raises(InferenceNonsense):
        read_verdict([text], WHERE)


@pytest.mark.parametrize("read", [read_yes_no, read_grade, read_verdict])
def test_readers__several_answers_are_none(read: Callable[[list[str], str], object]) -> None:
    """Of two answers none is picked."""
    with pytest.raises(InferenceNonsense):
        read(["safe", "unsafe"], WHERE)


@given(st.text(max_size=60))
def test_read_verdict__passes_nothing_by_chance(text: str) -> None:
    """Only answers that hold a word or a key of a verdict can pass."""
    try:
        verdict = read_verdict([text], WHERE)
    except InferenceNonsense:
        return
    assert verdict or "safe" in text.casefold()


@pytest.mark.parametrize(
    ("text", "labels", "scores"),
    [
        ("1: yes\n2: no", ("sea", "war"), (1.0, 0.0)),
        ("2) No\n\n1) **Yes**", ("sea", "war"), (1.0, 0.0)),
        ("- 1. yes", ("sea",), (1.0,)),
        ("No.", ("sea",), (0.0,)),
        ("1: the sea: yes\n2: yes or no: no", ("the sea", "yes or no"), (1.0, 0.0)),
    ],
)
def test_read_lines__finds_a_word_for_each_label(text: str, labels: tuple[str, ...], scores: tuple[float, ...]) -> None:
    """Lines in any order, by number."""
    assert read_lines([text], WHERE, labels=labels) == dict(zip(labels, scores, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1: yes",
        "yes",
        "1: yes\n1: no\n2: no",
        "1: yes\n3: no",
        "1: yes\n2: maybe",
        "1: yes, no\n2: no",
        "1: yes\n2: no\n?x",
    ],
)
def test_read_lines__anything_else_is_none(text: str) -> None:
    """A missing, doubled or unclear line leaves no answer at all."""
    with pytest.raises(InferenceNonsense):
        read_lines([text], WHERE, labels=("sea", "war"))


@given(st.text(alphabet="<>a \n", max_size=40))
def test_quote_text__a_text_can_not_leave_its_quotes(text: str) -> None:
    """Whatever stands in it, the marks are there once each."""
    quoted = quote_text(text)
    assert (quoted.count(OPEN), quoted.count(CLOSE)) == (1, 1)
