"""Own comments that fell to a score are deleted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fakes import Diary, MemoryPlatform, make_comment
from virtual import VirtualClock, run

from hotshotd.brain.manners import delete_unwanted
from hotshotd.brain.writing import Writer
from hotshotd.errors import BotPaused, Down, Refused, Unknown
from hotshotd.platform import Ref


@dataclass
class Garden:
    """A bot's own comments, and who may delete them."""

    platform: MemoryPlatform
    writer: Writer
    diary: Diary

    async def tidy(self) -> list[Ref]:
        return await delete_unwanted(self.platform, self.writer, at_or_under=-3, deadline=600.0, news=self.diary)


def perform(act: Callable[[Garden], Coroutine[Any, Any, None]], scores: dict[str, int | None]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        platform.comments = [replace(make_comment(clock, ref), score=score) for ref, score in scores.items()]
        await act(Garden(platform, Writer(platform, clock, confirm_after=(2.0,)), Diary()))

    run(main())


def test_delete_unwanted__takes_what_fell_to_the_limit_and_nothing_else() -> None:
    """At or under the limit; a score that is not told is no reason. One listing for all."""

    async def act(garden: Garden) -> None:
        deleted = await garden.tidy()
        assert sorted(deleted) == ["t1_at", "t1_under"]
        assert sorted(garden.platform.deleted) == ["t1_at", "t1_under"]
        assert garden.platform.times("own") == [0.0]
        facts = {"thing": "t1_at", "score": -3, "place": "bots"}
        assert ("comment.deleted", facts) in garden.diary.events

    perform(act, {"t1_over": -2, "t1_at": -3, "t1_under": -40, "t1_hidden": None})


@pytest.mark.parametrize("error", [Refused("no", why="forbidden"), Unknown("lost")])
def test_delete_unwanted__one_that_is_refused_does_not_keep_the_others(error: Exception) -> None:
    """It is said, and taken up again by the next call."""

    async def act(garden: Garden) -> None:
        garden.platform.script = {"delete": [error]}
        assert len(await garden.tidy()) == 1
        assert len(garden.diary.troubles) == 1
        assert len(await garden.tidy()) == 2

    perform(act, {"t1_a": -3, "t1_b": -3})


def test_delete_unwanted__reddit_away_ends_it() -> None:
    """What concerns all calls is left to the caller, who waits."""

    async def act(garden: Garden) -> None:
        garden.platform.script = {"delete": [Down("away")]}
        with pytest.raises(Down):
            await garden.tidy()
        assert garden.platform.deleted == []

    perform(act, {"t1_a": -3})


def test_delete_unwanted__deletes_nothing_while_the_bot_is_paused() -> None:
    """A deletion is a write: a pause stops it."""

    async def act(garden: Garden) -> None:
        garden.writer.close()
        with pytest.raises(BotPaused):
            await garden.tidy()
        assert garden.platform.deleted == []

    perform(act, {"t1_a": -3})
