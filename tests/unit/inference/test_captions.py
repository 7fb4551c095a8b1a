"""Captions as they come, and as they may go on; and how Azure's address is read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint
from hotshotd.inference.captions import AZURE_VERSIONS, MAX_CAPTION_CHARS, clean_caption, make_azure


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a duck", "a duck"),
        ("  a\tduck \n\n on a\r\npond ", "a duck on a pond"),
        ('"A duck."', "A duck."),
        ("\u201cA duck.\u201d", "A duck."),
        ('A "duck"', 'A "duck"'),
        ("a\x00 du\x1bck\x07", "a duck"),
        ("a\u200bduck\u202e \ufeffx\u2066", "aduck x"),
        ("a\u2028duck\u0085x", "a duck x"),
        ("鸭子在池塘里", "鸭子在池塘里"),
        ("\ud800a duck\udfff", "a duck"),
    ],
)
def test_clean_caption__leaves_one_plain_line(raw: str, clean: str) -> None:
    """Line ends become blanks; what can't be seen, or turns the direction of the text, is dropped."""
    assert clean_caption(raw, where="x") == clean


@pytest.mark.parametrize("raw", ["", " ", "\n\n", "...", "\u200b", '""', "\x00"])
def test_clean_caption__refuses_one_without_a_word(raw: str) -> None:
    """A caption that says nothing is none."""
    with pytest.raises(InferenceNonsense, match="without a word"):
        clean_caption(raw, where="x")


def test_clean_caption__is_cut_between_words() -> None:
    """A long one ends with a whole word; a single endless word is cut anywhere."""
    assert clean_caption("duck " * 100, where="x") == ("duck " * 60).rstrip()
    assert clean_caption("x" * 1000, where="x") == "x" * MAX_CAPTION_CHARS


@given(st.text(st.characters(), max_size=2000))
def test_clean_caption__is_always_short_and_plain(raw: str) -> None:
    """Whatever a service says, the caption is one line of at most 300 visible characters."""
    try:
        caption = clean_caption(raw, where="x")
    except InferenceNonsense:
        return
    assert 0 < len(caption) <= MAX_CAPTION_CHARS
    assert len(caption.splitlines()) == 1
    assert not any(unicodedata.category(char).startswith("C") for char in caption)
    assert caption == caption.strip()


@pytest.mark.parametrize(
    ("url", "version", "wanted"),
    [
        ("https://x.example", None, "4.0"),
        ("https://x.example", "4.0", "4.0"),
        ("https://x.example", "3.2", "3.2"),
        ("https://x.example/vision/v3.2/describe?maxCandidates=1", "4.0", "3.2"),
        ("https://x.example/vision/v3.2", None, "3.2"),
        ("https://x.example/computervision/imageanalysis:analyze", "3.2", "4.0"),
    ],
)
def test_azure__an_address_may_name_the_version(url: str, version: str | None, wanted: str) -> None:
    """The whole address of either version, as other programs want it, is taken for what it says."""
    captioner = make_azure(Endpoint("azure", url, key="k"), version=version, inline=False, session=None)  # type: ignore[arg-type]
    assert captioner.version is AZURE_VERSIONS[wanted]
    assert (captioner.endpoint.url, captioner.endpoint.key) == ("https://x.example", "k")
