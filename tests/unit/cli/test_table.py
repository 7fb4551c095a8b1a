"""What the operator sees: the line users of the first program know, notes that fit, and plain text in a pipe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd.cli.table import format_counters, format_quota, format_status
from hotshotd.cli.terminal import Screen, cell_len

PIPE = Screen()
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def make_bot(**changes: Any) -> dict[str, Any]:
    return {
        "name": "iama",
        "state": "running",
        "reason": "",
        "dry_run": False,
        "read": {"submissions": 0, "comments": 0},
        "write": {"posts": 0, "replies": 0},
        "spend": {"characters": 0, "budget": 1000, "percent": 0},
        "next_post_at": None,
        "paused_until": None,
        "degraded": [],
        "last_error": None,
        **changes,
    }


def make_status(*bots: dict[str, Any], **daemon: Any) -> dict[str, Any]:
    quota = {"pid": 2, "state": "ok"}
    return {"daemon": {"version": "1.0", "pid": 1, "uptime_s": 3725, "quota": quota, **daemon}, "bots": list(bots)}


def test_counters__are_the_line_of_the_first_program() -> None:
    """The contract, letter for letter."""
    assert format_counters(make_bot()) == "READ: submissions=0 comment=0 | WRITE: post=0 reply=0 | SPEND=0%"


def test_counters__show_each_figure_in_its_place() -> None:
    """None stands for another."""
    bot = make_bot(read={"submissions": 1, "comments": 2}, write={"posts": 3, "replies": 4})
    bot["spend"] = {"characters": 50, "budget": 1000, "percent": 5}
    assert format_counters(bot) == "READ: submissions=1 comment=2 | WRITE: post=3 reply=4 | SPEND=5%"


def test_counters__show_characters_where_there_is_no_budget() -> None:
    """Unlimited has no percent."""
    bot = make_bot(spend={"characters": 1234, "budget": None, "percent": None})
    assert format_counters(bot).endswith("| SPEND=1234")


def test_status__starts_with_the_daemon() -> None:
    """Version, pid and time up; the quota process only when it is not well."""
    assert format_status(make_status(), screen=PIPE, now=NOW)[0] == "hotshotd 1.0, pid 1, up 1:02:05"
    damaged = make_status(quota={"pid": 2, "state": "damaged", "message": "no grants until tomorrow"})
    assert format_status(damaged, screen=PIPE, now=NOW)[0].endswith("; quota: damaged no grants until tomorrow")


def test_status__is_plain_and_unwrapped_in_a_pipe() -> None:
    """One whole line a bot however long, no colours: for grep."""
    [_, line] = format_status(make_status(make_bot(state="failed", reason="x" * 500)), screen=PIPE, now=NOW)
    assert line.endswith("x" * 500)
    assert "\x1b" not in line


def test_status__aligns_the_columns() -> None:
    """The counters of all bots stand under each other."""
    bots = [make_bot(), make_bot(name="a-much-longer-name", state="backoff")]
    _, one, two = format_status(make_status(*bots), screen=PIPE, now=NOW)
    assert one.index("READ:") == two.index("READ:")


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"dry_run": True}, "dry run"),
        ({"degraded": ["rank", "captions"]}, "without rank, captions"),
        ({"banned_in": ["Home"]}, "banned in r/Home"),
        ({"reason": "first\nsecond"}, "first"),
        ({"last_error": "the model is gone"}, "the model is gone"),
        ({"reason": "now", "last_error": "earlier"}, "now"),
    ],
)
def test_status__ends_with_what_is_to_be_known(changes: dict[str, Any], note: str) -> None:
    """One line, whatever an error message holds; the reason of the state wins over the last error."""
    [_, line] = format_status(make_status(make_bot(**changes)), screen=PIPE, now=NOW)
    assert line.endswith(f"SPEND=0%  {note}")


@pytest.mark.parametrize(("key", "start"), [("paused_until", "until "), ("next_post_at", "next post ")])
def test_status__shows_times_to_the_minute(key: str, start: str) -> None:
    """In the operator's own zone, so the hour is not looked at here."""
    [_, line] = format_status(make_status(make_bot(**{key: "2026-11-24T10:20:30+00:00"})), screen=PIPE, now=NOW)
    note = line.split("SPEND=0%  ")[1]
    assert note.startswith(start)
    assert len(note) == len(start) + len("2026-11-24 10:20")


BARE = "iama  running   READ: submissions=0 comment=0 | WRITE: post=0 reply=0 | SPEND=0%"


def show(*bots: dict[str, Any], width: int, **daemon: Any) -> list[str]:
    lines = format_status(make_status(*bots, **daemon), screen=Screen(width=width, has_colours=True), now=NOW)
    return [click.unstyle(line) for line in lines]


def test_status__puts_notes_behind_where_they_fit() -> None:
    """To the last cell."""
    bot = make_bot(last_error="the model is gone")
    whole = f"{BARE}  the model is gone"
    assert show(bot, width=len(whole))[1:] == [whole]
    assert show(bot, width=len(whole) - 1)[1:] == [BARE, "    the model is gone"]


def test_status__wraps_long_notes_below_by_words() -> None:
    """Why a bot failed is the last thing that may be cut."""
    lines = show(make_bot(state="failed", reason="the account is suspended: " + "look at it " * 9), width=82)
    assert lines[2] == "    the account is suspended: look at it look at it look at it look at it look at"
    assert " ".join(line.strip() for line in lines[2:]).endswith("look at it")


def test_status__has_short_columns_on_a_narrow_terminal() -> None:
    """All that the long line says, in 40 cells."""
    bot = make_bot(name="a-character", read={"submissions": 12, "comments": 340}, write={"posts": 1, "replies": 7})
    assert show(bot, make_bot(), width=40)[1:] == [
        "BOT        STATE      READ  WRITE  SPEND",
        "a-ch…cter  running  12/340    1/7     0%",
        "iama       running     0/0    0/0     0%",
    ]


def test_status__cuts_names_in_the_middle() -> None:
    """A hundred bots with one beginning are told apart by their ends."""
    bots = [make_bot(name=f"a-very-long-name-of-some-project-bot-{number:03}") for number in range(100)]
    rows = show(*bots, width=60)[2:]
    assert [row.split()[0][-3:] for row in rows] == [f"{number:03}" for number in range(100)]
    assert max(map(len, rows)) <= 60


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(20, 250),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    reason=st.text(max_size=200),
    error=st.sampled_from(["", "模型不见了" * 30, "a👩‍👩‍👧b é" * 20, "x" * 300, "\x1b[2J\r\n"]),
    state=st.sampled_from(["running", "failed", "backoff", "dreaming"]),
)
def test_status__never_leaves_the_screen(width: int, name: str, reason: str, error: str, state: str) -> None:
    """No line is wider than the terminal, wide characters counted as two, whatever strangers wrote."""
    bot = make_bot(name=name, state=state, reason=reason, last_error=error, next_post_at="2026-11-25T10:20:30+00:00")
    service = {"name": "hf", "role": "rank", "state": "gone", "until": None, "last_error": error}
    for line in show(bot, make_bot(), width=width, services=[service]):
        assert cell_len(line) <= width
        assert not set(line) & {"\x1b", "\r", "\n", "\u202e"}


def test_status__keeps_strangers_from_the_terminal_in_a_pipe_too() -> None:
    """Control characters of an error message are replaced."""
    [_, line] = format_status(make_status(make_bot(last_error="a\x1b[2Jb\u202ec")), screen=PIPE, now=NOW)
    assert line.endswith("a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c")


def test_status__without_bots_says_how_to_get_one() -> None:
    """The first thing that is seen after the installation."""
    assert "hotshotctl init NAME" in format_status(make_status(), screen=PIPE, now=NOW)[1]


def test_status__shows_the_hour_alone_of_a_time_today() -> None:
    """On a terminal, where room is short."""
    today = make_bot(next_post_at=(NOW + timedelta(seconds=30)).isoformat())
    assert show(today, width=200)[1].endswith(f"  next post {NOW.astimezone():%H:%M}")
    later = make_bot(next_post_at="2026-12-30T12:00:00+00:00")
    assert "next post 2026-12-30 " in show(later, width=200)[1]


def test_status__is_coloured_on_a_terminal_only() -> None:
    """Green runs, red failed; an unknown state of a newer daemon has no colour."""
    lines = format_status(
        make_status(make_bot(), make_bot(state="failed"), make_bot(state="dreaming")),
        screen=Screen(width=200, has_colours=True),
        now=NOW,
    )
    assert "\x1b[32mrunning" in lines[1]
    assert "\x1b[31mfailed" in lines[2]
    assert "dreaming" in lines[3]


def test_status__lists_services_that_are_not_well() -> None:
    """Those that are well need no line."""
    services = [
        {"name": "groq", "role": "text", "state": "ok", "until": None, "last_error": None},
        {"name": "hf", "role": "rank", "state": "gone", "until": None, "last_error": "404"},
    ]
    assert format_status(make_status(services=services), screen=PIPE, now=NOW)[2:] == ["service hf (rank): gone: 404"]


def make_quota(*bots: dict[str, Any]) -> dict[str, Any]:
    return {
        "day": "2026-11-24",
        "timezone": "UTC",
        "resets_at": "2026-11-25T00:00:00+00:00",
        "daily_total": {"spend": 5, "cap": 100},
        "monthly_total": {"spend": 50, "cap": None},
        "bots": list(bots),
    }


def make_budget(**changes: Any) -> dict[str, Any]:
    budget = {"name": "iama", "characters": 5, "budget": 10, "left": 5, "percent": 50, "requests": 1}
    return {**budget, "characters_received": 7, "seconds": 1.0, **changes}


FREE = make_budget(name="free", budget=None, left=None, percent=None, seconds=0.25)


def test_quota__shows_caps_and_budgets() -> None:
    """Unlimited is said, not shown as None; in a pipe in whole sentences."""
    lines = format_quota(make_quota(make_budget(), FREE), screen=PIPE)
    assert lines[0].startswith("day 2026-11-24 (UTC), until 2026-11-2")
    assert lines[1:] == [
        "all bots today: 5 of 100 characters",
        "all bots this month: 50 characters",
        "iama  5 characters of 10 (50%, 5 left); 1 requests, 7 characters received, 1.0 s",
        "free  5 characters of unlimited; 1 requests, 7 characters received, 0.2 s",
    ]


def test_quota__has_columns_on_a_terminal() -> None:
    """The same figures under each other; the last columns go first where room is short."""
    wide = format_quota(make_quota(make_budget(), FREE), screen=Screen(width=100))
    assert wide[3:] == [
        "BOT   SPENT         OF       LEFT  REQUESTS  RECEIVED  SECONDS",
        "iama      5         10  50%     5         1         7      1.0",
        "free      5  unlimited    -     -         1         7      0.2",
    ]
    narrow = format_quota(make_quota(make_budget(), FREE), screen=Screen(width=40))
    assert narrow[-1] == "free      5  unlimited    -     -"


def test_quota__without_figures_says_so() -> None:
    """The quota process has just been started."""
    assert format_quota({}, screen=PIPE) == ["the quota process has not answered yet"]
