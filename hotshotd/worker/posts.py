"""A bot's posts in time: the next one of the schedule, and one that an operator asks for; one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hotshotd._types import Outcome
from hotshotd.brain.ports import BrainClock
from hotshotd.brain.posting import MANUAL, RETRY, Posting
from hotshotd.brain.trace import Step, Tell, tell_nobody
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.config.schedule import Every
from hotshotd.config.schema import PostSection
from hotshotd.errors import AuthDead, BotPaused
from hotshotd.log import get_logger
from hotshotd.worker.link import Link
from hotshotd.worker.schedule import Slot, find_next, find_passed
from hotshotd.worker.tasks import Tasks

_log = get_logger()

#: How old a slot may be that is said to have been missed, in seconds: older ones nobody waits for.
MISSED_SECONDS = 7 * 86_400.0


class Posts:
    """The posts of one bot. `may_plan` says whether the bot is at work: neither paused nor stopping."""

    def __init__(
        self,
        post: PostSection,
        posting: Posting,
        *,
        clock: BrainClock,
        zone: ZoneInfo,
        tasks: Tasks,
        link: Link,
        may_plan: Callable[[], bool],
    ) -> None:
        self._post = post
        self._posting = posting
        self._clock = clock
        self._zone = zone
        self._tasks = tasks
        self._link = link
        self._made = posting.memory
        self._may_plan = may_plan
        self._turn = asyncio.Lock()
        self._failures = 0
        #: The slot for which the last scheduled post was made.
        self._last_slot = ""
        #: The slot that was last said to have been missed.
        self._missed_slot = ""

    def plan(self, *, catch_up: bool) -> None:
        """Plan the next post; with `catch_up` a slot that was missed not long ago comes first."""
        if not self._may_plan():
            return
        slot = self._find_slot(catch_up=catch_up)
        if slot is None:
            return
        pause = RETRY.compute_ceiling(self._failures) if self._failures else 0
        due = max(slot.due, self._clock.now() + timedelta(seconds=pause))
        self._link.report(next_post_at=due.astimezone(UTC).isoformat(timespec="seconds"))
        self._tasks.plan("post", lambda: self._make_scheduled(slot), due)

    async def make_now(self, *, dry_run: bool, tell: Tell) -> Verdict:
        """Make a post out of turn; a schedule of the form `every` counts from it. Waits for one that is being made.

        A dry run writes nothing; without one the bot's own setting counts.

        Raises:
            BotPaused, AuthDead: As `Posting.make`.
        """
        if self._turn.locked():
            tell(Step("waiting", "a post is being made; this one comes after it"))
        async with self._turn:
            verdict = await self._make(MANUAL, dry_run=True if dry_run else None, tell=tell)
            if verdict.outcome is Outcome.PUBLISHED:
                self._failures = 0
                self._plan_anew()
        return verdict

    def follow_clock(self) -> None:
        """Plan anew after the wall clock was set: an interval ends when it would have, and a slot may be missed."""
        self.plan(catch_up=True)

    def _find_slot(self, *, catch_up: bool) -> Slot | None:
        now, last = self._clock.now(), self._posting.last_post_at
        missed = self._find_missed(now, within_seconds=self._post.catch_up) if catch_up else None
        if catch_up and missed is None:
            self._tell_missed(now)
        return missed or find_next(self._post.schedule, now, self._zone, last_post=last, made=self._made)

    def _find_missed(self, now: datetime, *, within_seconds: float) -> Slot | None:
        slot = find_passed(self._post.schedule, now, self._zone, within_seconds=within_seconds)
        if slot is None:
            return None
        last = self._posting.last_post_at
        if last is not None and last >= slot.due:
            # By a worker that died before it could note it; or in a dry run of this one, which counts for no other.
            if slot.key != self._last_slot:
                self._made.add(slot.key)
            return None
        return None if slot.key in self._made else slot

    def _tell_missed(self, now: datetime) -> None:
        """Say once of a slot that it will not be made: else nothing tells why there is no post."""
        slot = self._find_missed(now, within_seconds=MISSED_SECONDS)
        # A bot without any post is taken to be new: it has missed nothing.
        if slot is None or self._posting.last_post_at is None or slot.key == self._missed_slot:
            return
        self._say_missed(slot, now)

    def _tell_overtaken(self, made: Slot) -> None:
        """Say of a slot that it passed while the post before it was made: there are not two at once."""
        now = self._clock.now()
        slot = find_passed(self._post.schedule, now, self._zone, within_seconds=(now - made.due).total_seconds())
        if slot is not None and slot.due > made.due:
            self._say_missed(slot, now)

    def _say_missed(self, slot: Slot, now: datetime) -> None:
        self._missed_slot = slot.key
        self._link.event("post.missed", slot=slot.key, late_seconds=round((now - slot.due).total_seconds()))

    def _plan_anew(self) -> None:
        # A slot of the clock stays where it is, planned or being retried.
        if isinstance(self._post.schedule, Every):
            self.plan(catch_up=False)

    async def _make_scheduled(self, slot: Slot) -> None:
        async with self._turn:
            if self._is_served(slot):
                self.plan(catch_up=False)
                return
            try:
                verdict = await self._make(slot.key)
            except (BotPaused, asyncio.CancelledError):
                return
            if verdict.why is Why.DRY_RUN:
                self._posting.last_post_at = self._clock.now()
            good = verdict.outcome is Outcome.PUBLISHED or verdict.why is Why.DRY_RUN
            self._failures = 0 if good else self._failures + 1
            if good:
                self._last_slot = slot.key
            self._tell_overtaken(slot)
            self.plan(catch_up=False)

    async def _make(self, slot: str, *, dry_run: bool | None = None, tell: Tell = tell_nobody) -> Verdict:
        day_start = compute_day_start(self._clock.now(), self._zone)
        try:
            return await self._posting.make(slot, day_start=day_start, dry_run=dry_run, tell=tell)
        except (BotPaused, AuthDead):
            raise
        except Exception as exc:  # noqa: BLE001 - like an item, a post must not end a bot, nor its schedule
            return self._fail(slot, exc)

    def _is_served(self, slot: Slot) -> bool:
        """Tell whether a post was made for this slot, or has moved it on, since it was planned.

        A pause that ends, or ends once more, plans anew while the post of the slot may still be on its way.
        """
        if isinstance(self._post.schedule, Every):
            last = self._posting.last_post_at
            return last is not None and last >= slot.due
        return slot.key == self._last_slot

    def _fail(self, slot: str, exc: Exception) -> Verdict:
        verdict = Verdict.of(Why.ERROR, detail=f"{type(exc).__name__}: {exc}"[:300])
        _log.error("post.crashed", slot=slot, error=verdict.detail, exc_info=exc)
        self._link.trouble(f"a post failed inside: {verdict.detail}")
        self._link.event(
            "post.done",
            slot=slot,
            outcome=verdict.outcome.value,
            reason=verdict.why.value,
            thing=None,
            detail=verdict.detail,
        )
        return verdict


def compute_day_start(now: datetime, zone: ZoneInfo) -> datetime:
    """Give when the day of a moment began in a zone."""
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
