"""Values: what counts as a duration, a budget, words, a flag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.config.values import (
    FaultyValue,
    parse_budget,
    parse_duration,
    parse_env_name,
    parse_flag,
    parse_interval,
    parse_thresholds,
    parse_words,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5h", 5400), (".5m", 30), ("2d", 172800), (" 15 m ", 900), ("0s", 0), (0, 0), (0.0, 0)],
)
def test_parse_duration__reads_a_number_with_a_unit(text: object, seconds: float) -> None:
    """A duration is a number with s, m, h or d, fractions allowed; 0 needs no unit."""
    assert parse_duration(text) == seconds


def test_parse_duration__asks_for_the_unit() -> None:
    """A bare number says nothing, and the message shows how to write it."""
    with pytest.raises(ValueError, match="30 has no unit: write 30s, 30m, 30h or 30d"):
        parse_duration(30)


@pytest.mark.parametrize(
    "value", [True, "30", "-1s", "s", "1 s 2 m", "1e3s", "1w", None, [], "٣s", "9" * 400 + "s", "4000d", "nans", "inf"]
)
def test_parse_duration__refuses_what_is_none(value: object) -> None:
    """No guess, no negative time, no other alphabet's digits, nothing past ten years."""
    with pytest.raises(ValueError):
        parse_duration(value)


def test_parse_interval__is_at_least_a_second() -> None:
    """1s is the least for intervals."""
    assert parse_interval("1s") == 1
    with pytest.raises(ValueError, match="at least 1s"):
        parse_interval("0.9s")


def test_parse_budget__only_the_word_is_unlimited() -> None:
    """Only `unlimited` takes the limit off."""
    assert parse_budget("unlimited") is None
    assert parse_budget(0) == 0


@pytest.mark.parametrize("value", [None, True, False, -1, 1.0, "30000", "Unlimited", "none", "", [], "inf"])
def test_parse_budget__nothing_else_is_unlimited(value: object) -> None:
    """Money first: null, words and odd numbers are faults, not "no limit"."""
    with pytest.raises(ValueError, match="the word unlimited"):
        parse_budget(value)


def test_parse_words__gives_yaml_surprises_their_text_back() -> None:
    """Whole numbers and true/false become the words they were."""
    assert parse_words(["who", 1984, True, False, "no"]) == ("who", "1984", "true", "false", "no")
    assert parse_words(None) == ()


@pytest.mark.parametrize("word", [1.5, None, [], {}, "", "  "])
def test_parse_words__refuses_what_has_no_sure_text(word: object) -> None:
    """3.10 may have been 3.1 or 3.10: quotes say which. The fault names the entry."""
    with pytest.raises(FaultyValue, match="quotes") as caught:
        parse_words(["ok", word])
    assert caught.value.blames[0][0] == (1,)


def test_parse_words__a_single_word_is_no_list() -> None:
    """A lone string would otherwise become a list of letters."""
    with pytest.raises(ValueError, match="must be a list: write it in brackets"):
        parse_words("who")


@pytest.mark.parametrize(("value", "flag"), [(True, True), ("no", False), ("Yes", True), ("off", False), ("on", True)])
def test_parse_flag__knows_the_older_words(value: object, flag: bool) -> None:
    """YAML 1.1 wrote yes and no; people still do."""
    assert parse_flag(value) is flag


@pytest.mark.parametrize("value", [0, 1, "1", "", None, 0.0])
def test_parse_flag__is_no_number(value: object) -> None:
    """1 is not true."""
    with pytest.raises(ValueError, match="true or false"):
        parse_flag(value)


@pytest.mark.parametrize("value", [True, "0.9", 1.1, -0.1, float("nan"), {}, {"TOXICITY": "0.9"}, {"X": True}, None])
def test_parse_thresholds__never_lets_everything_pass(value: object) -> None:
    """A threshold is a number in 0..1, and an empty mapping would refuse nothing."""
    with pytest.raises(ValueError):
        parse_thresholds(value)


@pytest.mark.parametrize(
    "value", ["hunter2!", "a b", "", 5, "hf_abcdefghijklmnopqrstuvwxyz", "gsk_0123456789abcdefghij"]
)
def test_parse_env_name__does_not_repeat_a_secret(value: object) -> None:
    """A secret that was written where its variable's name belongs must not be printed."""
    with pytest.raises(ValueError) as caught:
        parse_env_name(value)
    assert str(value) not in str(caught.value) or value in ("", 5)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_parse_duration__is_never_negative_or_endless(value: object) -> None:
    """Whatever is written gives a finite number of seconds, or ValueError."""
    try:
        seconds = parse_duration(value)
    except ValueError:
        return
    assert 0 <= seconds <= 3650 * 86400
