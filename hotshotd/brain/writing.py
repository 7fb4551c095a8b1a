"""Writes that happen once: send, and where the outcome is not known, look before sending again.

A platform answers a write with a result, a refusal, a wait (`Retry`), or nothing that can be believed
(`Unknown`: a reset or a time-out after the request was sent). After the last, the bot's own newest things are
read after each of `confirm_after`; only when a look that succeeded shows nothing is the write sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any

from hotshotd.backoff import Backoff
from hotshotd.brain.ports import BrainClock
from hotshotd.errors import BotPaused, Down, Retry, Unknown
from hotshotd.platform import CLOCK_TOLERANCE_SECONDS, Draft, Item, Kind, Platform, Ref

#: Things older than the worker are looked for once more before they are answered, until a look was made so long after
#: its start: a listing may lag behind a write that the worker before it made just before it died; seconds.
SETTLING_SECONDS = 60.0

#: Answers remembered: a few weeks of a busy bot; what may be read again is a few days old at most.
ANSWERS_KEPT = 5_000

#: While one write waits, so do all others; the platform's return is noticed within half a minute.
_RETRY = Backoff(base_seconds=2.0, cap_seconds=30.0)


class DeadlinePassed(Exception):
    """The item's time is over and nothing was written."""


class Writer:
    """The only hand of a bot: one write at a time, held while the platform says so, never repeated blindly."""

    def __init__(self, platform: Platform, clock: BrainClock, *, confirm_after: tuple[float, ...]) -> None:
        self._platform = platform
        self._clock = clock
        self._confirm_after = confirm_after
        self._lock = asyncio.Lock()
        self._held_until = 0.0
        self._closed = False
        self._cancelled: asyncio.Task[Any] | None = None
        self._started = clock.monotonic()
        self._settled = False
        self._answers: dict[Ref, Ref] = {}
        #: The write whose outcome is not known yet, in words, and the task that waits for it.
        self.under_way: str | None = None
        self.under_way_task: asyncio.Task[Any] | None = None

    @property
    def _life_seconds(self) -> float:
        return self._clock.monotonic() - self._started

    @property
    def held_seconds(self) -> float:
        """Seconds until the platform's last wait is over, 0 when writes may go."""
        return max(0.0, self._held_until - self._clock.monotonic())

    def has_answered(self, ref: Ref) -> bool:
        """Tell whether an own comment under this thing is known."""
        return ref in self._answers

    def close(self) -> None:
        """Send nothing from now on (a pause); what is under way goes on to its outcome."""
        self._closed = True

    def open(self) -> None:
        self._closed = False

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, but not amid its write: that goes on to its outcome, and is not sent again."""
        if task is self.under_way_task:
            # A write that is cut off may have arrived, and nobody would look. Others wait for the lock until it has its
            # outcome, and no other write is under way before: so one name is enough, and concerns nobody else.
            self._cancelled = task
        else:
            task.cancel()

    async def until_free(self, deadline: float) -> None:
        """Wait until writes are not held; for asking before money is spent on a text that can't be written.

        Raises:
            DeadlinePassed: If that is after the deadline, or the deadline is over already.
        """
        # A wait for another write, or a slow look, may have eaten the item's time.
        await self._sleep(0.0, deadline)
        while self.held_seconds > 0:
            await self._sleep(self.held_seconds, deadline)

    async def look_at_comments(self, *, since: datetime | None = None) -> tuple[Item, ...]:
        """Read the bot's own newest comments (all since a moment, if one is given), and remember whom they answer."""
        settled = self._life_seconds >= SETTLING_SECONDS
        own = await self._platform.own(Kind.COMMENT, since=since)
        self._settled = self._settled or settled
        for item in reversed(own):
            if item.parent is not None:
                self._remember(item.parent, item.ref)
        return own

    async def reply(self, item: Item, text: str, *, deadline: float, check: Callable[[], None] = lambda: None) -> Ref:
        """Answer an item exactly once, or raise why not.

        `check` is called right before each sending, which may be long after now, and keeps it back by raising.

        Raises:
            DeadlinePassed, BotPaused, Refused, AuthDead: Nothing was written.
            Unknown: The deadline passed before a look could tell.
        """

        async def send() -> Ref:
            check()
            return await self._platform.reply(item, text)

        async def look() -> Ref | None:
            await self.look_at_comments()
            return self._answers.get(item.ref)

        async with self._lock:
            found = await self._find_earlier_answer(item, look, deadline)
            if found is None:
                found = await self._write(f"the reply to {item.ref}", send, look, deadline)
            self._remember(item.ref, found)
            return found

    async def post(self, draft: Draft, *, deadline: float, known: Collection[Ref] = ()) -> Ref:
        """Make a submission exactly once; raises as `reply` does. `known` are own submissions that were there before.

        No time says which are new: the platform's clock and ours may differ by hours.
        """

        async def send() -> Ref:
            return await self._platform.post(draft)

        async def look() -> Ref | None:
            return find_submission(await self._platform.own(Kind.SUBMISSION), draft, known)

        async with self._lock:
            return await self._write(f"the post {draft.title!r}", send, look, deadline)

    async def delete(self, ref: Ref, *, deadline: float) -> None:
        """Delete an own thing. Harmless when repeated, so an unknown outcome is the caller's to take up again.

        Raises:
            DeadlinePassed, BotPaused, Refused, AuthDead, Retry, Down: Nothing was deleted.
            Unknown: Nobody can tell.
        """
        async with self._lock:
            await self.until_free(deadline)
            if self._closed:
                raise BotPaused("the bot is paused; `hotshotctl resume` lets it write again")
            self.under_way, self.under_way_task = f"the deletion of {ref}", asyncio.current_task()
            try:
                await self._platform.delete(ref)
            except Retry as wait:
                self._held_until = self._clock.monotonic() + wait.after
                raise
            finally:
                self.under_way, self.under_way_task = None, None

    def _remember(self, answered: Ref, answer: Ref) -> None:
        self._answers.pop(answered, None)
        self._answers[answered] = answer
        while len(self._answers) > ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]

    async def _find_earlier_answer(
        self, item: Item, look: Callable[[], Awaitable[Ref | None]], deadline: float
    ) -> Ref | None:
        """Find the answer that this worker, or the one before it, has given already; waits for a look that works."""
        # Not by the wall clock of the start, which may have been set since.
        age_seconds = (self._clock.now() - item.created_at).total_seconds()
        is_newer = age_seconds < self._life_seconds - CLOCK_TOLERANCE_SECONDS
        if item.ref in self._answers or self._settled or is_newer:
            return self._answers.get(item.ref)
        # As after an unknown outcome: a look that comes sooner may not show what was sent just before the start.
        await self._sleep(max(0.0, sum(self._confirm_after) - self._life_seconds), deadline)
        failures = 0
        while True:
            try:
                return await look()
            except (Retry, Down) as exc:
                failures += 1
                pause = exc.after if isinstance(exc, Retry) else _RETRY.compute_ceiling(failures)
                await self._sleep(pause, deadline)

    async def _write(
        self,
        what: str,
        send: Callable[[], Awaitable[Ref]],
        look: Callable[[], Awaitable[Ref | None]],
        deadline: float,
    ) -> Ref:
        failures = lost = 0
        while True:
            await self.until_free(deadline)
            if self._cancelled is asyncio.current_task():
                raise asyncio.CancelledError
            if self._closed:
                raise BotPaused("the bot is paused; `hotshotctl resume` lets it write again")
            outcome = await self._send_and_look(what, send, look, deadline)
            if isinstance(outcome, Retry):
                self._held_until = self._clock.monotonic() + outcome.after
            elif isinstance(outcome, Down):
                failures += 1
                await self._sleep(_RETRY.compute_ceiling(failures), deadline)
            elif outcome is not None:
                return outcome
            else:
                # Looks show nothing of it. What keeps on losing answers is not asked every few seconds.
                lost += 1
                await self._sleep(_RETRY.compute_ceiling(lost - 1) if lost > 1 else 0.0, deadline)

    async def _send_and_look(
        self,
        what: str,
        send: Callable[[], Awaitable[Ref]],
        look: Callable[[], Awaitable[Ref | None]],
        deadline: float,
    ) -> Ref | Retry | Down | None:
        """Send once; give the result, what nothing came of, or None after looks that show nothing."""
        self.under_way, self.under_way_task = what, asyncio.current_task()
        try:
            return await send()
        except (Retry, Down) as nothing_done:
            return nothing_done
        except Unknown as unknown:
            return await self._look_until_sure(look, deadline, unknown)
        finally:
            self.under_way, self.under_way_task = None, None

    async def _look_until_sure(
        self, look: Callable[[], Awaitable[Ref | None]], deadline: float, unknown: Unknown
    ) -> Ref | None:
        """Look after each of the waits, then until a look succeeds; give what was found.

        Raises:
            Unknown: If the deadline comes first.
        """
        failures = 0
        waits = list(self._confirm_after)
        try:
            while waits:
                await self._sleep(waits.pop(0), deadline)
                try:
                    found = await look()
                except (Retry, Down) as exc:
                    failures += 1
                    pause = exc.after if isinstance(exc, Retry) else _RETRY.compute_ceiling(failures)
                    waits = waits or [pause]
                    continue
                if found is not None:
                    return found
        except DeadlinePassed:
            raise unknown from None
        return None

    async def _sleep(self, seconds: float, deadline: float) -> None:
        if self._clock.monotonic() + seconds > deadline:
            raise DeadlinePassed("the time for this is over; nothing was written")
        if seconds > 0:
            await self._clock.sleep(seconds)


def find_submission(own: tuple[Item, ...], draft: Draft, known: Collection[Ref]) -> Ref | None:
    """Find the submission that a draft became, by place and title, among those that were not there before."""
    for item in own:
        same_place = item.place.casefold() == draft.place.casefold()
        if same_place and item.title.strip() == draft.title.strip() and item.ref not in known:
            return item.ref
    return None
