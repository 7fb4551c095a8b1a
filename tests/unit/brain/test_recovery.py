"""Back at work within a minute: whatever failed, however long, and whatever piled up meanwhile.

The bot's own pipeline, patience, writer and the breakers that all bots share, on a virtual clock. What is faulty fails
each request until the fault ends; at that moment somebody asks the bot something new.
"""

from __future__ import annotations

import asyncio
import random

import pytest
from fakes import Diary, MemoryPlatform, make_config
from stage import Stage
from virtual import VirtualClock, run

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Knock, Result
from hotshotd.brain.editor import Editor
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering, Deferred
from hotshotd.brain.ports import Faculties
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Verdict
from hotshotd.brain.writing import Writer
from hotshotd.errors import Down, InferenceUnavailable, KnockFirst
from hotshotd.inference.base import Candidates, Judgement
from hotshotd.platform import Item, Reason, Ref, Thread
from hotshotd.quota.stub import StubAdmission, StubQuota

#: The promise.
BACK_SECONDS = 60.0
#: What a request takes that is answered, and one that fails; seconds.
WELL_SECONDS, FAILED_SECONDS = 1.0, 0.2
#: What a prompt costs that is worth a knock.
PROMPT_CHARS = 1400
WORDS = (
    "lamp",
    "stair",
    "storm",
    "gull",
    "rope",
    "oil",
    "glass",
    "rock",
    "tide",
    "bell",
    "coat",
    "stove",
    "ship",
    "fog",
)
#: Seconds between two questions that come in during a fault.
EVERY_SECONDS = 60.0
FAULTS = ("text", "moderation", "platform", "quota")
LENGTHS = [*range(1, 100, 2), *range(100, 700, 25)]


class Service:
    """A service behind the real breakers, away until `well_at`."""

    metered = True
    name = "a service"
    knock = Knock.NONE

    def __init__(self, admission: StubAdmission, clock: VirtualClock, *, role: Role, well_at: float) -> None:
        self._admission, self._clock, self._role, self._well_at = admission, clock, role, well_at

    async def _work(self) -> None:
        try:
            await self._send(PROMPT_CHARS, self.knock)
        except KnockFirst:
            await self._send(2, Knock.IS)
            await self._send(PROMPT_CHARS, self.knock)

    async def _send(self, chars: int, knock: Knock) -> None:
        ask = Ask(service=self._role.value, role=self._role, chars=Chars(chars), knock=knock)
        self._admission.check(ask)
        permit = self._admission.ask(ask)
        is_well = self._clock.monotonic() >= self._well_at
        await self._clock.sleep(WELL_SECONDS if is_well else FAILED_SECONDS)
        self._admission.account(Account(permit, Result.OK if is_well else Result.FAILED))
        if not is_well:
            raise InferenceUnavailable("503")


class Text(Service):
    knock = Knock.CAN
    said = 0

    async def generate(self, _prompt: object, *, limit_seconds: float | None = None) -> Candidates:
        await self._work()
        self.said += 1
        # Nothing may be said twice.
        words = random.Random(self.said).sample(WORDS, 8)
        return Candidates((f"The {' '.join(words)} is mine.",), cost=Chars(10), backend="stub", model="m")


class Moderator(Service):
    async def judge(self, _text: str) -> Judgement:
        await self._work()
        return Judgement(ok=True, moderator=self.name, why="")


class Reddit(MemoryPlatform):
    """A platform that is down until `well_at`."""

    well_at = 0.0

    async def thread(self, item: Item) -> Thread:
        self._refuse()
        return await super().thread(item)

    async def reply(self, parent: Item, text: str) -> Ref:
        self._refuse()
        return await super().reply(parent, text)

    def _refuse(self) -> None:
        if self._clock.monotonic() < self.well_at:
            raise Down("Reddit can't be reached")


def make_stage(broken: tuple[str, ...], seconds: float, *, quota: StubQuota) -> Stage:
    clock, diary = VirtualClock(), Diary()
    config = make_config(
        reply={
            "backend": "ollama",
            "model": "m",
            "max_per_thread": 1000,
            "max_per_author_hour": 1000,
            "max_per_day": None,
        }
    )
    well_at = {what: seconds if what in broken else 0.0 for what in FAULTS}
    admission = quota.enter("bot")
    text = Text(admission, clock, role=Role.TEXT, well_at=well_at["text"])
    judge = Moderator(admission, clock, role=Role.MODERATION, well_at=well_at["moderation"])
    platform = Reddit(clock)
    platform.well_at = well_at["platform"]
    services = Faculties(text, None, None, None, (judge,))
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
    return Stage(clock, platform, text, judge, diary, writer, answering)  # type: ignore[arg-type]


async def bring_to_end(stage: Stage, ref: str) -> Verdict:
    """Have an answer to the bot handled, deferred or not, as the worker does."""
    item = stage.comment(ref)
    while True:
        end = await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
        if not isinstance(end, Deferred):
            return end
        await stage.clock.sleep(end.seconds)


async def suffer(broken: tuple[str, ...], seconds: float) -> tuple[float, float]:
    """Live through a fault; give the seconds from its end to the new answer, and to the last of those from before."""
    quota = StubQuota(VirtualClock(), budgets={"bot": 10**9})
    stage = make_stage(broken, seconds, quota=quota)
    quota.away = "quota" in broken
    work = [asyncio.create_task(bring_to_end(stage, f"t1_early{number}")) for number in range(5)]
    while stage.clock.monotonic() + EVERY_SECONDS < seconds:
        await stage.clock.sleep(EVERY_SECONDS)
        work.append(asyncio.create_task(bring_to_end(stage, f"t1_later{len(work)}")))
    await stage.clock.sleep(seconds - stage.clock.monotonic())
    quota.away = False
    new = await bring_to_end(stage, "t1_new")
    answered = stage.clock.monotonic() - seconds
    ends = [new, *await asyncio.gather(*work)]
    assert {end.outcome.value for end in ends} == {"replied"}
    return answered, stage.clock.monotonic() - seconds


@pytest.mark.parametrize("broken", [*((what,) for what in FAULTS), FAULTS], ids="+".join)
def test_recovery__within_a_minute_of_any_fault(broken: tuple[str, ...]) -> None:
    """A fault of 1 s to 11 minutes: the new question is answered within 60 s of its end, what waited soon after."""
    taken = [run(suffer(broken, float(seconds))) for seconds in LENGTHS]
    new, old = (max(seconds) for seconds in zip(*taken, strict=True))
    print(f"{'+'.join(broken)}: the new answer {new:.1f} s after the fault at the latest, the last old one {old:.1f} s")
    assert new <= BACK_SECONDS
    assert old <= 1.5 * BACK_SECONDS
