"""What fits on a terminal, and what must not reach it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.cli.terminal import Screen, cell_len, find_screen, is_unicode, pad, to_line, to_safe


class Terminal(io.StringIO):
    """Says that it is one; its size is what the environment says."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "9")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_screen__of_a_pipe_has_no_width_and_no_colours() -> None:
    """Whatever the environment says."""
    screen = find_screen(io.StringIO())
    assert (screen.width, screen.height, screen.has_colours) == (None, None, False)


def test_screen__of_a_terminal() -> None:
    """Its size, and colours."""
    screen = find_screen(Terminal())
    assert (screen.width, screen.height, screen.has_colours) == (70, 9, True)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")])
def test_screen__without_colours(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Where somebody asked for none, and on terminals that have none."""
    monkeypatch.setenv(name, value)
    assert not find_screen(Terminal()).has_colours or (name, value) == ("TERM", "")


@pytest.mark.parametrize("words", ["", "wide", "-4", "٣"])
def test_screen__ignores_a_size_that_is_none(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """80 by 24 is left."""
    monkeypatch.setenv("COLUMNS", words)
    monkeypatch.setenv("LINES", words)
    assert (find_screen(Terminal()).width, find_screen(Terminal()).height) == (80, 24)


def test_screen__has_dots_where_there_is_no_ellipsis() -> None:
    """Not every encoding has one."""
    assert find_screen(io.TextIOWrapper(io.BytesIO(), encoding="latin-1")).ellipsis == "..."
    assert find_screen(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")).ellipsis == "…"
    assert not is_unicode(io.StringIO())


@given(text=st.text(), room=st.integers(0, 40), ellipsis=st.sampled_from(["…", "..."]))
def test_cut__never_takes_more_than_the_room(text: str, room: int, ellipsis: str) -> None:
    """Wide characters, joined emoji, anything; what fits is left alone."""
    screen = Screen(ellipsis=ellipsis)
    for cut in (screen.cut, screen.cut_middle):
        assert cell_len(cut(text, room)) <= room
        assert cell_len(text) > room or cut(text, room) == text


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])), width=st.integers(1, 60))
def test_wrap__never_leaves_the_screen(text: str, width: int) -> None:
    """No line is wider, and there are no more than asked for."""
    lines = Screen(width=width).wrap(to_line(text), most=3)
    assert len(lines) <= 3
    # One wide character has no room on a screen of one column.
    assert all(cell_len(line) <= max(width, 2) for line in lines)


@given(words=st.lists(st.text(alphabet="abc", min_size=1, max_size=9), max_size=30), width=st.integers(10, 60))
def test_wrap__loses_no_word_where_there_is_room(words: list[str], width: int) -> None:
    """Broken at blanks only."""
    lines = Screen(width=width).wrap(" ".join(words), most=100)
    assert " ".join(lines).split() == words


def test_wrap__leaves_all_on_one_line_in_a_pipe() -> None:
    """For grep."""
    assert Screen().wrap("x " * 500) == ["x " * 500]


def test_pad__counts_wide_characters_twice() -> None:
    """As terminals do."""
    assert (pad("模型", 6), pad("ab", 4, right=True), pad("abc", 2)) == ("模型  ", "  ab", "abc")


def test_safe__keeps_lines_and_takes_what_a_terminal_would_act_on() -> None:
    """Cursor moves, turned text, half surrogates."""
    assert to_safe("a\nb\tc\x1b[2J\x9b\u202e\udcff") == "a\nb\tc�[2J���"
    assert to_line(" a\n b\t\tc\x07 ") == "a b c�"
