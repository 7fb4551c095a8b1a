"""Letters that were read in the wrong encoding."""

# ruff: noqa: RUF001 - letters of other scripts are the point
from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.brain.mojibake import mend_encoding
from hotshotd.brain.publishable import CleanRules

RULES = CleanRules()


def misread(text: str, encoding: str = "windows-1252") -> str:
    """Read UTF-8 in the wrong encoding, as browsers do: bytes that it lacks become control characters."""
    return "".join(
        byte.decode(encoding, "ignore") or byte.decode("latin-1") for byte in (bytes([b]) for b in text.encode())
    )


@pytest.mark.parametrize(
    "text",
    [
        "café au lait",
        "“It’s fine” – really…",
        "Größe und Ähre",
        "São João",
        "Привет, мир!",
        "Καλημέρα",
        "I love it 😀",
        "日本語です",
        "naïve, à la carte",
    ],
)
def test_mend_encoding__undoes_a_wrong_reading(text: str) -> None:
    """UTF-8 that was read as Windows-1252 is itself again; curly quotes stay curly."""
    assert misread(text) != text
    assert mend_encoding(misread(text), RULES) == text


@pytest.mark.parametrize(
    ("text", "encoding"), [("Привет, мир!", "windows-1251"), ("café", "mac-roman"), ("it’s", "mac-roman")]
)
def test_mend_encoding__knows_other_wrong_readings(text: str, encoding: str) -> None:
    """Windows-1251 and Mac Roman happen too."""
    assert mend_encoding(text.encode().decode(encoding), RULES) == text


@pytest.mark.parametrize(
    "text",
    [
        "“curly” ‘quotes’ — and… dashes",
        "à « peu près »",
        "SÃO PAULO",
        "Ångström, façade, piñata, 5 €, ½",
        "ﬁ ligatures ａｎｄ ｗｉｄｅ letters",
        "РССР",
        "`cafÃ©` is how it looks.",
        "a\u00adb",
    ],
)
def test_mend_encoding__leaves_everything_else_alone(text: str) -> None:
    """Only wrong decoding is undone: no quote is straightened, no width changed, no code touched."""
    assert mend_encoding(text, RULES) == text


@given(st.text())
def test_mend_encoding__never_lengthens_and_comes_to_rest(text: str) -> None:
    """Letters come out of several bytes, never more of them, and a mended text is mended."""
    once = mend_encoding(text, RULES)
    assert len(once) <= len(text)
    assert mend_encoding(once, RULES) == once


def test_warm_up__imports_it_for_all_workers() -> None:
    """A parent that warmed up shares what mending takes."""
    code = "import sys; from hotshotd.brain import clean; clean.warm_up(); assert 'ftfy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_cleaner__imports_ftfy_only_when_it_needs_it() -> None:
    """A worker stays small: a clean text costs no import."""
    code = (
        "import sys; from hotshotd.brain.clean import CleanRules, clean_reply\n"
        "clean_reply('A plain caf\u00e9.', CleanRules()); assert 'ftfy' not in sys.modules\n"
        "assert clean_reply('A plain caf\u00c3\u00a9.', CleanRules()).text == 'A plain caf\u00e9.'\n"
        "assert 'ftfy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
