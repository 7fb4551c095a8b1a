"""Writes happen once: what is done after each kind of outcome, second by second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from fakes import ARRIVES, VANISHES, MemoryPlatform, make_comment
from virtual import VirtualClock, run

from hotshotd.brain.writing import SETTLING_SECONDS, DeadlinePassed, Writer, find_submission
from hotshotd.errors import BotPaused, Down, Refused, Retry, Unknown
from hotshotd.platform import Draft, Item

T = TypeVar("T")
DRAFT = Draft("bots", "A title", "A text.")


def with_writer(act: Callable[[Writer, MemoryPlatform, VirtualClock], Awaitable[T]]) -> T:
    """Run `act` with a writer that looks after 2 and 10 seconds."""

    async def main() -> T:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        return await act(Writer(platform, clock, confirm_after=(2.0, 10.0)), platform, clock)

    return run(main())


def new_comment(clock: VirtualClock, ref: str = "t1_one") -> Item:
    """Give a comment younger than the writer, for which no settling look is made."""
    return make_comment(clock, ref, created_at=clock.now() + timedelta(minutes=1))


def test_reply__whose_answer_is_lost_is_found_and_not_sent_again() -> None:
    """An unknown outcome is followed by a look; what is found there is the result."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [ARRIVES]
        ref = await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert [ref] == [item.ref for item in platform.comments]
        assert (platform.times("reply"), platform.times("own")) == ([0.0], [2.0])

    with_writer(act)


def test_reply__that_vanished_is_sent_once_more_after_every_look() -> None:
    """Looks come after each of confirm_after; only then one more try."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [VANISHES]
        await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert (platform.times("reply"), platform.times("own")) == ([0.0, 12.0], [2.0, 12.0])
        assert len(platform.comments) == 1

    with_writer(act)


def test_reply__is_looked_for_before_each_further_try() -> None:
    """Two lost writes mean two rounds of looks."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [VANISHES, ARRIVES]
        await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert (platform.times("reply"), platform.times("own")) == ([0.0, 12.0], [2.0, 12.0, 14.0])
        assert len(platform.comments) == 1

    with_writer(act)


@pytest.mark.parametrize("failure", [Down("away"), Retry("slow down", after=5.0)])
def test_reply__is_not_sent_again_while_looks_fail(failure: Exception) -> None:
    """A failed look is no look: the last one before a second write has succeeded."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script = {"reply": [ARRIVES], "own": [failure] * 4}
        await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert len(platform.times("reply")) == 1
        assert len(platform.times("own")) == 5
        assert len(platform.comments) == 1

    with_writer(act)


def test_reply__stays_unknown_when_no_look_succeeds_in_time() -> None:
    """At the deadline an outcome that nobody could look up is Unknown, and was tried once."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script = {"reply": [VANISHES], "own": [Down("away")] * 100}
        with pytest.raises(Unknown):
            await writer.reply(new_comment(clock), "Tall.", deadline=100)
        assert platform.times("reply") == [0.0]
        assert clock.monotonic() <= 100

    with_writer(act)


def test_post__whose_answer_is_lost_is_found_by_place_and_title() -> None:
    """The same rule for submissions."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["post"] = [ARRIVES]
        ref = await writer.post(DRAFT, deadline=900)
        assert [ref] == [item.ref for item in platform.submissions]
        assert platform.times("post") == [0.0]

    with_writer(act)


def test_retry__holds_every_write_until_it_is_over() -> None:
    """A wait that one write was told of holds the others too; nothing is sent meanwhile."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [Retry("RATELIMIT", after=300.0)]
        await asyncio.gather(
            writer.reply(new_comment(clock, "t1_one"), "Tall.", deadline=900),
            writer.reply(new_comment(clock, "t1_two"), "Small.", deadline=900),
            writer.post(DRAFT, deadline=900),
        )
        assert platform.times("reply") == [0.0, 300.0, 300.0]
        assert platform.times("post") == [300.0]
        assert platform.times("own") == []

    with_writer(act)


def test_retry__past_the_deadline_ends_at_once() -> None:
    """Nobody waits for a moment that comes too late."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [Retry("RATELIMIT", after=300.0)]
        with pytest.raises(DeadlinePassed):
            await writer.reply(new_comment(clock), "Tall.", deadline=200)
        assert clock.monotonic() == 0.0
        assert writer.held_seconds == 300.0

    with_writer(act)


def test_deadline__that_passes_in_the_queue_keeps_the_write_back() -> None:
    """A write that waited too long for another one is not sent."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [50.0]
        first = writer.reply(new_comment(clock, "t1_one"), "Tall.", deadline=900)
        second = writer.reply(new_comment(clock, "t1_two"), "Small.", deadline=30)
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert isinstance(results[1], DeadlinePassed)
        assert platform.times("reply") == [0.0]

    with_writer(act)


def test_down__is_tried_again_with_growing_pauses() -> None:
    """Nothing was written, so no look is needed; the pauses double from 2 s."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [Down("away")] * 4
        await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert platform.times("reply") == [0.0, 2.0, 6.0, 14.0, 30.0]
        assert platform.times("own") == []

    with_writer(act)


def test_down__until_the_deadline_writes_nothing() -> None:
    """Where the platform never comes back the item ends in time."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [Down("away")] * 100
        with pytest.raises(DeadlinePassed):
            await writer.reply(new_comment(clock), "Tall.", deadline=100)
        assert platform.comments == []
        assert clock.monotonic() <= 100

    with_writer(act)


def test_refused__is_not_tried_again() -> None:
    """A refusal is for good, and leaves the writer free for the next one."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [Refused("locked", why="locked")]
        with pytest.raises(Refused):
            await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert await writer.post(DRAFT, deadline=900)
        assert (platform.times("reply"), writer.under_way) == ([0.0], None)

    with_writer(act)


def test_close__sends_nothing_until_open() -> None:
    """A pause holds every write that has not been sent."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        writer.close()
        with pytest.raises(BotPaused):
            await writer.reply(new_comment(clock), "Tall.", deadline=900)
        assert platform.calls == []
        writer.open()
        assert await writer.reply(new_comment(clock), "Tall.", deadline=900)

    with_writer(act)


@pytest.mark.parametrize(("outcome", "written"), [(ARRIVES, 1), (VANISHES, 0)])
def test_close__lets_the_write_under_way_find_its_outcome(outcome: str, written: int) -> None:
    """Who pauses can wait for the task; it looks, and sends nothing more."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [outcome]
        task = asyncio.create_task(writer.reply(new_comment(clock), "Tall.", deadline=900))
        await asyncio.sleep(1)
        assert (writer.under_way, writer.under_way_task) == ("the reply to t1_one", task)
        writer.close()
        await asyncio.wait([task])
        assert isinstance(task.exception(), BotPaused) is (written == 0)
        assert (len(platform.comments), writer.under_way) == (written, None)
        assert platform.times("reply") == [0.0]

    with_writer(act)


@pytest.mark.parametrize(("outcome", "written"), [(30.0, 1), (ARRIVES, 1), (VANISHES, 0)])
def test_cancel__in_the_write_lets_it_find_its_outcome(outcome: object, written: int) -> None:
    """What was written is the task's result; else it ends as cancelled, not sent again. Others write on meanwhile."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [outcome]
        task = asyncio.create_task(writer.reply(new_comment(clock), "Tall.", deadline=900))
        other = asyncio.create_task(writer.post(DRAFT, deadline=900))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert writer.under_way_task is task
        writer.cancel(task)
        await asyncio.wait([task, other])
        assert task.cancelled() is (written == 0)
        assert (len(platform.comments), len(platform.times("reply"))) == (written, 1)
        assert other.result()

    with_writer(act)


def test_cancel__while_another_writes_cuts_off_the_wait_only() -> None:
    """It waits for its turn, so it is cancelled at once; the write under way is not concerned."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script["reply"] = [30.0]
        other = asyncio.create_task(writer.reply(new_comment(clock), "Tall.", deadline=900))
        task = asyncio.create_task(writer.post(DRAFT, deadline=900))
        await asyncio.sleep(1)
        writer.cancel(task)
        await asyncio.wait([task])
        assert (task.cancelled(), clock.monotonic(), other.done()) == (True, 1.0, False)
        assert await other
        assert platform.times("post") == []

    with_writer(act)


def test_reply__that_the_worker_before_made_is_found_by_the_settling_look() -> None:
    """Soon after a start an older thing is looked for once more, not before listings show what was sent before it."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        item = make_comment(clock)
        earlier = await platform.reply(item, "Tall.")
        assert await writer.reply(item, "High.", deadline=900) == earlier
        assert len(platform.comments) == 1
        assert writer.has_answered(item.ref)
        assert platform.times("own") == [12.0]

    with_writer(act)


def test_reply__waits_for_a_settling_look_that_works() -> None:
    """A look that fails says nothing: the earlier answer is found by the next one, and nothing is written before."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        item = make_comment(clock)
        earlier = await platform.reply(item, "Tall.")
        platform.script = {"own": [Down("away"), Retry("slow down", after=30.0)]}
        assert await writer.reply(item, "High.", deadline=900) == earlier
        assert len(platform.comments) == 1
        assert len(platform.times("own")) == 3

    with_writer(act)


def test_reply__without_a_settling_look_in_time_writes_nothing() -> None:
    """Not knowing whether it was answered is no reason to answer."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        platform.script = {"own": [Down("away")] * 99}
        with pytest.raises(DeadlinePassed):
            await writer.reply(make_comment(clock), "High.", deadline=50)
        assert platform.comments == []

    with_writer(act)


@pytest.mark.parametrize(("seconds", "looks"), [(31.0, 0), (29.0, 1)])
def test_reply__needs_no_settling_look_for_things_newer_than_the_worker(seconds: float, looks: int) -> None:
    """By so much that no two clocks that count as one can differ."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        await clock.sleep(seconds)
        await writer.reply(replace(make_comment(clock), created_at=clock.now()), "Tall.", deadline=900)
        assert len(platform.times("own")) == looks

    with_writer(act)


def test_reply__needs_one_look_after_the_first_minute() -> None:
    """By then every listing shows what the worker before has written, and one look finds all of it."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        first, second = (make_comment(clock, ref) for ref in ("t1_one", "t1_two"))
        earlier = await platform.reply(first, "Tall.")
        await clock.sleep(SETTLING_SECONDS)
        assert await writer.reply(first, "High.", deadline=900) == earlier
        await writer.reply(second, "High.", deadline=900)
        assert len(platform.times("own")) == 1

    with_writer(act)


def test_reply__is_looked_for_whatever_the_clock_was_set_to() -> None:
    """A thing of before the start stays older than the worker when the clock is set forward, or back."""

    class SetClock(VirtualClock):
        hours = 0

        def now(self) -> datetime:
            return super().now() + timedelta(hours=self.hours)

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        clock = SetClock()
        writer = Writer(platform, clock, confirm_after=(2.0,))
        for hours in (3, -3):
            clock.hours = hours
            item = make_comment(clock, f"t1_{hours}")
            earlier = await platform.reply(item, "Tall.")
            assert await writer.reply(item, "High.", deadline=900) == earlier

    with_writer(act)


def test_reply__twice_to_one_thing_is_written_once() -> None:
    """What this worker has answered it does not answer again."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        item = make_comment(clock)
        refs = await asyncio.gather(
            writer.reply(item, "Tall.", deadline=900), writer.reply(item, "High.", deadline=900)
        )
        assert len(set(refs)) == len(platform.comments) == 1

    with_writer(act)


def test_find_submission__wants_place_and_title_and_what_was_not_there_before() -> None:
    """An older post of the same title, or one elsewhere, is another post."""

    async def act(writer: Writer, platform: MemoryPlatform, clock: VirtualClock) -> None:
        ref = await platform.post(Draft("Bots", "A title "))
        own = await platform.own(platform.submissions[0].kind)
        assert find_submission(own, DRAFT, ()) == ref
        assert find_submission(own, DRAFT, {ref}) is None
        assert find_submission(own, replace(DRAFT, place="other"), ()) is None
        assert find_submission(own, replace(DRAFT, title="Another"), ()) is None

    with_writer(act)
