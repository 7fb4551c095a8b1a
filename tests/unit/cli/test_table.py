"""What the operator sees: the line users of the first program know, notes that fit, and plain text in a pipe."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.cli.table import format_counters, format_quota, format_status


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
    assert format_status(make_status(), width=None) == ["hotshotd 1.0, pid 1, up 1:02:05"]
    damaged = make_status(quota={"pid": 2, "state": "damaged", "message": "no grants until tomorrow"})
    assert format_status(damaged, width=None)[0].endswith("; quota: damaged no grants until tomorrow")


def test_status__is_plain_and_unwrapped_in_a_pipe() -> None:
    """One whole line a bot however long, no colours: for grep."""
    [_, line] = format_status(make_status(make_bot(state="failed", reason="x" * 500)), width=None)
    assert line.endswith("x" * 500)
    assert "\x1b" not in line


def test_status__aligns_the_columns() -> None:
    """The counters of all bots stand under each other."""
    bots = [make_bot(), make_bot(name="a-much-longer-name", state="backoff")]
    _, one, two = format_status(make_status(*bots), width=None)
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
    [_, line] = format_status(make_status(make_bot(**changes)), width=None)
    assert line.endswith(f"SPEND=0%  {note}")


@pytest.mark.parametrize(("key", "start"), [("paused_until", "until "), ("next_post_at", "next post ")])
def test_status__shows_times_to_the_minute(key: str, start: str) -> None:
    """In the operator's own zone, so the hour is not looked at here."""
    [_, line] = format_status(make_status(make_bot(**{key: "2026-11-24T10:20:30+00:00"})), width=None)
    note = line.split("SPEND=0%  ")[1]
    assert note.startswith(start)
    assert len(note) == len(start) + len("2026-11-24 10:20")


@pytest.mark.parametrize("width", [10, 80, 84, 90, 100, 200])
def test_status__never_wraps_on_a_terminal(width: int) -> None:
    """Notes are cut to the width with an ellipsis; the counters themselves never are."""
    bot = make_bot(last_error="e" * 150)
    [_, line] = format_status(make_status(bot), width=width)
    shown = line.replace("\x1b[32m", "").replace("\x1b[0m", "")
    bare = "iama  running   READ: submissions=0 comment=0 | WRITE: post=0 reply=0 | SPEND=0%"
    assert shown.startswith(bare)
    assert len(shown) <= max(width, len(bare))
    assert ("…" in shown) == (width in (90, 100, 200) and width - len(bare) - 2 > 8 and width < len(bare) + 152)


def test_status__is_coloured_on_a_terminal_only() -> None:
    """Green runs, red failed; an unknown state of a newer daemon has no colour."""
    lines = format_status(make_status(make_bot(), make_bot(state="failed"), make_bot(state="dreaming")), width=200)
    assert "\x1b[32mrunning" in lines[1]
    assert "\x1b[31mfailed" in lines[2]
    assert "dreaming" in lines[3]


def test_status__lists_services_that_are_not_well() -> None:
    """Those that are well need no line."""
    services = [
        {"name": "groq", "role": "text", "state": "ok", "until": None, "last_error": None},
        {"name": "hf", "role": "rank", "state": "gone", "until": None, "last_error": "404"},
    ]
    assert format_status(make_status(services=services), width=None)[1:] == ["service hf (rank): gone: 404"]


def test_quota__shows_caps_and_budgets() -> None:
    """Unlimited is said, not shown as None."""
    bot = {"characters": 5, "budget": 10, "left": 5, "percent": 50, "requests": 1, "characters_received": 7}
    free = {**bot, "name": "free", "budget": None, "left": None, "percent": None, "seconds": 0.25}
    lines = format_quota(
        {
            "day": "2026-11-24",
            "timezone": "UTC",
            "resets_at": "2026-11-25T00:00:00+00:00",
            "daily_total": {"spend": 5, "cap": 100},
            "monthly_total": {"spend": 50, "cap": None},
            "bots": [{**bot, "name": "iama", "seconds": 1.0}, free],
        }
    )
    assert lines[0].startswith("day 2026-11-24 (UTC), until 2026-11-2")
    assert lines[1:] == [
        "all bots today: 5 of 100 characters",
        "all bots this month: 50 characters",
        "iama  5 characters of 10 (50%, 5 left); 1 requests, 7 characters received, 1.0 s",
        "free  5 characters of unlimited; 1 requests, 7 characters received, 0.2 s",
    ]


def test_quota__without_figures_says_so() -> None:
    """The quota process has just been started."""
    assert format_quota({}) == ["the quota process has not answered yet"]
