"""Faults observed in other bots that a worker's loop could have: half-dead processes, hot loops of posts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fakes import Diary, MemoryPlatform, make_comment, make_config
from virtual import NOON, VirtualClock, run

from hotshotd._types import Outcome
from hotshotd.brain.pipeline import Deferred, Found
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import Writer
from hotshotd.errors import AuthDead, Down, InferenceUnavailable, Refused, Unknown
from hotshotd.platform import Notice, Reason, Ref
from hotshotd.worker import worker as worker_module
from hotshotd.worker.parts import Parts
from hotshotd.worker.tasks import WORK, Tasks
from hotshotd.worker.worker import EXIT_FATAL, Worker

DAY_SECONDS = 86_400.0


class JobTasks(Tasks):
    """Tasks whose jobs at a time are only written down: name, job and when."""

    def __init__(self, *, on_dead: Callable[[str], None]) -> None:
        super().__init__(on_dead=on_dead)
        self.jobs: dict[str, tuple[Callable[[], Coroutine[Any, Any, None]], datetime]] = {}

    def plan(
        self, name: str, job: Callable[[], Coroutine[Any, Any, None]], when: datetime, *, task_name: str = WORK
    ) -> None:
        self.jobs[name] = (job, when)


class QuietLink(Diary):
    """A link that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []
        self.reported: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def report(self, **facts: Any) -> None:
        self.reported.append(facts)


class Answers:
    """Stands for `Answering`: raises for the things that are named so."""

    def __init__(self, crashes: dict[str, Exception]) -> None:
        self._crashes = crashes
        self.handled: list[str] = []

    async def handle(self, found: Any) -> Verdict:
        await asyncio.sleep(0)
        if found.item.ref in self._crashes:
            raise self._crashes[found.item.ref]
        self.handled.append(found.item.ref)
        return Verdict(Outcome.REPLIED, Why.TOP_LEVEL, "t1_own")


class DirectCalls:
    """Calls that are made at once."""

    async def run(self, call: Callable[[], Any], *, limit_seconds: float) -> Any:
        return call()


def make_worker(
    platform: MemoryPlatform, clock: VirtualClock, answers: Answers, monkeypatch: pytest.MonkeyPatch, **reply: Any
) -> tuple[Worker, JobTasks, QuietLink]:
    monkeypatch.setattr(worker_module, "Tasks", JobTasks)
    link: Any = QuietLink()
    gate: Any = SimpleNamespace(
        stretch=lambda *, interval_seconds, requests_per_poll: interval_seconds, open_gate=lambda: None
    )
    calls: Any = DirectCalls()
    mind: Any = answers
    parts = Parts(
        config=make_config(reply={"backend": "ollama", "model": "m"} | reply, poll={"interval": "1s"}),
        zone=ZoneInfo("UTC"),
        platform=platform,
        leave=lambda _: None,
        requests_per_poll=3,
        gate=gate,
        clock=clock,
        calls=calls,
        link=link,
        writer=Writer(platform, clock, confirm_after=(2.0, 10.0)),
        posting=None,
        answering=mind,
    )
    made = Worker(parts, paused=False)
    tasks = made._tasks
    assert isinstance(tasks, JobTasks)
    return made, tasks, link


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("inside"), KeyError("name"), Unknown("lost"), Down("away"), Refused("no", why="x")]
)
def test_poll__whatever_ends_it_is_followed_by_another(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that reads no more must not look alive: pauses grow, `last_error` says it, and then it reads on."""

    async def main() -> None:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        platform.script["feed"] = [error] * 3
        worker, tasks, link = make_worker(platform, clock, Answers({}), monkeypatch)
        worker._plan_poll(0.0)
        waits = []
        for _ in range(4):
            job, _when = tasks.jobs.pop("poll")
            await job()
            waits.append((tasks.jobs["poll"][1] - clock.now()).total_seconds())
        assert waits == [2.0, 4.0, 8.0, 1.0]
        assert len(link.troubles) == 3
        assert all("reading: " in trouble for trouble in link.troubles)
        assert [facts["reading"] for facts in link.reported] == [False, False, False, True]

    run(main())


def test_poll__of_a_refused_account_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No restart mends that: it is not read again, and the process ends with its own exit code."""

    async def main() -> None:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        platform.script["feed"] = [AuthDead("refused")]
        worker, tasks, link = make_worker(platform, clock, Answers({}), monkeypatch)
        worker._plan_poll(0.0)
        job, _when = tasks.jobs.pop("poll")
        await asyncio.wait([tasks.track(job(), "poll")])
        await asyncio.sleep(0)
        assert tasks.jobs == {}
        assert worker._exit == EXIT_FATAL
        assert {"event": "fatal", "reason": "refused"} in link.sent

    run(main())


def test_tidy__that_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The own comments can't be listed today; tomorrow they may."""

    async def main() -> None:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        platform.script["own"] = [Refused("403", why="forbidden", forbidden=True)]
        worker, tasks, _link = make_worker(platform, clock, Answers({}), monkeypatch, delete_below=-3)
        assert worker._tidying is not None
        worker._tidying.plan(0.0)
        job, _when = tasks.jobs.pop("tidy")
        await job()
        assert "tidy" in tasks.jobs

    run(main())


def test_item__that_crashes_ends_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends once, as failed, is marked as done like any other, and the others are answered."""

    async def main() -> None:
        clock = VirtualClock()
        platform = MemoryPlatform(clock)
        answers = Answers({"t1_bad": UnboundLocalError("inside")})
        worker, tasks, link = make_worker(platform, clock, answers, monkeypatch)
        items = [make_comment(clock, ref, created_at=NOON) for ref in ("t1_one", "t1_bad", "t1_two")]
        notices = tuple(Notice(Ref(f"n_{item.ref}"), Reason.POST_REPLY, item) for item in items)
        for shown in (notices, ()):
            worker._take(shown, [worker._find(item, None) for item in items])
            await asyncio.sleep(5.0)
        assert answers.handled == ["t1_one", "t1_two"]
        assert [facts["thing"] for name, facts in link.events if name == "item.done"] == ["t1_bad"]
        assert link.ends("item.done") == [("failed", "error")]
        assert sorted(platform.marked) == ["n_t1_bad", "n_t1_one", "n_t1_two"]
        assert tasks.jobs == {}

    run(main())


class SetClock(VirtualClock):
    """A clock that is off by some hours."""

    hours = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(hours=self.hours)


class Deferring(Answers):
    """A mind that puts each thing off once, and remembers how it found it."""

    def __init__(self) -> None:
        super().__init__({})
        self.founds: list[Found] = []

    async def handle(self, found: Found) -> Any:
        self.founds.append(found)
        return Deferred(60.0, Why.MODEL_UNAVAILABLE, "away", found) if len(self.founds) == 1 else found


def test_item__that_waits_is_as_old_as_it_is_whatever_the_clock_is_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was months behind is set right: what was found before is not too old for that."""

    async def main() -> None:
        clock, answers = SetClock(), Deferring()
        worker, _, _ = make_worker(MemoryPlatform(clock), clock, answers, monkeypatch)
        worker._finish = lambda *_: None  # type: ignore[method-assign]
        item = make_comment(clock, created_at=clock.now() - timedelta(minutes=5))
        worker._take([Notice(Ref("n_one"), Reason.MENTION, item)], [])
        await asyncio.sleep(1.0)
        clock.hours = 24 * 90
        await asyncio.sleep(60.0)
        first, second = answers.founds
        assert first == second
        assert (first.made_at, first.deadline) == (-300.0, 86_100.0)
        worker._put_back[item.ref] = second
        worker._ready.set()
        await worker._resume()
        await asyncio.sleep(1.0)
        assert answers.founds[2] == first

    run(main())


@pytest.mark.parametrize("script", ["no post at all", InferenceUnavailable("overloaded")])
def test_posts__that_never_come_to_be_are_tried_with_growing_pauses(
    perform: Callable[..., None], script: str | Exception
) -> None:
    """A model that never writes a post is asked some hundred times a day, not thousands of times an hour."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        pauses = []
        while stage.clock.monotonic() < DAY_SECONDS:
            when, job = stage.tasks.planned.pop()
            pause = (when - stage.clock.now()).total_seconds()
            pauses.append(round(pause))
            await asyncio.sleep(max(0.0, pause))
            await job()
        assert pauses[:10] == [0, 15, 30, 60, 120, 240, 480, 960, 1920, 3600]
        assert set(pauses[10:]) == {3600}
        assert 60 < len(stage.text.prompts) < 120
        assert stage.platform.times("post") == []

    perform(act, script, schedule={"every": "6h"})


def test_posts__that_were_refused_are_forgotten_after_one_that_was_made(perform: Callable[..., None]) -> None:
    """The next failure begins with the shortest pause again."""

    async def act(stage: Any) -> None:
        stage.posts.plan(catch_up=True)
        for _ in range(3):
            await stage.tasks.planned.pop()[1]()
        when, _job = stage.tasks.planned[-1]
        assert when == stage.clock.now() + timedelta(seconds=15)

    text = "Title: A pond at noon\n\nNothing moved but the water. I counted it twice."
    perform(act, "no post at all", text, "no post at all", schedule={"every": "1s"}, tries=1)
