"""What is promised, and whether it holds: told of everything that happens, it remembers the first breach."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hotshotd.admission import Ask
from hotshotd.brain.verdict import Why
from hotshotd.config.schema import BotConfig
from hotshotd.errors import BreakerOpen, KnockFirst, PaceExceeded, QuotaExceeded, QuotaUnavailable
from hotshotd.platform import Item, Reason, Ref
from simulation.causes import ALL, Causes
from simulation.excuses import Excuses
from simulation.loop import Process, SimClock, SimLoop
from simulation.money import Money
from simulation.seen import KEYWORD, STOP, Due, Life, Reply, Spoken, is_by, is_forced, is_said_to, name_model, thread_of
from simulation.slots import Slots

#: How much longer than three intervals a bot may not read. It sees that the clock was set once an hour here; seconds.
_POLL_SLACK_SECONDS = 4500.0
#: After the deadline, how long an answer under way may take; seconds.
_SLACK_SECONDS = 1200.0
#: With nothing amiss, how much longer than two polls an answer may take: others come before it; seconds.
_PROMPT_SECONDS = 1800.0
#: After a fault's end it may take so long until the next try: what waits, waits half a minute; seconds.
AMISS_SECONDS = 60.0
#: How long a quota process may be away after each of its deaths, or its disk's; seconds.
_QUOTA_BACK_SECONDS = 60.0
#: A breaker is open for no longer after a failure: the longest pause that a service may ask for; seconds.
_BREAKER_SECONDS = 3600.0
#: While one request tries out whether a service is back, others wait for its answer; seconds.
_PROBE_SECONDS = 130.0


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken promise: which, when (seconds from the start, step of the loop), and what was seen."""

    promise: str
    at: float
    step: int
    detail: str

    def __str__(self) -> str:
        return f"{self.promise} (day {self.at / 86_400:.4f}, step {self.step}): {self.detail}"


class Promises:
    """See the top of the file."""

    def __init__(self, loop: SimLoop, clock: SimClock, *, zone: str, caps: tuple[int | None, int | None]) -> None:
        self._loop = loop
        self._clock = clock
        self._bots: dict[str, Spoken] = {}
        self._names: dict[str, str] = {}
        self._due: dict[tuple[str, Ref], Due] = {}
        self._lives: dict[int, Life] = {}
        self._hash = hashlib.blake2b(digest_size=16)
        self.money = Money(loop, clock, zone=zone, caps=caps)
        self.slots = Slots(loop, clock, zone=zone, fail=self.fail)
        self.causes = Causes(loop)
        self.excuses = Excuses(
            loop, clock, zone=zone, bots=self._bots, causes=self.causes, money=self.money, slots=self.slots
        )
        #: Until when the quota process may be away, and the last day on which a damaged ledger grants nothing.
        self._quota_away_until = 0.0
        self._damaged_on = date.min
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

    # -- lives -----------------------------------------------------------------------------------

    def add_bot(self, config: BotConfig) -> None:
        self._bots[config.name] = Spoken(config)
        self._names[config.reddit.username] = config.name
        self.money.add_bot(config.name)
        self.slots.add_bot(config)

    def get_bot(self, account: str) -> str:
        """Give the name of the bot of an account."""
        return self._names[account]

    def begin_life(self, process: Process, bot: str) -> None:
        self._lives[id(process)] = Life(bot)

    def end_life(self, process: Process) -> None:
        self._lives.pop(id(process), None)

    def note_work(self, bot: str, *, works: bool) -> None:
        """A bot is at work from now on, or is not: signed in, its own things read, neither paused nor stopping."""
        spoken = self._bots[bot]
        if works != (spoken.working_since is not None):
            self.slots.note_work(bot, works=works)
            spoken.working_since = self._loop.elapsed if works else None

    def set_clock(self, offset: timedelta) -> None:
        """Set the machine's clock."""
        self.money.note_day()
        self.slots.set_clock(lambda: setattr(self._clock, "offset", offset))
        self.money.note_day()
        for bot in self._bots:
            # Seen at the worker's next sign of life, and these are an hour apart here.
            self.causes.note_amiss(bot, "clock", seconds=3700.0)

    # -- money ---------------------------------------------------------------------------------

    def note_received(self, bot: str, chars: int) -> None:
        """A metered service has received characters."""
        self.tell("received", bot, chars)
        self.count("requests received")
        self.money.note_received(bot, chars, self.fail)

    def note_quota_end(self) -> None:
        """The quota process has ended."""
        self.money.note_end()
        self.note_quota_away(seconds=0.0)

    def note_quota_start(self) -> None:
        """A quota process begins."""
        self.money.note_start(max(self._loop.elapsed, self._quota_away_until))

    def note_quota_away(self, *, seconds: float) -> None:
        """The quota process can grant nothing for so long."""
        self._quota_away_until = max(self._quota_away_until, self._loop.elapsed + seconds + _QUOTA_BACK_SECONDS)

    def note_quota_damaged(self) -> None:
        """The ledger is not what it was: nothing is granted until the next day."""
        self._damaged_on = self.money.note_day() + timedelta(days=1)

    def note_refused(self, bot: str, ask: Ask, exc: Exception) -> None:
        """A request was not allowed: see that there is a reason."""
        role = ask.role.value
        if isinstance(exc, PaceExceeded):
            if self._bots[bot].config.pace != "even":
                self.fail("what is left is granted", f"{bot}: kept for later, and its pace is greedy")
            self.causes.note_amiss(bot, "pace", seconds=(exc.resets_at - self._clock.now()).total_seconds())
        elif isinstance(exc, QuotaExceeded):
            self.money.judge_refusal(bot, ask.chars, self.fail)
            self.causes.note(bot, "over budget")
        elif isinstance(exc, QuotaUnavailable):
            self._judge_away(bot, str(exc))
            self.causes.note_amiss(bot, "quota", seconds=AMISS_SECONDS)
        elif isinstance(exc, BreakerOpen) and not isinstance(exc, KnockFirst):
            model = name_model(ask)
            probed = self.causes.is_unwell(model) and self.causes.saw(ALL, f"{model} asked", within=_PROBE_SECONDS)
            away = self.causes.saw(ALL, role, within=_BREAKER_SECONDS) or probed
            # Six requests whose answers are under way count as unserved, though nothing has failed.
            away = away or self.causes.is_crowded(bot, ask.service)
            if not away and self.causes.gone_until(model) < self._loop.elapsed:
                self.fail("what is well is asked", f"{bot}: {exc}")
            self.causes.note_amiss(bot, f"{role}: open", seconds=(exc.retry_after or 0.0) + AMISS_SECONDS)

    def _judge_away(self, bot: str, why: str) -> None:
        if self._loop.elapsed > self._quota_away_until and self.money.note_day() > self._damaged_on:
            self.fail("the quota process comes back", f"{bot}: {why}")

    # -- what is published -----------------------------------------------------------------------

    def note_passed(self, bot: str, moderator: str, text: str) -> None:
        """A moderator has passed a text."""
        self._bots[bot].passed.setdefault(text, set()).add(moderator)

    def _check_moderated(self, bot: str, text: str) -> None:
        spoken = self._bots[bot]
        missing = set(spoken.config.safety.moderators) - spoken.passed.get(text, set())
        if missing:
            self.fail("nothing unmoderated", f"{bot}: {sorted(missing)} did not pass {text[:80]!r}")
        if KEYWORD in text:
            self.fail("no keyword published", f"{bot}: {text[:80]!r}")
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
        self._due.pop((bot, parent.ref), None)
        author = parent.author.key if parent.author is not None else ""
        spoken.replies.append(Reply(self._clock.now(), self._clock.true_now(), thread_of(parent), author))
        reply = spoken.config.reply
        footer = f"\n\n{reply.footer}" if reply is not None and reply.footer else ""
        self._check_moderated(bot, item.text.removesuffix(footer))
        if author in spoken.opted_out:
            self.fail("who said stop is not answered", f"{bot}: {parent.ref} by {author}")

    def note_post(self, account: str, item: Item, slot: str, *, has_picture: bool) -> None:
        bot = self._names[account]
        spoken = self._bots[bot]
        self.tell("post", bot, slot, item.ref)
        self.count("posts")
        if slot in spoken.slots:
            self.fail("no slot made twice", f"{bot}: {slot} by {spoken.slots[slot]} and {item.ref}")
        spoken.slots[slot] = item.ref
        self.slots.note_post(bot, slot)
        words = item.title if has_picture else f"{item.title}\n\n{item.text}".strip()
        self._check_moderated(bot, words)

    def note_block(self, account: str, author: str) -> None:
        """A bot has blocked somebody, whose notices go."""
        bot = self._names[account]
        self._bots[bot].opted_out.add(author)
        for name, ref in [key for key, due in self._due.items() if key[0] == bot and is_by(due.item, author)]:
            del self._due[name, ref]

    def note_forbidden(self, process: Process) -> None:
        """A write was forbidden."""
        life = self._lives.get(id(process))
        if life is not None:
            life.forbidden += 1

    # -- nothing lost -----------------------------------------------------------------------------

    def note_notice(self, account: str, item: Item, reason: Reason) -> None:
        """An unread notice has come into a bot's inbox."""
        bot = self._names[account]
        config = self._bots[bot].config
        if item.author is not None and item.text == STOP:
            self._bots[bot].said_stop.add(item.author.key)
        if config.reply is None or not is_forced(item, reason, config):
            return
        deadline = self._loop.elapsed + config.poll.inbox_lookback
        before = self.excuses.count_hopeless(bot)
        self._due[bot, item.ref] = Due(item, deadline, self._loop.elapsed, before)

    def note_marked(self, account: str, ref: Ref) -> None:
        """A notice was taken off the inbox."""
        bot = self._names[account]
        if (bot, ref) in self._due:
            self.fail("nothing lost", f"{bot}: the notice of {ref} was marked read without an end")

    def note_given(self, process: Process, items: Sequence[tuple[Item, Reason | None]]) -> None:
        """A worker was given things to handle."""
        life = self._lives.get(id(process))
        if life is None:
            return
        config = self._bots[life.bot].config
        for item, reason in items:
            if item.ref not in life.done:
                # What is said to the bot a listing may show before the inbox does.
                is_listed = reason is None and not is_said_to(
                    config.reddit.username, item, self.excuses.above(item)[:1]
                )
                span = 900.0 if is_listed else config.poll.inbox_lookback
                deadline, _ = life.open.get(item.ref, (0.0, item))
                life.open[item.ref] = (max(deadline, self._loop.elapsed + span), item)

    def note_poll(self, account: str) -> None:
        """A bot has asked for what is new."""
        self._bots[self._names[account]].polled = self._loop.elapsed

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
        due = self._due.get((life.bot, ref))
        if due is not None:
            self._judge_end(life, due, outcome, why)
        life.done.add(ref)
        life.open.pop(ref, None)

    def _judge_end(self, life: Life, due: Due, outcome: str, why: Why) -> None:
        """See that the reason is a documented one, and true."""
        name = f"{life.bot}: {due.item.ref}"
        if outcome == "replied":
            self.fail("nothing lost", f"{name} counts as replied, and there is no reply")
        elif not self.excuses.is_true(life, due, why):
            minutes = (due.deadline - self._loop.elapsed) / 60
            self.fail("nothing lost", f"{name} ended with {outcome} {why.value}, {minutes:.0f} min before its deadline")
        del self._due[life.bot, due.item.ref]

    def note_post_end(self, bot: str, facts: dict[str, Any]) -> None:
        """A worker told the outcome of a post."""
        slot, outcome, why = str(facts["slot"]), str(facts["outcome"]), Why(str(facts["reason"]))
        self.tell("post end", bot, slot, outcome, why.value)
        self.counts[f"post {outcome} {why.value}"] += 1
        if why is Why.ERROR:
            self.fail("nothing crashes inside", f"{bot}: post of {slot}: {facts.get('detail')}")
        self.slots.note_end(bot, slot, published=outcome == "published")
        if outcome != "published" and not self.excuses.is_true_of_post(bot, why):
            self.fail("every slot made", f"{bot}: {slot} ended with {outcome} {why.value}, for which nothing was seen")

    # -- what should have happened -----------------------------------------------------------------

    def check(self) -> None:
        """Look at what should be over by now."""
        self.money.note_day()
        self.slots.check()
        for bot, spoken in self._bots.items():
            if spoken.working_since is not None and spoken.config.reply is not None:
                self._check_poll(bot, spoken, spoken.working_since)
        for (bot, ref), due in self._due.items():
            self._check_due(bot, ref, due)
        for life in self._lives.values():
            self._check_life(life)

    def _check_poll(self, bot: str, spoken: Spoken, since: float) -> None:
        last = max(spoken.polled, since)
        if self._loop.elapsed - last > 3 * spoken.config.poll.interval + _POLL_SLACK_SECONDS:
            self.fail("a bot at work reads", f"{bot}: not since day {last / 86_400:.4f}")

    def _check_due(self, bot: str, ref: Ref, due: Due) -> None:
        """Whoever is at work ends a thing: soon where nothing is amiss, and whatever is, when its time is over."""
        spoken, now = self._bots[bot], self._loop.elapsed
        if spoken.working_since is None:
            return
        two_polls = 2 * spoken.config.poll.interval
        well_since = max(due.made_at, spoken.working_since, self.causes.amiss_until(bot))
        if now - well_since > two_polls + _PROMPT_SECONDS:
            self.fail("nothing lost", f"{bot}: {ref} of day {due.made_at / 86_400:.4f} waits, and nothing is amiss")
        if now - max(due.deadline, spoken.working_since) > two_polls + _POLL_SLACK_SECONDS + _SLACK_SECONDS:
            self.fail("nothing lost", f"{bot}: {ref} of day {due.made_at / 86_400:.4f} was never answered, nor ended")

    def _check_life(self, life: Life) -> None:
        since = self._bots[life.bot].working_since
        for ref, (deadline, _) in life.open.items():
            if since is not None and self._loop.elapsed - max(deadline, since) > _SLACK_SECONDS:
                self.fail("one final outcome", f"{life.bot}: {ref} was read and never ended")
        if len(life.done) > 20_000:
            life.done.clear()
