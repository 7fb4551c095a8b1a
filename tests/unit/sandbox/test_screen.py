"""What the sandbox shows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from virtual import HandClock

from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.screen import (
    GATHERING_FLUSHES,
    BotRow,
    Feed,
    Line,
    LiveScreen,
    PlainScreen,
    Span,
    flatten,
    lay_out,
    make_screen,
    parse_status,
    shorten,
)

CONTRACT = "READ: submissions=1 comment=2 | WRITE: post=3 reply=4 | SPEND=5%"
ROW = BotRow("iama", "running", 1, 2, 3, 4, 5)


@pytest.fixture
def forum() -> Forum:
    forum = Forum()
    forum.add_subreddit("Sand")
    return forum


def plain(lines: list[Line]) -> list[str]:
    return ["".join(span.text for span in line) for line in lines]


@contextmanager
def drawn(width: int) -> Iterator[tuple[LiveScreen, io.StringIO]]:
    out = io.StringIO()
    screen = LiveScreen(out, bots=["iama"])
    screen._console.width = width
    yield screen, out


def test_counters__read_as_the_contract_says() -> None:
    """The line is the one that scripts look for."""
    assert ROW.counters == CONTRACT


def test_parse_status__makes_rows_of_the_contract() -> None:
    """Rows come from `status --json`; an unlimited budget has no percentage."""
    bot = {
        "name": "iama",
        "state": "running",
        "read": {"submissions": 1, "comments": 2},
        "write": {"posts": 3, "replies": 4},
        "spend": {"characters": 9, "budget": None, "percent": None},
    }
    (row,) = parse_status({"daemon": {}, "bots": [bot]})
    assert row == BotRow("iama", "running", 1, 2, 3, 4, None)
    assert "SPEND=-%" in row.counters


def test_feed__tells_who_wrote_what_to_whom(forum: Forum) -> None:
    """A post has its title and text, a comment stands further in and names whom it answers."""
    feed = Feed(forum, {"IamaBot": "iama"})
    post = forum.submit("IamaBot", "Sand", "A title", "A\ntext")
    forum.comment("anna", post.fullname, "Who?")
    lines = [line for event in forum.events() for line in plain(feed.show_event(event))]
    assert lines == ["#1   IamaBot posts: A title", "       A text", "#1     anna → IamaBot: Who?"]


def decide(feed: Feed, thing: str, *decisions: tuple[str, str, str]) -> None:
    for bot, outcome, reason in decisions:
        record = {"event": "item.done", "bot": bot, "thing": thing, "outcome": outcome, "reason": reason}
        assert feed.show_record(record) == []


def test_feed__gathers_the_decisions_of_all_bots_on_one_thing(forum: Forum) -> None:
    """Each bot's outcome and reason stand on one line, once, as soon as all have decided."""
    feed = Feed(forum, {"IamaBot": "iama", "BakerBot": "baker"})
    post = forum.submit("anna", "Sand", "A title")
    decide(feed, post.fullname, ("iama", "skipped", "chance"))
    assert feed.flush() == []
    decide(feed, post.fullname, ("baker", "replied", "keyword"))
    assert plain(feed.flush()) == ["#1     └ to anna: iama skipped: chance · baker replied: keyword"]
    assert feed.flush(everything=True) == []


def test_feed__waits_for_a_slow_bot_only_so_long(forum: Forum) -> None:
    """A decision is shown after some flushes even if another bot never decides."""
    feed = Feed(forum, {"IamaBot": "iama", "BakerBot": "baker"})
    post = forum.submit("anna", "Sand", "A title")
    decide(feed, post.fullname, ("iama", "skipped", "chance"))
    assert [len(feed.flush()) for _ in range(GATHERING_FLUSHES + 1)] == [0] * GATHERING_FLUSHES + [1]


def test_feed__does_not_tell_that_a_bot_leaves_its_own_words_alone(forum: Forum) -> None:
    """`own` goes without saying."""
    feed = Feed(forum, {"IamaBot": "iama"})
    decide(feed, forum.submit("IamaBot", "Sand", "A title").fullname, ("iama", "skipped", "own"))
    assert feed.flush(everything=True) == []


def test_feed__shows_posts_states_and_warnings(forum: Forum) -> None:
    """Post outcomes, state changes and what is loud get a line; the rest of the log does not."""
    feed = Feed(forum, {})
    assert plain(feed.show_record({"event": "post.done", "bot": "a", "outcome": "failed", "reason": "no text"})) == [
        "  · a post failed: no text"
    ]
    assert plain(feed.show_record({"event": "bot.state", "bot": "a", "old": "starting", "new": "running"})) == [
        "  · a is running"
    ]
    assert plain(feed.show_record({"event": "x", "level": "warning", "bot": "a", "reason": "odd"})) == [
        "  ! a x reason=odd"
    ]
    assert feed.show_record({"event": "poll", "level": "info"}) == []


def test_flatten__leaves_nothing_that_moves_the_cursor() -> None:
    """Control characters, escapes and invisible marks of strangers never reach the terminal."""
    assert flatten("a\x1b[2J\nb\u202e\u200bc\x07") == "a[2J bc"


def test_plain_screen__prints_counters_every_ten_seconds() -> None:
    """One line a bot, with its name, no sooner than ten seconds after the last; and once more at the end."""
    clock, out = HandClock(), io.StringIO()
    screen = PlainScreen(out, clock=clock)
    for at in (0.0, 5.0, 9.9, 10.0, 12.0, 20.0):
        clock.seconds = at
        screen.update([ROW])
    assert out.getvalue() == f"iama  {CONTRACT}\n" * 2
    screen.close()
    assert out.getvalue() == f"iama  {CONTRACT}\n" * 3


def test_plain_screen__never_wraps_counters_and_cuts_long_texts() -> None:
    """The counters are whole at any width; a text is cut."""
    clock, out = HandClock(), io.StringIO()
    screen = PlainScreen(out, clock=clock, width=20)
    screen.show([(Span("x" * 50),)])
    clock.seconds = 10
    screen.update([ROW])
    assert out.getvalue() == "x" * 19 + "…\n" + f"iama  {CONTRACT}\n"


def test_plain_screen__survives_a_stream_that_speaks_ascii() -> None:
    """What an old locale can't show becomes a question mark, and no error."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    PlainScreen(out, clock=HandClock()).show([(Span("→ ü"),)])
    assert raw.getvalue() == b"? ?\n"


@pytest.mark.parametrize(
    ("text", "width", "cut"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abc", 1, "…"), ("a", 0, "")]
)
def test_shorten__fits_the_width(text: str, width: int, cut: str) -> None:
    """The ellipsis counts."""
    assert shorten(text, width) == cut


@pytest.mark.parametrize("width", [10, 40, 80])
def test_live_screen__keeps_lines_within_the_terminal(width: int) -> None:
    """A long text takes three lines at most, none wider than the terminal, double-width letters included."""
    with drawn(width) as (screen, _):
        parts = screen._wrap((Span("#1   "), Span("猫の灯台 " * 30), Span("tail")))
        assert 1 <= len(parts) <= 3
        assert all(part.cell_len <= width for part in parts)
        screen.close()


def test_live_screen__shows_the_counters() -> None:
    """The table holds each bot's name, state and line."""
    with drawn(120) as (screen, out):
        screen.update([ROW])
        screen.close()
    assert re.search(r"iama\s+running\s+" + re.escape(CONTRACT), out.getvalue())


@pytest.mark.parametrize(
    ("width", "line"),
    [(90, f"iama  running  {CONTRACT}"), (70, f"iama {CONTRACT}"), (len(CONTRACT) + 4, f"ia… {CONTRACT}")],
)
def test_lay_out__keeps_the_counters_whole_longest(width: int, line: str) -> None:
    """A narrow terminal costs the state, then the end of the name, and the counters last."""
    assert lay_out([ROW], width) == [line]


def test_make_screen__is_plain_where_the_output_is_no_terminal() -> None:
    """A pipe gets no control codes."""
    assert isinstance(make_screen(io.StringIO(), bots=[], clock=HandClock()), PlainScreen)
