"""Scheduled posts and those asked for: one at a time, and which slot follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from virtual import NOON

from hotshotd.brain.trace import Step
from hotshotd.errors import InferenceGone

Perform = Callable[..., None]
EVERY = {"every": "6h"}
OTHER = "Title: A second pond\n\nThis one has newts, and I have names for them."


def _due(stage: Any) -> list[float]:
    """Give when each post that was planned is due, in hours from noon."""
    return [round((when - NOON) / timedelta(hours=1), 2) for when, _ in stage.tasks.planned]


def test_now__moves_a_schedule_of_intervals(perform: Perform) -> None:
    """The next one is due an interval after this one."""

    async def act(stage: Any) -> None:
        stage.posting.last_post_at = NOON - timedelta(hours=4)
        stage.posts.plan(catch_up=True)
        await asyncio.sleep(3600)
        await stage.posts.make_now(dry_run=False, tell=lambda _: None)
        assert _due(stage) == [2.0, 7.0]
        assert stage.link.reported["next_post_at"].startswith("2026-11-24T19:00")

    perform(act, schedule=EVERY)


@pytest.mark.parametrize(("schedule", "dry_run"), [(["15:00"], False), (EVERY, True)])
def test_now__leaves_a_slot_of_the_clock_and_any_after_a_dry_run(
    perform: Perform, schedule: Any, dry_run: bool
) -> None:
    """Nothing is planned anew."""

    async def act(stage: Any) -> None:
        await stage.posts.make_now(dry_run=dry_run, tell=lambda _: None)
        assert _due(stage) == []

    perform(act, schedule=schedule)


def test_now__waits_for_a_scheduled_post_and_says_so(perform: Perform) -> None:
    """Two are made one after the other, in the order in which they were begun."""

    async def act(stage: Any) -> None:
        steps: list[Step] = []
        stage.posts.plan(catch_up=True)
        [(_, job)] = stage.tasks.planned
        scheduled = asyncio.create_task(job())
        await asyncio.sleep(0)
        await stage.posts.make_now(dry_run=False, tell=steps.append)
        await scheduled
        assert stage.titles() == ["A pond at noon", "A second pond"]
        assert steps[0].name == "waiting"
        starts = [when for when, name, what in stage.platform.calls if (name, what) == ("own", "submission")]
        writes = stage.platform.times("post")
        assert starts[0] < writes[0] <= starts[1] < writes[1]

    perform(act, "Title: A pond at noon\n\nNothing moved but the water. I counted it twice.", OTHER, schedule=EVERY)


@pytest.mark.parametrize(("schedule", "made"), [(EVERY, 1), (["12:00"], 2)])
def test_scheduled__that_waited_for_one_asked_for(perform: Perform, schedule: Any, made: int) -> None:
    """An interval begins anew with that one; a slot of the clock is made all the same."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        asked = asyncio.create_task(stage.posts.make_now(dry_run=False, tell=lambda _: None))
        await asyncio.sleep(0.5)
        await stage.tasks.planned[0][1]()
        await asked
        assert len(stage.titles()) == made
        assert _due(stage)[-1] == (6.0 if schedule is EVERY else 24.0)

    perform(act, "Title: A pond at noon\n\nNothing moved but the water. I counted it twice.", OTHER, schedule=schedule)


def test_scheduled__that_waited_for_one_that_failed_is_made(perform: Perform) -> None:
    """Nothing was posted, so the slot is still due."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        asked = asyncio.create_task(stage.posts.make_now(dry_run=False, tell=lambda _: None))
        await asyncio.sleep(0.5)
        await stage.tasks.planned[0][1]()
        await asked
        assert stage.titles() == ["A second pond"]

    perform(act, InferenceGone("404", status=404), OTHER, schedule=EVERY, tries=1)


def test_now__that_crashes_is_a_failed_post(perform: Perform) -> None:
    """It ends in one `post.done`, like any other, and the next one can be made."""

    async def act(stage: Any) -> None:
        verdict = await stage.posts.make_now(dry_run=False, tell=lambda _: None)
        assert (verdict.outcome, verdict.why) == ("failed", "error")
        assert stage.link.ends("post.done") == [("failed", "error")]
        await stage.posts.make_now(dry_run=False, tell=lambda _: None)
        assert stage.titles() == ["A second pond"]

    perform(act, ZeroDivisionError("inside"), OTHER)


def test_plan__says_once_which_slot_is_too_old_to_be_made(perform: Perform) -> None:
    """Nothing else tells an operator why there is no post; the latest of many is named."""

    async def act(stage: Any) -> None:
        stage.posting.last_post_at = NOON - timedelta(days=2)
        stage.posts.plan(catch_up=True)
        stage.posts.plan(catch_up=True)
        assert stage.link.events == [("post.missed", {"slot": "2026-11-24T09:00", "late_seconds": 3 * 3600})]
        assert _due(stage)[-1] == 21.0

    perform(act, schedule=["09:00"])


def test_scheduled__says_which_slot_passed_while_it_was_made(perform: Perform) -> None:
    """A model that took seven minutes leaves no room for the post of five minutes later, and the log tells it."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        [(_, job)] = stage.tasks.planned
        await asyncio.gather(job(), asyncio.sleep(420))
        ends = [what for what in stage.link.events if what[0] == "post.missed"]
        assert stage.titles() == ["A second pond"]
        assert ends == [("post.missed", {"slot": "2026-11-24T12:05", "late_seconds": 120})]
        assert _due(stage)[-1] == 24.0

    perform(act, OTHER, schedule=["12:00", "12:05"], seconds=420.0)


@pytest.mark.parametrize(
    ("last_post_hours", "post"),
    [
        (None, {}),
        (-2.9, {}),
        (-48, {"catch_up": "4h"}),
        (-48, {"schedule": EVERY}),
        (-24 * 30, {"schedule": {"cron": "0 9 1 * *"}}),
    ],
    ids=["new", "made", "made late", "interval", "long ago"],
)
def test_plan__has_nothing_to_say_of_a_slot(
    perform: Perform, last_post_hours: float | None, post: dict[str, Any]
) -> None:
    """A new bot, a slot that was served or will be, a schedule without slots, and what nobody waits for any more."""

    async def act(stage: Any) -> None:
        if last_post_hours is not None:
            stage.posting.last_post_at = NOON + timedelta(hours=last_post_hours)
        stage.posts.plan(catch_up=True)
        stage.posts.plan(catch_up=False)
        assert stage.link.events == []

    perform(act, **{"schedule": ["09:00"]} | post)


def test_plan__after_a_post_says_nothing(perform: Perform) -> None:
    """Only a start and a `resume` look back."""

    async def act(stage: Any) -> None:
        stage.posting.last_post_at = NOON - timedelta(days=2)
        stage.posts.plan(catch_up=False)
        assert stage.link.events == []

    perform(act, schedule=["09:00"])


def test_plan__of_a_quiet_bot_plans_nothing(perform: Perform) -> None:
    """Neither after a post."""

    async def act(stage: Any) -> None:
        stage.quiet.append(("paused", "x"))
        stage.posts.plan(catch_up=True)
        assert _due(stage) == []

    perform(act, schedule=EVERY)


@pytest.mark.parametrize("schedule", [EVERY, ["12:00"]])
def test_scheduled__that_was_planned_anew_meanwhile(perform: Perform, schedule: Any) -> None:
    """A `resume` plans the slot again whose post is on its way: it is made once."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        stage.posts.plan(catch_up=True)
        [(_, first), (_, second)] = stage.tasks.planned
        await first()
        await second()
        assert stage.titles() == ["A pond at noon"]

    perform(act, "Title: A pond at noon\n\nNothing moved but the water. I counted it twice.", OTHER, schedule=schedule)


@pytest.mark.parametrize(("at", "next_hours"), [("12:00", 24.0), ("15:00", 27.0)])
def test_plan__leaves_out_a_slot_that_was_made(perform: Perform, at: str, next_hours: float) -> None:
    """Whatever the time of the newest post says: that one was made by another clock."""

    async def act(stage: Any) -> None:
        stage.posting.memory.add(f"2026-11-24T{at}")
        stage.posting.last_post_at = NOON - timedelta(hours=3)
        stage.posts.plan(catch_up=True)
        assert _due(stage) == [next_hours]
        assert stage.link.events == []

    perform(act, schedule=[at])


def test_plan__remembers_the_slot_that_another_worker_made(perform: Perform) -> None:
    """It may have died before it could; the time of the newest post still tells."""

    async def act(stage: Any) -> None:
        stage.posting.last_post_at = NOON + timedelta(seconds=1)
        stage.posts.plan(catch_up=True)
        assert "2026-11-24T12:00" in stage.posting.memory

    perform(act)


@pytest.mark.parametrize("dry_run", [False, True])
def test_scheduled__that_is_made_is_remembered_and_a_dry_run_is_not(perform: Perform, dry_run: bool) -> None:
    """What nobody has published is made once the bot may."""

    async def act(stage: Any) -> None:
        stage.posting._config = stage.posting._config.model_copy(update={"dry_run": dry_run})
        stage.posts.plan(catch_up=True)
        await stage.tasks.planned.pop()[1]()
        stage.posts.plan(catch_up=True)
        assert stage.posting.memory.made == ([] if dry_run else ["2026-11-24T12:00"])

    perform(act)


@pytest.mark.parametrize("hours", [-20, 20])
def test_follow_clock__an_interval_ends_when_it_would_have(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Whatever the clock is set to: the newest post is as old as it is."""

    async def act(stage: Any) -> None:
        stage.posting.last_post_at = NOON - timedelta(hours=4)
        now = stage.clock.now
        monkeypatch.setattr(stage.clock, "now", lambda: now() + timedelta(hours=hours))
        stage.posts.follow_clock()
        assert _due(stage) == [hours + 2.0]

    perform(act, schedule=EVERY)


def test_follow_clock__a_slot_that_was_not_made_is_still_to_be(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the clock has brought before it was set back are left out, and no others."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        await stage.tasks.planned.pop()[1]()
        now = stage.clock.now
        monkeypatch.setattr(stage.clock, "now", lambda: now() - timedelta(hours=20))
        for _ in range(2):
            stage.posts.follow_clock()
        assert _due(stage)[-1] == -3.0
        monkeypatch.setattr(stage.clock, "now", lambda: now() - timedelta(hours=1))
        stage.posts.follow_clock()
        assert _due(stage)[-1] == 21.0

    perform(act, schedule=["09:00", "12:00"])
