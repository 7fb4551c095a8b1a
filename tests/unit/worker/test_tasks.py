"""Timed jobs of a worker: each once at a time, none lost, whatever happens to the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from hotshotd.worker.tasks import Tasks


def perform(act: Callable[[Tasks], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        tasks = Tasks(on_dead=lambda reason: None)
        tasks.start()
        try:
            await asyncio.wait_for(act(tasks), 20)
        finally:
            tasks.close()

    asyncio.run(main())


def now() -> datetime:
    return datetime.now(UTC)


def test_plan__a_job_that_plans_itself_for_at_once_comes_again_and_again() -> None:
    """Its successor begins while it is still ending: it must not be dropped, nor run beside it."""

    async def act(tasks: Tasks) -> None:
        done = asyncio.Event()
        running, rounds = 0, 0

        async def job() -> None:
            nonlocal running, rounds
            running += 1
            assert running == 1
            rounds += 1
            if rounds < 20:
                tasks.plan("poll", job, now())
            else:
                done.set()
            await asyncio.sleep(0)
            running -= 1

        tasks.plan("poll", job, now())
        await done.wait()
        assert rounds == 20

    perform(act)


def test_plan__takes_the_place_of_the_job_of_its_name() -> None:
    """What was planned before under the name does not run."""

    async def act(tasks: Tasks) -> None:
        ran: list[str] = []
        done = asyncio.Event()

        async def job(name: str) -> None:
            ran.append(name)
            done.set()

        tasks.plan("poll", lambda: job("old"), now() + timedelta(seconds=0.05))
        tasks.plan("poll", lambda: job("new"), now())
        await done.wait()
        await asyncio.sleep(0.1)
        assert ran == ["new"]

    perform(act)


def test_follow_clock__a_job_comes_as_soon_as_it_would_have() -> None:
    """The clock was set back by an hour: what was planned for now is not an hour away; a time of day stays."""

    async def act(tasks: Tasks) -> None:
        ran: list[str] = []
        done = asyncio.Event()

        async def poll() -> None:
            ran.append("poll")
            done.set()

        async def post() -> None:
            ran.append("post")

        # As planned by the clock before it was set back.
        for name, job in (("poll", poll), ("post", post)):
            tasks.plan(name, job, now() + timedelta(hours=1))
        tasks.follow_clock(timedelta(hours=-1), but=("post",))
        await done.wait()
        assert ran == ["poll"]

    perform(act)


def test_drop_work__drops_what_waits_for_its_turn() -> None:
    """A successor that waits for the job before it is planned work: a pause drops it."""

    async def act(tasks: Tasks) -> None:
        begun, let_go = asyncio.Event(), asyncio.Event()
        ran: list[str] = []

        async def first() -> None:
            begun.set()
            try:
                await let_go.wait()
            finally:
                ran.append("first ended")

        async def second() -> None:
            ran.append("second")

        tasks.plan("poll", first, now(), task_name="poll")
        await begun.wait()
        tasks.plan("poll", second, now())
        await asyncio.sleep(0.05)
        tasks.drop_work(but=None)
        let_go.set()
        await asyncio.sleep(0.05)
        assert ran == ["first ended"]

    perform(act)
