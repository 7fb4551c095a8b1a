"""A bot that answers, with everything around it in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fakes import (
    Diary,
    MemoryPlatform,
    ScriptedModerator,
    ScriptedRanker,
    ScriptedText,
    make_comment,
    make_config,
)
from virtual import VirtualClock, run

from hotshotd.brain.editor import Editor
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering, Deferred, Found
from hotshotd.brain.ports import Faculties
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Verdict
from hotshotd.brain.writing import Writer
from hotshotd.platform import Author, Item, Kind, Reason, Ref, Thread

#: What the model says.
GOOD = "It is forty metres high, and I climb it every day."


@dataclass
class Stage:
    """A bot with everything around it in the test's hands."""

    clock: VirtualClock
    platform: MemoryPlatform
    text: ScriptedText
    moderator: ScriptedModerator
    diary: Diary
    writer: Writer
    answering: Answering

    def comment(self, ref: str = "t1_one", **changes: Any) -> Item:
        """Give a comment under the bot's own post, that it must answer; its thread can be read."""
        changes = {"created_at": self.clock.now() + timedelta(minutes=1), **changes}
        item = make_comment(self.clock, ref, **changes)
        top = Item(
            Ref("t3_mine"),
            Kind.SUBMISSION,
            Author("BotName"),
            "Ask me.",
            "bots",
            self.clock.now(),
            title="I keep a light",
        )
        self.platform.threads[item.ref] = Thread(top, ())
        return item

    async def handle(self, item: Item, *, reason: Reason | None = None, seconds: float = 900.0) -> Verdict | Deferred:
        return await self.answering.handle(Found(item, reason, self.clock.monotonic() + seconds))

    def ends(self) -> list[tuple[object, object]]:
        return self.diary.ends("item.done")


def perform(
    act: Callable[[Stage], Coroutine[Any, Any, None]],
    *,
    text: ScriptedText | None = None,
    moderator: ScriptedModerator | None = None,
    gate: ScriptedRanker | None = None,
    ranker: ScriptedRanker | None = None,
    faculties: dict[str, Any] | None = None,
    reply: dict[str, Any] | None = None,
    **config_keys: Any,
) -> None:
    """Run `act` on a stage of its own; `faculties` are further services by the name of their field."""

    async def main() -> None:
        config = make_config(reply={"backend": "ollama", "model": "m"} | (reply or {}), **config_keys)
        clock, diary = VirtualClock(), Diary()
        platform = MemoryPlatform(clock)
        model, judge = text or ScriptedText(GOOD), moderator or ScriptedModerator()
        services = Faculties(model, None, gate, ranker, (judge,), **(faculties or {}))
        writer = Writer(platform, clock, confirm_after=(2.0, 10.0))
        answering = Answering(
            config,
            platform=platform,
            faculties=services,
            writer=writer,
            editor=Editor(services, negative_keywords(config), clock, diary),
            clock=clock,
            news=diary,
            guards=Guards(clock.now().replace(hour=0)),
        )
        await act(Stage(clock, platform, model, judge, diary, writer, answering))

    run(main())
