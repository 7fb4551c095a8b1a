"""What is promised, and whether it holds: told of everything that happens, it remembers the first breach."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from hotshotd.brain.verdict import Why
from hotshotd.config.schema import BotConfig
from hotshotd.platform import Item, Kind, Reason, Ref
from hotshotd.quota.days import compute_day, compute_month
from simulation.loop import Process, SimClock, SimLoop

#: Reasons with which an item that must be answered may end without an answer: each is documented.
DOCUMENTED = frozenset(
    {
        Why.OVER_BUDGET, Why.PACE, Why.KEYWORD, Why.MODERATION, Why.UNPUBLISHABLE, Why.DUPLICATE, Why.MAX_PER_THREAD,
        Why.MAX_PER_AUTHOR_HOUR, Why.MAX_PER_DAY, Why.MAX_LEVELS, Why.OPTED_OUT, Why.ALREADY_ANSWERED, Why.REFUSED,
        Why.MODEL_REFUSED, Why.TOO_LONG, Why.TOO_OLD, Why.DELETED, Why.REMOVED, Why.BANNED, Why.OWN,
    }
)  # fmt: skip

#: Reasons that may pass; such an end is right only when there was no time for another try.
PASSING = frozenset(
    {
        Why.QUOTA_UNAVAILABLE, Why.MODEL_UNAVAILABLE, Why.MODEL_GONE, Why.MODERATION_UNAVAILABLE,
        Why.DEADLINE, Why.RATE_LIMITED, Why.PLATFORM_DOWN, Why.UNKNOWN_OUTCOME,
    }
)  # fmt: skip

#: The longest wait for another try, an open breaker's included; seconds.
_LAST_TRY_SECONDS = 7200.0
#: How much longer than three intervals a bot may not read; seconds.
_POLL_SLACK_SECONDS = 7200.0
#: Between the last answer of a service and the end of an item that fails by it; seconds.
_SAME_TRY_SECONDS = 10.0
#: After the deadline, how long an answer under way may take; seconds.
_SLACK_SECONDS = 1200.0


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken promise: which, when (seconds from the start, step of the loop), and what was seen."""

    promise: str
    at: float
    step: int
    detail: str

    def __str__(self) -> str:
        return f"{self.promise} (day {self.at / 86_400:.4f}, step {self.step}): {self.detail}"


@dataclass(slots=True)
class _Spoken:
    """What one bot was seen to do."""

    config: BotConfig
    passed: dict[str, set[str]] = field(default_factory=dict)
    slots: dict[str, Ref] = field(default_factory=dict)
    answered: dict[Ref, Ref] = field(default_factory=dict)
    opted_out: set[str] = field(default_factory=set)
    received: Counter[date] = field(default_factory=Counter)


@dataclass(slots=True)
class _Due:
    """A thing that must be answered, or must end for a documented reason."""

    item: Item
    deadline: float
    made_at: float
    ended: str = ""


@dataclass(slots=True)
class _Life:
    """What one worker process was given and has ended."""

    bot: str
    open: dict[Ref, float] = field(default_factory=dict)
    done: set[Ref] = field(default_factory=set)


class Promises:
    """See the top of the file."""

    def __init__(self, loop: SimLoop, clock: SimClock, *, zone: str, caps: tuple[int | None, int | None]) -> None:
        self._loop = loop
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._daily_total, self._monthly_total = caps
        self._bots: dict[str, _Spoken] = {}
        self._names: dict[str, str] = {}
        self._total: Counter[date] = Counter()
        self._months: Counter[str] = Counter()
        self._due: dict[tuple[str, Ref], _Due] = {}
        self._queue: deque[tuple[float, str, Ref]] = deque()
        self._lives: dict[int, _Life] = {}
        self._hash = hashlib.blake2b(digest_size=16)
        #: Budgets in force on a day: the largest counts.
        self._budgets: dict[tuple[str, date], int | None] = {}
        self._day = date.min
        self.budget_of: Callable[[str], int | None] = lambda _bot: None
        #: Seconds of a bot's time in which it could not be expected to answer, by bot.
        self.hindered: dict[str, float] = {}
        self._polled: dict[str, float] = {}
        #: When a service last refused a request of a bot, or answered it with nonsense.
        self._refused: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.breach: Breach | None = None
        self.log: list[str] | None = None
        self.events = 0

    # -- the log -------------------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """Give a hash of everything that happened, in order."""
        return self._hash.hexdigest()

    def tell(self, *what: object) -> None:
        """Put an event into the log."""
        line = f"{self._loop.elapsed:.6f} {' '.join(map(str, what))}\n"
        self._hash.update(line.encode())
        self.events += 1
        if self.log is not None:
            self.log.append(line)

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def fail(self, promise: str, detail: str) -> None:
        """Note a breach; the first one ends the run."""
        if self.breach is None:
            self.breach = Breach(promise, self._loop.elapsed, self._loop.steps, detail)
            self.tell("BREACH", promise, detail)
            self._loop.stop()

    # -- money ---------------------------------------------------------------------------------

    def add_bot(self, config: BotConfig) -> None:
        self._bots[config.name] = _Spoken(config)
        self._names[config.reddit.username] = config.name

    def note_day(self) -> date:
        """Give the budget's day as the machine's clock has shown it so far: it never goes back."""
        self._day = max(self._day, compute_day(self._clock.now(), self._zone))
        return self._day

    def note_received(self, bot: str, chars: int) -> None:
        """A metered service has received characters."""
        day = self.note_day()
        spoken = self._bots[bot]
        spoken.received[day] += chars
        self._total[day] += chars
        self._months[compute_month(day)] += chars
        self.tell("received", bot, chars)
        self.count("requests received")
        budget = self.budget_of(bot)
        known = self._budgets.get((bot, day), 0)
        allowed = None if budget is None or known is None else max(budget, known)
        self._budgets[bot, day] = allowed
        if allowed is not None and spoken.received[day] > allowed:
            self.fail("no character over budget", f"{bot}: {spoken.received[day]} of {allowed} on {day}")
        if self._daily_total is not None and self._total[day] > self._daily_total:
            self.fail("no character over the daily cap", f"{self._total[day]} of {self._daily_total} on {day}")
        month = compute_month(day)
        if self._monthly_total is not None and self._months[month] > self._monthly_total:
            self.fail("no character over the monthly cap", f"{self._months[month]} of {self._monthly_total} in {month}")

    # -- what is published -----------------------------------------------------------------------

    def note_passed(self, bot: str, moderator: str, text: str) -> None:
        """A moderator has passed a text."""
        self._bots[bot].passed.setdefault(text, set()).add(moderator)

    def _check_moderated(self, bot: str, text: str) -> None:
        spoken = self._bots[bot]
        missing = set(spoken.config.safety.moderators) - spoken.passed.get(text, set())
        if missing:
            self.fail("nothing unmoderated", f"{bot}: {sorted(missing)} did not pass {text[:80]!r}")
        if len(spoken.passed) > 2000:
            for old in list(spoken.passed)[:1000]:
                del spoken.passed[old]

    def note_reply(self, account: str, parent: Item, item: Item) -> None:
        bot = self._names[account]
        spoken = self._bots[bot]
        self.tell("reply", bot, parent.ref, item.ref)
        self.count("replies")
        if parent.ref in spoken.answered:
            self.fail("nothing answered twice", f"{bot}: {parent.ref} by {spoken.answered[parent.ref]} and {item.ref}")
        spoken.answered[parent.ref] = item.ref
        if len(spoken.answered) > 20_000:
            for old in list(spoken.answered)[:10_000]:
                del spoken.answered[old]
        reply = spoken.config.reply
        footer = f"\n\n{reply.footer}" if reply is not None and reply.footer else ""
        self._check_moderated(bot, item.text.removesuffix(footer))
        if parent.author is not None and parent.author.key in spoken.opted_out:
            self.fail("who said stop is not answered", f"{bot}: {parent.ref} by {parent.author.key}")

    def note_post(self, account: str, item: Item, slot: str, *, has_picture: bool) -> None:
        bot = self._names[account]
        spoken = self._bots[bot]
        self.tell("post", bot, slot, item.ref)
        self.count("posts")
        if slot in spoken.slots:
            self.fail("no slot made twice", f"{bot}: {slot} by {spoken.slots[slot]} and {item.ref}")
        spoken.slots[slot] = item.ref
        words = item.title if has_picture else f"{item.title}\n\n{item.text}".strip()
        self._check_moderated(bot, words)

    def note_block(self, account: str, author: str) -> None:
        bot = self._names[account]
        self._bots[bot].opted_out.add(author)
        for (name, _), due in self._due.items():
            if name == bot and due.item.author is not None and due.item.author.key == author:
                due.ended = due.ended or Why.OPTED_OUT.value

    def note_refused(self, bot: str) -> None:
        """A service refused this one request, or talked nonsense: another try is not promised."""
        self._refused[bot] = self._loop.elapsed

    # -- nothing lost -----------------------------------------------------------------------------

    def note_notice(self, account: str, item: Item, reason: Reason) -> None:
        """An unread notice has come into a bot's inbox."""
        bot = self._names[account]
        config = self._bots[bot].config
        if config.reply is None or not _is_forced(item, reason, config):
            return
        deadline = self._loop.elapsed + config.poll.inbox_lookback
        self._due[bot, item.ref] = _Due(item, deadline, self._loop.elapsed)
        self._queue.append((deadline + _SLACK_SECONDS, bot, item.ref))

    def note_marked(self, account: str, ref: Ref) -> None:
        """A notice was taken off the inbox."""
        bot = self._names[account]
        due = self._due.get((bot, ref))
        if due is not None and not due.ended and ref not in self._bots[bot].answered:
            self.fail("nothing lost", f"{bot}: the notice of {ref} was marked read without an end")

    def note_given(self, process: Process, items: Sequence[tuple[Item, Reason | None]]) -> None:
        """A worker was given things to handle."""
        life = self._lives.get(id(process))
        if life is None:
            return
        config = self._bots[life.bot].config
        for item, reason in items:
            if item.ref not in life.done:
                span = 900.0 if reason is None else config.poll.inbox_lookback
                life.open[item.ref] = max(life.open.get(item.ref, 0.0), self._loop.elapsed + span)

    def note_poll(self, account: str) -> None:
        """A bot has asked for what is new."""
        self._polled[self._names[account]] = self._loop.elapsed

    def check_poll(self, bot: str) -> None:
        """Look whether a bot that is at work reads."""
        interval = self._bots[bot].config.poll.interval
        last = max(self._polled.get(bot, 0.0), self.hindered.get(bot, 0.0))
        if self._loop.elapsed - last > 3 * interval + _POLL_SLACK_SECONDS:
            self.fail("a bot at work reads", f"{bot}: not since day {last / 86_400:.4f}")

    def begin_life(self, process: Process, bot: str) -> None:
        self._lives[id(process)] = _Life(bot)

    def end_life(self, process: Process) -> None:
        self._lives.pop(id(process), None)

    def note_end(self, process: Process, facts: dict[str, Any]) -> None:
        """A worker told the final outcome of an item."""
        life = self._lives.get(id(process))
        if life is None:
            return
        ref, outcome, why = Ref(str(facts["thing"])), str(facts["outcome"]), Why(str(facts["reason"]))
        self.tell("end", life.bot, ref, outcome, why.value)
        self.counts[f"{outcome} {why.value}"] += 1
        if why is Why.ERROR:
            self.fail("nothing crashes inside", f"{life.bot}: {ref}: {facts.get('detail')}")
        if ref in life.done:
            self.fail("one final outcome", f"{life.bot}: {ref} ended a second time, {outcome} {why.value}")
        life.done.add(ref)
        life.open.pop(ref, None)
        self._judge_end(life.bot, ref, outcome, why)

    def note_post_end(self, bot: str, facts: dict[str, Any]) -> None:
        self.tell("post end", bot, facts["slot"], facts["outcome"], facts["reason"])
        self.counts[f"post {facts['outcome']} {facts['reason']}"] += 1
        if facts["reason"] == Why.ERROR.value:
            self.fail("nothing crashes inside", f"{bot}: post of {facts['slot']}: {facts.get('detail')}")

    def _judge_end(self, bot: str, ref: Ref, outcome: str, why: Why) -> None:
        due = self._due.get((bot, ref))
        if due is None or due.ended or ref in self._bots[bot].answered:
            return
        if outcome == "replied":
            self.fail("nothing lost", f"{bot}: {ref} counts as replied, and there is no reply")
        elif why in DOCUMENTED:
            due.ended = why.value
        elif why in PASSING:
            now = self._loop.elapsed
            # A machine whose clock is ahead takes things for older than they are.
            ahead = max(0.0, self._clock.offset.total_seconds())
            late = now + ahead + _LAST_TRY_SECONDS >= due.deadline
            hopeless = why is Why.MODEL_GONE or now - self._refused.get(bot, -9e9) < _SAME_TRY_SECONDS
            if late or hopeless:
                due.ended = why.value
            else:
                self.fail("nothing lost", f"{bot}: {ref} given up with {why.value} long before its deadline")
        else:
            self.fail("nothing lost", f"{bot}: {ref} must be answered, and ended with {outcome} {why.value}")

    def check_due(self) -> None:
        """Look at what should be over by now."""
        now = self._loop.elapsed
        while self._queue and self._queue[0][0] <= now:
            _, bot, ref = self._queue.popleft()
            due = self._due.pop((bot, ref))
            hindered = self.hindered.get(bot, -1.0)
            if ref in self._bots[bot].answered or due.ended or hindered >= due.made_at:
                continue
            self.fail("nothing lost", f"{bot}: {ref} of day {due.made_at / 86_400:.4f} was never answered, nor ended")
        for life in self._lives.values():
            for ref, deadline in life.open.items():
                if deadline + _SLACK_SECONDS < now and self.hindered.get(life.bot, -1.0) < deadline - 90_000:
                    self.fail("one final outcome", f"{life.bot}: {ref} was read and never ended")
            if len(life.done) > 20_000:
                life.done.clear()


def _is_forced(item: Item, reason: Reason, config: BotConfig) -> bool:
    assert config.reply is not None
    at_home = item.place.casefold() in {name.casefold() for name in config.reddit.subreddits}
    if reason is Reason.MENTION:
        return at_home
    return at_home and reason is Reason.POST_REPLY and config.reply.force_top_level and item.kind is Kind.COMMENT
