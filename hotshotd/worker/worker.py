"""One bot at work: it signs in, reads, answers, posts, and does what the supervisor says.

One asyncio loop; Reddit is called in one thread, services in a few. Posts and polls are jobs of an APScheduler, each
re-planned after it ran, so that two never overlap and a missed one is made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hotshotd.backoff import Backoff
from hotshotd.brain.pipeline import ITEM_SECONDS, Deferred, Found
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.errors import AuthDead, BotPaused, Down, PlatformError, Refused, Retry
from hotshotd.log import excerpt, get_logger
from hotshotd.memory import trim
from hotshotd.platform import Item, Kind, Notice, Reason, Ref
from hotshotd.wire import Json
from hotshotd.worker.account import Account
from hotshotd.worker.calls import LOCAL_SECONDS
from hotshotd.worker.errands import Errands
from hotshotd.worker.inbox import Desk
from hotshotd.worker.link import BEAT_SECONDS
from hotshotd.worker.parts import Parts
from hotshotd.worker.posts import Posts, compute_day_start
from hotshotd.worker.tasks import WORK, Tasks
from hotshotd.worker.tidying import Tidying

_log = get_logger()

#: Exit codes; the supervisor takes the second for a failure that a restart can't mend.
EXIT_OK, EXIT_FATAL, EXIT_STUCK = 0, 77, 1

#: Seconds that sending one request to a service may take.
SEND_SECONDS = 20.0

#: Seconds a pause waits for a write under way, and a stop, which has 8 s in all.
PAUSE_WAIT_SECONDS = 30.0
STOP_WAIT_SECONDS = 6.0

#: Seconds after which a sign-in that is still under way is told of: the daemon's start does not wait for it any longer.
SLOW_SIGN_IN_SECONDS = 15.0

#: By how much the wall clock and the loop's may drift apart between two looks before the former counts as set.
CLOCK_SET = timedelta(seconds=1)

#: A wait that Reddit's rate asks for may be next to nothing; the least between two polls, in seconds.
LEAST_POLL_SECONDS = 1.0

_SIGN_IN = Backoff(base_seconds=1.0, cap_seconds=30.0)
_POLL = Backoff(base_seconds=2.0, cap_seconds=30.0)


class Worker:
    """The life of one worker process."""

    def __init__(self, parts: Parts, *, paused: bool) -> None:
        self._parts = parts
        self._config = parts.config
        self._platform = parts.platform
        self._clock = parts.clock
        self._link = parts.link
        self._paused = paused
        self._ready = asyncio.Event()
        self._stopping = False
        self._exit = EXIT_OK
        self._desk = Desk()
        self._tasks = Tasks(on_dead=self._die)
        self._account = Account(parts.config, parts.platform, leave=parts.leave, link=parts.link)
        self._posts = self._make_posts()
        self._tidying = self._make_tidying()
        self._errands = Errands(parts, self._posts, self._tasks, is_ready=self._ready, why_quiet=self._tell_why_quiet)
        self._put_back: dict[Ref, Found] = {}
        self._has_polled = False
        self._read: list[Found] = []
        self._poll_failures = 0
        self._marking = False
        #: When the loop's time was 0, by the wall clock; it moves when that clock is set.
        self._begun: datetime | None = None
        self._life: asyncio.Task[None] | None = None
        self._commands: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
        }
        self._errand_commands: dict[str, Callable[[Json], None]] = {
            "try": self._errands.begin,
            "post": self._errands.begin,
            "drop": self._errands.drop,
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
        self._tasks.close()
        self._link.flush()
        return self._exit

    def note_forbidden(self, place: str) -> None:
        """Take note of a write that was answered with 403: the account may be suspended, or banned there."""
        self._tasks.track(self._account.look_at_ban(place), "look")

    # -- life --------------------------------------------------------------------------------

    async def _live(self) -> None:
        if self._paused:
            await self._close_gate()
        await self._sign_in()
        await self._clock.sleep(self._config.reddit.confirm_after[0])
        await self._patiently(self._read_own)
        self._ready.set()
        self._tasks.start()
        if not self._paused:
            self._plan_everything()
        await asyncio.Event().wait()

    async def _sign_in(self) -> None:
        """Sign in, however long it takes; the supervisor is told when it takes long, and when it is done."""
        slow = asyncio.get_running_loop().call_later(
            SLOW_SIGN_IN_SECONDS, self._tell_waiting, "signing in: no answer yet, or no room in Reddit's rate"
        )
        try:
            await self._patiently(self._account.sign_in, on_wait=lambda why: self._tell_waiting(f"signing in: {why}"))
        finally:
            slow.cancel()
        self._link.send({"event": "signed_in"})

    def _tell_waiting(self, reason: str) -> None:
        self._link.send({"event": "waiting", "reason": excerpt(reason, longest=500)})

    async def _patiently(
        self, step: Callable[[], Coroutine[Any, Any, None]], *, on_wait: Callable[[str], None] | None = None
    ) -> None:
        """Take a step of the start, again and again while Reddit is away; `on_wait` is told why, each time."""
        failures = 0
        while True:
            try:
                await step()
                return
            except (Down, Retry, Refused) as exc:
                failures += 1
                self._link.trouble(str(exc))
                _log.warning("worker.waiting", error=str(exc), attempt=failures)
                if on_wait is not None:
                    on_wait(str(exc))
                await self._account.look_after(exc)
                wait = exc.after if isinstance(exc, Retry) else _SIGN_IN.compute_ceiling(failures)
                await self._clock.sleep(wait)

    async def _read_own(self) -> None:
        """Learn from Reddit what was answered and posted: it is the memory of a bot."""
        comments = await self._parts.writer.look_at_comments(since=self._compute_memory_start())
        submissions = await self._platform.own(Kind.SUBMISSION)
        if self._parts.posting:
            self._parts.posting.note_own(submissions)
        if self._parts.answering:
            own = sorted((*comments, *submissions), key=lambda item: item.created_at)
            self._parts.answering.remember_own(own)
            self._parts.answering.guards = self._parts.answering.guards.from_own(
                comments, compute_day_start(self._clock.now(), self._parts.zone)
            )

    def _compute_memory_start(self) -> datetime | None:
        """Give since when own comments count: what may still be answered must be known as answered, and the day's."""
        if self._config.reply is None:
            return None
        now = self._clock.now()
        oldest = timedelta(seconds=max(self._config.poll.lookback, self._config.poll.inbox_lookback))
        return min(compute_day_start(now, self._parts.zone), now - oldest)

    def _plan_everything(self) -> None:
        if self._parts.answering:
            self._plan_poll(0.0)
        if self._posts:
            self._posts.plan(catch_up=True)
        if self._tidying:
            self._tidying.plan(0.0)

    def _may_work(self) -> bool:
        return not (self._paused or self._stopping)

    def _tell_why_quiet(self) -> tuple[str, str] | None:
        """Give a code and a message while nothing may be done."""
        if self._stopping:
            return "stopping", "the bot's worker is stopping; nothing was written"
        if self._paused:
            return "paused", f"{self._config.name} is paused; nothing was written"
        return None

    def _make_posts(self) -> Posts | None:
        parts = self._parts
        if parts.config.post is None or parts.posting is None:
            return None
        return Posts(
            parts.config.post,
            parts.posting,
            clock=parts.clock,
            zone=parts.zone,
            tasks=self._tasks,
            link=parts.link,
            may_plan=self._may_work,
        )

    def _make_tidying(self) -> Tidying | None:
        parts, reply = self._parts, self._config.reply
        if reply is None or reply.delete_below is None or self._config.dry_run:
            return None
        return Tidying(
            parts.platform,
            parts.writer,
            at_or_under=reply.delete_below,
            poll_seconds=self._config.poll.interval,
            clock=parts.clock,
            tasks=self._tasks,
            link=parts.link,
            may_work=self._may_work,
        )

    def _beat(self) -> None:
        self._link.send({"event": "beat"})
        if self._parts.calls.is_stuck():
            _log.error("worker.stuck", error="a remote call is far past its limit")
            self._exit = EXIT_STUCK
            self._end()
            return
        self._follow_clock()
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _follow_clock(self) -> None:
        """See whether the wall clock was set meanwhile: what waits for no time of day must not wait longer for it."""
        begun = self._clock.now() - timedelta(seconds=asyncio.get_running_loop().time())
        jump = begun - (self._begun or begun)
        self._begun = begun
        is_set = abs(jump) >= CLOCK_SET
        self._tasks.follow_clock(jump if is_set else None, but=("post",))
        if is_set and self._posts and self._ready.is_set():
            self._posts.follow_clock()

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
        op = str(command.get("op"))
        handle = self._commands.get(op)
        if handle:
            self._tasks.track(handle(), "command")
        elif op in self._errand_commands:
            self._errand_commands[op](command)

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
        if not self._ready.is_set():
            return
        waiting, self._put_back = list(self._put_back.values()), {}
        for found in waiting:
            self._start_item(found)
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
        writing = self._parts.writer.under_way_task
        self._tasks.drop_work(but=writing)
        if writing is not None:
            await asyncio.wait([writing], timeout=wait_seconds)
        return self._parts.writer.under_way

    # -- reading -----------------------------------------------------------------------------

    def _plan_poll(self, seconds: float) -> None:
        # First: what is planned from here on is in the new time already.
        self._follow_clock()
        if self._may_work():
            # Not WORK: a poll is let end at a pause, for what it has read is not shown again.
            self._tasks.plan("poll", self._poll, self._clock.now() + timedelta(seconds=seconds), task_name="poll")

    async def _poll(self) -> None:
        try:
            # In this order: what the listings show as a stranger's remark, the inbox may know as an answer to us.
            # What the listings gave is not given again, so it is kept while the inbox can't be read.
            self._read += [self._find(item, None) for item in await self._platform.feed()]
            notices = await self._platform.inbox()
            listed, self._read = self._read, []
            self._take(notices, listed)
            self._poll_failures = 0
            await self._plan_next_poll()
            if not self._has_polled:
                # The first page is the largest; an idle bot never needs as much again.
                self._has_polled = True
                trim()
        except Retry as exc:
            self._plan_poll(max(exc.after, LEAST_POLL_SECONDS))
        except (Down, Refused) as exc:
            self._note_failed_poll(exc)
            await self._account.look_after(exc)
            self._plan_failed_poll()
        except AuthDead:
            raise
        except Exception as exc:  # noqa: BLE001 - a bot that reads no more must not look alive
            self._note_failed_poll(exc)
            _log.error("poll.crashed", error=repr(exc), exc_info=exc)
            self._plan_failed_poll()

    def _note_failed_poll(self, exc: Exception) -> None:
        self._poll_failures += 1
        self._link.report(reading=False)
        self._link.trouble(f"reading: {exc if isinstance(exc, PlatformError) else repr(exc)}")
        _log.warning("poll.failed", error=str(exc), attempt=self._poll_failures)

    def _plan_failed_poll(self) -> None:
        self._plan_poll(max(self._config.poll.interval, _POLL.compute_ceiling(self._poll_failures)))

    async def _plan_next_poll(self) -> None:
        seconds = await self._parts.calls.run(
            lambda: self._parts.gate.stretch(
                interval_seconds=self._config.poll.interval, requests_per_poll=self._parts.requests_per_poll
            ),
            limit_seconds=LOCAL_SECONDS,
        )
        self._link.report(poll_interval_s=round(seconds, 1), reading=True)
        self._plan_poll(seconds)

    def _take(self, notices: Sequence[Notice], listed: Sequence[Found]) -> None:
        # Notices first: they say why a thing concerns the bot, the listing of the same thing does not.
        for notice in notices:
            self._desk.note(notice)
            self._begin(self._find(notice.item, notice.reason))
        for found in listed:
            self._begin(found)
        self._mark_soon()

    def _find(self, item: Item, reason: Reason | None) -> Found:
        """Take note of how old a thing is, before the wall clock may be set; its time begins with `_start_item`."""
        age_seconds = (self._clock.now() - item.created_at).total_seconds()
        return Found(item, reason, deadline=0.0, made_at=self._clock.monotonic() - age_seconds)

    def _begin(self, found: Found) -> None:
        if self._desk.begin(found.item.ref):
            self._start_item(found)

    def _start_item(self, found: Found) -> None:
        """Give a thing its time: from now on for one of a listing, for a notice from when it was written."""
        assert found.made_at is not None
        deadline = self._clock.monotonic() + ITEM_SECONDS
        if found.reason is not None:
            deadline = found.made_at + self._config.poll.inbox_lookback
        self._go_on(replace(found, deadline=deadline))

    def _go_on(self, found: Found) -> None:
        if self._may_work():
            self._tasks.track(self._work(found), WORK)
        else:
            self._put_back[found.item.ref] = found

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
            asyncio.get_running_loop().call_later(end.seconds, self._go_on, end.found)
            return
        self._finish(found, end)

    def _fail(self, found: Found, exc: Exception) -> Verdict:
        verdict = Verdict.of(Why.ERROR, detail=f"{type(exc).__name__}: {exc}"[:300])
        _log.error("item.crashed", thing=found.item.ref, error=verdict.detail, exc_info=exc)
        self._link.trouble(f"an item failed inside: {verdict.detail}")
        self._link.count("submissions" if found.item.kind is Kind.SUBMISSION else "comments")
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
            asyncio.get_running_loop().call_later(0.2, lambda: self._tasks.track(self._mark_read(), "mark"))

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
