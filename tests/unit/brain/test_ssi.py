"""Posts in the marks of ssi-bot's models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.brain.ssi import SsiPost, build_ssi_prompt, decode_escapes, parse_post


@pytest.mark.parametrize(
    ("generated", "post"),
    [
        ("|><|sot|>A title<|eot|><|sost|>A body.<|eost|><|eoss|>", SsiPost("A title", "A body.", False)),
        (" r/bots|><|sot|>A title<|sost|>A body.<|eoss|>", SsiPost("A title", "A body.", False)),
        ("<|soss|><|sot|>A title<|eot|>", SsiPost("A title", "", False)),
        ("<|soss r/bots|><|sot|> A title <|sost|> ran out of tok", SsiPost("A title", "ran out of tok", False)),
        ("<|sols|><|sot|>A link<|eot|><|sol|>http://x<|eol|>", SsiPost("A link", "", True)),
        ("|><|sot|>One<|eot|><|sost|>1<|eoss|><|soss|><|sot|>Two<|sost|>2", SsiPost("One", "1", False)),
        ("|><|sot|>One<|eoss|><|soss|><|sot|>Two<|sost|>2", SsiPost("One", "", False)),
        ("|><|sot|>Ends inside a mark<|sost|>text<", SsiPost("Ends inside a mark", "text", False)),
        (r"|><|sot|>It\'s<|sost|>one\n\ntwo\xa0three\u2026", SsiPost("It's", "one\n\ntwo\xa0three…", False)),
    ],
)
def test_parse_post__reads_a_title_and_perhaps_a_text(generated: str, post: SsiPost) -> None:
    """A field ends at any mark; the text may be missing (defect 29)."""
    assert parse_post(generated) == post


@pytest.mark.parametrize(
    "junk", ["", "just words", "<|soss|>", "<|sost|>text alone<|eost|>", "<|sot|><|eot|><|sost|>x", "|>"]
)
def test_parse_post__gives_none_for_junk(junk: str) -> None:
    """No title, no post (lemmy-ssi-bot's IndexError, defect 59)."""
    assert parse_post(junk) is None


def test_parse_post__knows_a_link_post_by_its_prompt() -> None:
    """A model gives what comes after the open mark: the prompt says which post it is."""
    prompt = build_ssi_prompt(link=True)
    assert prompt.text == "<|sols"
    post = parse_post("|><|sot|>A link", prompt=prompt.text)
    assert post == SsiPost("A link", "", True)
    assert parse_post("<|sols|><|sot|>A link", prompt=prompt.text) == post


def test_build_ssi_prompt__leaves_the_mark_open() -> None:
    """The model fills in the rest; with a place the mark is the closed one of newer models."""
    assert build_ssi_prompt().text == "<|soss"
    assert build_ssi_prompt(place="bots").text == "<|soss r/bots|>"


@given(st.text())
def test_decode_escapes__undoes_repr(body: str) -> None:
    """Models were trained on `repr(body)[1:-1]`: whatever the body, it comes back."""
    assert decode_escapes(repr(body)[1:-1]) == body


@given(st.text(alphabet=st.sampled_from("\\unxrtU'\"0aDd89fz {")))
def test_decode_escapes__takes_anything(text: str) -> None:
    """No text makes it fail, and what it gives can be encoded."""
    decode_escapes(text).encode()


@pytest.mark.parametrize(
    "text", ["C:\\users", "a trailing \\", "\\x zz", "\\q \\a \\0", "\\u12", "\\ud800", "\\N{BULLET}", "\\U00110000"]
)
def test_decode_escapes__leaves_the_rest_alone(text: str) -> None:
    """Only what `repr` writes is an escape (unicode_escape fails or changes each of these)."""
    assert decode_escapes(text) == text


def test_decode_escapes__joins_a_surrogate_pair_and_keeps_letters() -> None:
    """Letters beyond Latin-1 are no bytes; two halves are one character."""
    assert decode_escapes("na\u00efve \u4f60\u597d \\ud83d\\ude00") == "na\u00efve \u4f60\u597d \U0001f600"
