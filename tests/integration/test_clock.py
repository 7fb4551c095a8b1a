"""A real daemon whose clock is wrong by hours, as a Raspberry Pi's is until the network tells the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import PLACE, World, wait_until

#: Debian's libfaketime: the daemon's wall clock is wrong, and what it measures waits with is right.
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (apt-get install libfaketime)")

POST = 'post: {schedule: ["12:00"], backend: hf, model: duck-gpt2}'


def set_clock(world: World, offset: timedelta) -> dict[str, str]:
    """Set the clock of the daemons of a world; give what a daemon needs to go by it."""
    fresh = world.folder / "clock.new"
    fresh.write_text(f"{offset.total_seconds():+.0f}\n")
    fresh.rename(world.folder / "clock")
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(world.folder / "clock"),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


def test_clock__that_is_ahead_makes_nothing_too_old(world: World) -> None:
    """Who spoke to the bot an instant ago is answered; once the clock is set right, the next one is, too."""
    text = world.add_bot("duck", more="")
    world.bot_file("duck").write_text(text.replace("interval: 1s", "interval: 1s, inbox_lookback: 1h"))
    post = world.forum.submit("ann", PLACE, "Ponds")
    first = world.forum.comment("ann", post.fullname, "Are you there, u/duck?")
    daemon = world.start(environ=set_clock(world, timedelta(hours=3)))
    daemon.wait_event("item.done", thing=first.fullname, outcome="replied")
    set_clock(world, timedelta())
    second = world.forum.comment("ann", post.fullname, "Still there, u/duck?")
    daemon.wait_event("item.done", thing=second.fullname, outcome="replied")
    assert daemon.count_events("item.done", reason="too_old") == 0


def test_slot__that_a_clock_has_brought_is_made_once(world: World) -> None:
    """It comes again, for the clock is set back while the daemon is down; that the slot was made is not forgotten."""
    world.add_bot("duck", post=POST)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)

    def start_before_noon() -> Any:
        daemon = world.start(environ=set_clock(world, noon - timedelta(seconds=5) - datetime.now(UTC)))
        return daemon, wait_until(lambda: daemon.bot("duck").get("next_post_at"), what="a plan")

    daemon, _ = start_before_noon()
    daemon.wait_event("post.done", outcome="published", slot=f"{noon:%Y-%m-%dT%H:%M}")
    daemon.kill()
    daemon.end()
    _, planned = start_before_noon()
    assert datetime.fromisoformat(planned) == noon + timedelta(days=1)
