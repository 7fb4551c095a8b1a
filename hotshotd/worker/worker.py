"""One bot at work: it signs in, reads, answers, posts, and does what the supervisor says.

One asyncio loop; Reddit is called in one thread, services in a few. Posts and polls are jobs of an APScheduler, each
re-planned after it ran, so that two never overlap and a missed one is made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hotshotd._types import Outcome
from hotshotd.backoff import Backoff
from hotshotd.brain.pipeline import ITEM_SECONDS, Answering, Deferred, Found
from hotshotd.brain.ports import BrainClock
from hotshotd.brain.posting import RETRY as POST_RETRY
from hotshotd.brain.posting import Posting
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import Writer
from hotshotd.config.schema import BotConfig
from hotshotd.errors import AuthDead, BotPaused, Down, PlatformError, Refused, Retry
from hotshotd.log import get_logger
from hotshotd.memory import trim
from hotshotd.platform import Item, Kind, Notice, Platform, Reason, Ref
from hotshotd.wire import Json
from hotshotd.worker.calls import LOCAL_SECONDS, Calls
from hotshotd.worker.inbox import Desk
from hotshotd.worker.link import BEAT_SECONDS, Link
from hotshotd.worker.schedule import Slot, find_missed, find_next

_log = get_logger()

#: Exit codes; the supervisor takes the second for a failure that a restart can't mend.
EXIT_OK, EXIT_FATAL, EXIT_STUCK = 0, 77, 1

#: Seconds that sending one request to a service may take.
SEND_SECONDS = 20.0

#: Seconds a pause waits for a write under way, and a stop, which has 8 s in all.
PAUSE_WAIT_SECONDS = 30.0
STOP_WAIT_SECONDS = 6.0
#: Writes answered with 403 in one place after which the bot stays away from it.
FORBIDDEN_LIMIT = 2

_SIGN_IN = Backoff(base_seconds=1.0, cap_seconds=30.0)
_POLL = Backoff(base_seconds=2.0, cap_seconds=30.0)


class Gate(Protocol):
    """What a pause closes: no request leaves for a service while it is closed."""

    def close_gate(self, *, timeout_seconds: float) -> bool: ...

    def open_gate(self) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; `entry` puts it together."""

    config: BotConfig
    zone: ZoneInfo
    platform: Platform
    leave: Callable[[str], None]
    requests_per_poll: int
    gate: Gate
    clock: BrainClock
    calls: Calls
    link: Link
    writer: Writer
    posting: Posting | None
    answering: Answering | None


class Worker:
    """The life of one worker process."""

    def __init__(self, parts: Parts, *, paused: bool) -> None:
        self._parts = parts
        self._config = parts.config
        self._platform = parts.platform
        self._clock = parts.clock
        self._link = parts.link
        self._paused = paused
        self._ready = False
        self._stopping = False
        self._exit = EXIT_OK
        self._desk = Desk()
        self._tasks: set[asyncio.Task[None]] = set()
        self._put_back: dict[Ref, Found] = {}
        self._forbidden: dict[str, int] = {}
        self._has_polled = False
        self._read: list[Item] = []
        self._poll_failures = 0
        self._post_failures = 0
        self._marking = False
        self._life: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._commands: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
        }

    async def run(self) -> int:
        """Work until the supervisor ends it; give the exit code."""
        self._link.open(on_command=self._on_command, on_end=self._on_supervisor_gone, on_forbidden=self.note_forbidden)
        self._beat()
        self._life = asyncio.create_task(self._live())
        try:
            await self._life
        except asyncio.CancelledError:
            pass
        except AuthDead as exc:
            self._die(str(exc))
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._link.flush()
        return self._exit

    # -- life --------------------------------------------------------------------------------

    async def _live(self) -> None:
        if self._paused:
            await self._close_gate()
        await self._patiently(self._sign_in)
        self._link.send({"event": "signed_in"})
        await self._clock.sleep(self._config.reddit.confirm_after[0])
        await self._patiently(self._read_own)
        self._ready = True
        self._scheduler.start()
        if not self._paused:
            self._plan_everything()
        await asyncio.Event().wait()

    async def _patiently(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take a step of the start, again and again while Reddit is away."""
        failures = 0
        while True:
            try:
                await step()
                return
            except (Down, Retry, Refused) as exc:
                failures += 1
                self._link.trouble(str(exc))
                _log.warning("worker.waiting", error=str(exc), attempt=failures)
                await self._look_at_account(exc)
                wait = exc.after if isinstance(exc, Retry) else _SIGN_IN.compute_ceiling(failures)
                await self._clock.sleep(wait)

    async def _sign_in(self) -> None:
        identity = await self._platform.whoami()
        if identity.suspended:
            raise AuthDead(f"the account u/{identity.name} is suspended; see the messages of that account on Reddit")
        if identity.name.casefold() != self._config.reddit.username.casefold():
            raise AuthDead(
                f"the credentials are those of u/{identity.name}, not of u/{self._config.reddit.username}; "
                "set reddit.username or the credentials right"
            )

    async def _look_at_account(self, refusal: PlatformError) -> None:
        """After a 403 that should not be, see whether the account is suspended: its own listings are refused then.

        Raises:
            AuthDead: It is.
        """
        if isinstance(refusal, Refused) and refusal.forbidden:
            try:
                await self._sign_in()
            except (Down, Retry, Refused):
                return

    async def _read_own(self) -> None:
        """Learn from Reddit what was answered and posted: it is the memory of a bot."""
        comments = await self._parts.writer.look_at_comments()
        submissions = await self._platform.own(Kind.SUBMISSION)
        if self._parts.posting:
            self._parts.posting.note_own(submissions)
        if self._parts.answering:
            own = sorted((*comments, *submissions), key=lambda item: item.created_at)
            self._parts.answering.remember_own(own)
            self._parts.answering.guards = self._parts.answering.guards.from_own(comments, self._compute_day_start())

    def _plan_everything(self) -> None:
        if self._parts.answering:
            self._plan_poll(0.0)
        if self._parts.posting:
            self._plan_post(catch_up=True)

    def _beat(self) -> None:
        self._link.send({"event": "beat"})
        if self._parts.calls.is_stuck():
            _log.error("worker.stuck", error="a remote call is far past its limit")
            self._exit = EXIT_STUCK
            self._end()
            return
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _die(self, reason: str) -> None:
        """End for a cause that a restart can't mend."""
        _log.error("worker.fatal", error=reason)
        self._link.send({"event": "fatal", "reason": reason})
        self._exit = EXIT_FATAL
        self._end()

    def _end(self) -> None:
        if self._life:
            self._life.cancel()

    # -- commands ----------------------------------------------------------------------------

    def _on_command(self, command: Json) -> None:
        handle = self._commands.get(str(command.get("op")))
        if handle:
            self._track(handle(), "command")

    def _on_supervisor_gone(self) -> None:
        self._end()

    async def _pause(self) -> None:
        """Spend and write nothing from now on; answer when the write under way has its outcome."""
        self._paused = True
        is_closed = await self._close_gate()
        in_doubt = await self._quiet(PAUSE_WAIT_SECONDS)
        if not is_closed:
            in_doubt = in_doubt or "a request that was being sent to a service"
        self._link.report(next_post_at=None)
        self._link.flush()
        self._link.send({"event": "paused", "in_doubt": in_doubt})

    async def _resume(self) -> None:
        self._paused = False
        self._parts.gate.open_gate()
        self._parts.writer.open()
        if not self._ready:
            return
        waiting, self._put_back = list(self._put_back.values()), {}
        for found in waiting:
            self._start_item(found.item, found.reason)
        self._plan_everything()

    async def _stop(self) -> None:
        self._stopping = True
        await self._quiet(STOP_WAIT_SECONDS)
        await self._mark_read()
        self._end()

    async def _close_gate(self) -> bool:
        """Let no request start; False when one is still being sent after the time that sending may take."""
        return await self._parts.calls.run(
            lambda: self._parts.gate.close_gate(timeout_seconds=SEND_SECONDS), limit_seconds=SEND_SECONDS
        )

    async def _quiet(self, wait_seconds: float) -> str | None:
        """Drop what is under way, but for a write; give the write that has no outcome in time, in words."""
        self._parts.writer.close()
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()
        writing = self._parts.writer.under_way_task
        for task in [task for task in self._tasks if task.get_name() == "work" and task is not writing]:
            task.cancel()
        if writing is not None:
            await asyncio.wait([writing], timeout=wait_seconds)
        return self._parts.writer.under_way

    def _track(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._untrack)
        return task

    def _untrack(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            if isinstance(exc, AuthDead):
                self._die(str(exc))
            else:
                _log.error("worker.task_failed", error=repr(exc), exc_info=exc)

    # -- reading -----------------------------------------------------------------------------

    def _plan_poll(self, seconds: float) -> None:
        if not (self._paused or self._stopping):
            # Not "work": a poll is let end at a pause, for what it has read is not shown again.
            self._plan("poll", self._poll, self._clock.now() + timedelta(seconds=seconds), task_name="poll")

    async def _poll(self) -> None:
        try:
            # In this order: what the listings show as a stranger's remark, the inbox may know as an answer to us.
            # What the listings gave is not given again, so it is kept while the inbox can't be read.
            self._read += await self._platform.feed()
            notices = await self._platform.inbox()
            items, self._read = self._read, []
            self._take(notices, items)
            self._poll_failures = 0
            await self._plan_next_poll()
            if not self._has_polled:
                # The first page is the largest; an idle bot never needs as much again.
                self._has_polled = True
                trim()
        except Retry as exc:
            self._plan_poll(exc.after)
        except (Down, Refused) as exc:
            self._poll_failures += 1
            self._link.trouble(f"reading: {exc}")
            _log.warning("poll.failed", error=str(exc), attempt=self._poll_failures)
            await self._look_at_account(exc)
            self._plan_poll(max(self._config.poll.interval, _POLL.compute_ceiling(self._poll_failures)))

    async def _plan_next_poll(self) -> None:
        seconds = await self._parts.calls.run(
            lambda: self._parts.gate.stretch(
                interval_seconds=self._config.poll.interval, requests_per_poll=self._parts.requests_per_poll
            ),
            limit_seconds=LOCAL_SECONDS,
        )
        self._link.report(poll_interval_s=round(seconds, 1))
        self._plan_poll(seconds)

    def _take(self, notices: Sequence[Notice], items: Sequence[Item]) -> None:
        # Notices first: they say why a thing concerns the bot, the listing of the same thing does not.
        for notice in notices:
            self._desk.note(notice)
            self._begin(notice.item, notice.reason)
        for item in items:
            self._begin(item, None)
        self._mark_soon()

    def _begin(self, item: Item, reason: Reason | None) -> None:
        if self._desk.begin(item.ref):
            self._start_item(item, reason)

    def _start_item(self, item: Item, reason: Reason | None) -> None:
        seconds = ITEM_SECONDS
        if reason is not None:
            age = (self._clock.now() - item.created_at).total_seconds()
            seconds = max(0.0, self._config.poll.inbox_lookback - age)
        self._go_on(Found(item, reason, self._clock.monotonic() + seconds))

    def _go_on(self, found: Found) -> None:
        if self._paused or self._stopping:
            self._put_back[found.item.ref] = found
        else:
            self._track(self._work(found), "work")

    async def _work(self, found: Found) -> None:
        answering = self._parts.answering
        assert answering is not None, "only a bot that replies reads"
        try:
            end = await answering.handle(found)
        except (BotPaused, asyncio.CancelledError):
            self._put_back[found.item.ref] = found
            return
        except PlatformError:
            raise
        except Exception as exc:  # noqa: BLE001 - one of the four boundaries: an item must not end a bot
            end = self._fail(found, exc)
        if isinstance(end, Deferred):
            asyncio.get_running_loop().call_later(end.seconds, self._go_on, found)
            return
        self._finish(found, end)

    def _fail(self, found: Found, exc: Exception) -> Verdict:
        verdict = Verdict.of(Why.ERROR, detail=f"{type(exc).__name__}: {exc}"[:300])
        _log.error("item.crashed", thing=found.item.ref, error=verdict.detail, exc_info=exc)
        self._link.trouble(f"an item failed inside: {verdict.detail}")
        self._link.event(
            "item.done",
            thing=found.item.ref,
            outcome=verdict.outcome.value,
            reason=verdict.why.value,
            detail=verdict.detail,
        )
        return verdict

    def _finish(self, found: Found, verdict: Verdict) -> None:
        # Messages stay unread where the bot does not answer them: they are for its operator.
        is_for_operator = found.reason is Reason.MESSAGE and verdict.why is Why.INBOX_OFF
        self._desk.finish(found.item.ref, mark=not (self._config.dry_run or is_for_operator))
        self._mark_soon()

    def _mark_soon(self) -> None:
        if not self._marking:
            self._marking = True
            asyncio.get_running_loop().call_later(0.2, lambda: self._track(self._mark_read(), "mark"))

    async def _mark_read(self) -> None:
        self._marking = False
        done = self._desk.take_done()
        if not done:
            return
        try:
            await self._platform.done(done)
        except (Retry, Down, Refused):
            # Nothing is lost: they are unread, known as done, and marked after the next poll.
            self._desk.put_back(done)

    # -- posting -----------------------------------------------------------------------------

    def _plan_post(self, *, catch_up: bool) -> None:
        post, posting = self._config.post, self._parts.posting
        if post is None or posting is None or self._paused or self._stopping:
            return
        now = self._clock.now()
        slot = None
        if catch_up:
            slot = find_missed(
                post.schedule, now, self._parts.zone, catch_up_seconds=post.catch_up, last_post=posting.last_post_at
            )
        slot = slot or find_next(post.schedule, now, self._parts.zone, last_post=posting.last_post_at)
        if slot is None:
            return
        not_before = now + timedelta(
            seconds=POST_RETRY.compute_ceiling(self._post_failures) if self._post_failures else 0
        )
        due = max(slot.due, not_before)
        self._link.report(next_post_at=due.astimezone(UTC).isoformat(timespec="seconds"))
        self._plan("post", lambda: self._make_post(slot), due)

    async def _make_post(self, slot: Slot) -> None:
        posting = self._parts.posting
        assert posting is not None, "planned only where there is one"
        try:
            verdict = await posting.make(slot.key, day_start=self._compute_day_start())
        except (BotPaused, asyncio.CancelledError):
            return
        except AuthDead:
            raise
        except Exception as exc:  # noqa: BLE001 - like an item, a post must not end a bot, nor its schedule
            verdict = self._fail_post(slot, exc)
        if verdict.why is Why.DRY_RUN:
            posting.last_post_at = self._clock.now()
        good = verdict.outcome is Outcome.PUBLISHED or verdict.why is Why.DRY_RUN
        self._post_failures = 0 if good else self._post_failures + 1
        self._plan_post(catch_up=False)

    def _fail_post(self, slot: Slot, exc: Exception) -> Verdict:
        verdict = Verdict.of(Why.ERROR, detail=f"{type(exc).__name__}: {exc}"[:300])
        _log.error("post.crashed", slot=slot.key, error=verdict.detail, exc_info=exc)
        self._link.trouble(f"a post failed inside: {verdict.detail}")
        self._link.event(
            "post.done",
            slot=slot.key,
            outcome=verdict.outcome.value,
            reason=verdict.why.value,
            thing=None,
            detail=verdict.detail,
        )
        return verdict

    # -- being forbidden ---------------------------------------------------------------------

    def note_forbidden(self, place: str) -> None:
        """Take note of a write that was answered with 403: the account may be suspended, or banned there."""
        self._track(self._look_at_ban(place), "look")

    async def _look_at_ban(self, place: str) -> None:
        try:
            await self._sign_in()
        except (Retry, Down, Refused):
            return
        self._forbidden[place] = self._forbidden.get(place, 0) + 1
        if self._forbidden[place] == FORBIDDEN_LIMIT:
            self._parts.leave(place)
            banned = sorted(name for name, times in self._forbidden.items() if times >= FORBIDDEN_LIMIT)
            _log.error("bot.banned", subreddit=place)
            self._link.report(banned_in=banned, last_error=f"banned in r/{place}")

    # -- inside ------------------------------------------------------------------------------

    def _plan(
        self, name: str, job: Callable[[], Coroutine[Any, Any, None]], when: datetime, *, task_name: str = "work"
    ) -> None:
        """Run a job once at a time, in place of the one of that name."""

        async def run() -> None:
            # Awaited without its result, and let go at the worker's end: neither is an error to the scheduler.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._track(job(), task_name)])

        self._scheduler.add_job(
            run,
            "date",
            run_date=when,
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def _compute_day_start(self) -> datetime:
        return self._clock.now().astimezone(self._parts.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
