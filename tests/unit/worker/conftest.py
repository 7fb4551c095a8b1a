"""A worker's errands and posts on virtual time: the bot's own mind and hand, a platform in memory, no process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fakes import Diary, MemoryPlatform, ScriptedModerator, ScriptedText, make_config
from virtual import NOON, VirtualClock, run

from hotshotd.brain.editor import Editor
from hotshotd.brain.ports import Faculties
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.writing import Writer
from hotshotd.errors import Refused
from hotshotd.platform import Author, Item, Kind, Ref
from hotshotd.worker.errands import Errands
from hotshotd.worker.parts import Parts
from hotshotd.worker.posts import Posts
from hotshotd.worker.tasks import WORK, Tasks

CHAT = "Title: A pond at noon\n\nNothing moved but the water. I counted it twice."


class FindingPlatform(MemoryPlatform):
    """A platform that finds its own submissions, and one thing of ann's by the name t3_hers."""

    async def resolve(self, url: str) -> Item:
        await self._step("resolve", url)
        for item in self.submissions:
            if item.ref == url:
                return item
        if url == "t3_hers":
            return Item(Ref(url), Kind.SUBMISSION, Author("ann"), "Who quacks?", "bots", NOON, title="A question")
        raise Refused(f"nothing at {url}", why="not_found")


class PlannedTasks(Tasks):
    """Tasks whose jobs at a time are only written down."""

    def __init__(self) -> None:
        super().__init__(on_dead=self._note)
        self.dead: list[str] = []
        self.planned: list[tuple[datetime, Callable[[], Coroutine[Any, Any, None]]]] = []

    def _note(self, reason: str) -> None:
        self.dead.append(reason)

    def plan(
        self, name: str, job: Callable[[], Coroutine[Any, Any, None]], when: datetime, *, task_name: str = WORK
    ) -> None:
        assert (name, task_name) == ("post", WORK)
        self.planned.append((when, job))


class TellingLink(Diary):
    """News and messages that are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []
        self.reported: dict[str, Any] = {}

    def send_surely(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def report(self, **facts: Any) -> None:
        self.reported.update(facts)


@dataclass
class Stage:
    """A worker's errands, with everything around them in the test's hands."""

    clock: VirtualClock
    platform: FindingPlatform
    text: ScriptedText
    link: TellingLink
    writer: Writer
    posting: Posting
    tasks: PlannedTasks
    posts: Posts
    errands: Errands
    is_ready: asyncio.Event
    quiet: list[tuple[str, str]] = field(default_factory=list)

    def ends(self) -> list[dict[str, Any]]:
        return [message for message in self.link.sent if message["event"] == "errand_done"]

    def steps(self) -> list[str]:
        return [message["name"] for message in self.link.sent if message["event"] == "step"]

    def titles(self) -> list[str]:
        return [item.title for item in self.platform.submissions]

    async def until_end(self, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(5000):
            while len(self.ends()) < count:  # noqa: ASYNC110 - on virtual time this costs nothing
                await asyncio.sleep(0.1)
        return self.ends()[-1]


@pytest.fixture
def perform() -> Callable[..., None]:
    """Give a function that runs an act on a stage."""

    def perform(
        act: Callable[[Stage], Coroutine[Any, Any, None]],
        *script: str | Exception,
        answering: Any = None,
        posts: bool = True,
        ready: bool = True,
        seconds: float = 1.0,
        schedule: Any = ("12:00",),
        **post: Any,
    ) -> None:
        async def main() -> None:
            schedule_ = schedule if isinstance(schedule, dict) else list(schedule)
            config = make_config(
                post={"schedule": schedule_, "backend": "ollama", "model": "m", "format": "plain"} | post
            )
            assert config.post is not None
            clock, link, tasks = VirtualClock(), TellingLink(), PlannedTasks()
            platform = FindingPlatform(clock)
            text = ScriptedText(*(script or (CHAT,)), seconds=seconds, of_messages=True)
            services = Faculties(None, text, None, None, (ScriptedModerator(),), post_chats=True)
            writer = Writer(platform, clock, confirm_after=(2.0, 10.0))
            editor = Editor(services, negative_keywords(config), clock, link)
            posting = Posting(
                config, platform=platform, faculties=services, writer=writer, editor=editor, clock=clock, news=link
            )
            parts = Parts(
                config=config, zone=ZoneInfo("UTC"), platform=platform, leave=lambda _: None, requests_per_poll=1,
                gate=None, clock=clock, calls=None, link=link, writer=writer, posting=posting,  # type: ignore[arg-type]
                answering=answering,
            )  # fmt: skip
            quiet: list[tuple[str, str]] = []
            slots = Posts(
                config.post, posting, clock=clock, zone=parts.zone, tasks=tasks, link=link,  # type: ignore[arg-type]
                may_plan=lambda: not quiet,
            )  # fmt: skip
            is_ready = asyncio.Event()
            if ready:
                is_ready.set()
            errands = Errands(
                parts, slots if posts else None, tasks, is_ready=is_ready, why_quiet=lambda: quiet[0] if quiet else None
            )
            await act(Stage(clock, platform, text, link, writer, posting, tasks, slots, errands, is_ready, quiet))

        run(main())

    return perform
