"""Every slot made, once: which posts are due, and what became of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hotshotd.config.schedule import Cron, DailyTimes, Every, Schedule, WeeklyTimes
from hotshotd.config.schema import BotConfig
from simulation.loop import SimClock, SimLoop

Fail = Callable[[str, str], None]

_MINUTE = timedelta(minutes=1)
#: From its slot to its end a post may take so long: its own quarter of an hour, and what was under way before; seconds.
_POST_SECONDS = 1200.0
#: After failed posts the next one waits: so long after the first, twice as long after each other (contract); seconds.
_BACK_OFF_SECONDS, _LONGEST_BACK_OFF_SECONDS = 15.0, 3600.0
#: Around a slot on the clock's own second, or a start just then, either is right; seconds.
_EDGE_SECONDS = 60.0
#: The worker sees at its next sign of life that the clock was set, and these are an hour apart here; seconds.
_CLOCK_SECONDS = 3700.0
#: Slots of a bot that are remembered.
_KEPT = 60


@dataclass(slots=True)
class _Slot:
    """Local times that fall on one moment: `due` on the machine's clock, `at` in seconds from the start."""

    keys: list[str]
    due: datetime
    at: float
    #: Until when it waits for posts before it that failed; of several that do the first is made.
    held_until: float = 0.0
    is_dropped: bool = False
    made: bool = False
    ended: bool = False


@dataclass(slots=True)
class _Bot:
    """What one bot was to post, and did. `working_since` is None while it is not at work."""

    config: BotConfig
    slots: deque[_Slot] = field(default_factory=lambda: deque(maxlen=_KEPT))
    posts: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    working_since: float | None = None
    working_since_wall: datetime | None = None
    last_end: float = 0.0
    failures: int = 0
    held_until: float = 0.0


class Slots:
    """Watches the posts of all bots.

    A slot is a minute of the zone that the machine's clock comes to for the first time, found by walking one minute
    after the other: those that a clock change skips come together, one that is repeated was there already.
    """

    def __init__(self, loop: SimLoop, clock: SimClock, *, zone: str, fail: Fail) -> None:
        self._loop = loop
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._fail = fail
        self._bots: dict[str, _Bot] = {}
        self._walked = clock.now().replace(second=0, microsecond=0)
        self._first = self._reached = self._walked.astimezone(self._zone).replace(tzinfo=None)
        self._clock_set_at = -_CLOCK_SECONDS

    def add_bot(self, config: BotConfig) -> None:
        if config.post is not None:
            self._bots[config.name] = _Bot(config)

    # -- what happens ----------------------------------------------------------------------------

    def set_clock(self, change: Callable[[], None]) -> None:
        """Have the machine's clock set. Slots that it jumps over need not be made."""
        self.walk()
        change()
        self._clock_set_at = self._loop.elapsed
        self.walk()

    def note_work(self, bot: str, *, works: bool) -> None:
        """A bot begins to be at work, or ends it: signed in, its own things read, neither paused nor stopping."""
        it = self._bots.get(bot)
        if it is None or works == (it.working_since is not None):
            return
        if not works:
            # What was due long enough before should be over; the rest may be made when it comes back.
            self._judge(it)
        it.working_since = self._loop.elapsed if works else None
        it.working_since_wall = self._clock.now() if works else None
        if works and it.failures:
            # What was missed meanwhile waits as if it had failed just now.
            self._hold(it)
            for slot in it.slots:
                slot.held_until = it.held_until

    def _hold(self, it: _Bot) -> None:
        """Let the next post wait for those before it that failed."""
        pause = _BACK_OFF_SECONDS * 2.0 ** min(it.failures - 1, 20) if it.failures else 0.0
        it.held_until = self._loop.elapsed + min(pause, _LONGEST_BACK_OFF_SECONDS)

    def note_post(self, bot: str, key: str) -> None:
        """A bot has published a post for a slot."""
        self.walk()
        it, now = self._bots[bot], self._loop.elapsed
        schedule = _schedule_of(it.config)
        if isinstance(schedule, Every):
            self._judge_every(it, schedule)
        else:
            self._judge_post(it, key)
        it.posts.append(now)

    def _judge_every(self, it: _Bot, schedule: Every) -> None:
        too_soon = it.posts and self._loop.elapsed - it.posts[-1] < schedule.seconds - _EDGE_SECONDS
        if too_soon and self._clock_set_at < it.posts[-1] - _CLOCK_SECONDS:
            seconds = self._loop.elapsed - it.posts[-1]
            what = f"{it.config.name}: {seconds:.0f} s after the last, not {schedule.seconds:g}"
            self._fail("no slot made twice", what)

    def _judge_post(self, it: _Bot, key: str) -> None:
        name = it.config.name
        slot = next((slot for slot in it.slots if key in slot.keys), None)
        if slot is None:
            # Slots that passed before the start are caught up, and nobody walked there.
            if datetime.fromisoformat(key) > self._first:
                self._fail("a post is for a slot", f"{name}: nothing is due at {key}, or not yet")
            return
        assert it.config.post is not None
        if slot.made:
            self._fail("no slot made twice", f"{name}: {' and '.join(slot.keys)}")
        late = (self._clock.now() - slot.due).total_seconds()
        if late > it.config.post.catch_up + _POST_SECONDS and self._clock_set_at < slot.at - _CLOCK_SECONDS:
            self._fail("no slot made too late", f"{name}: {key}, {late:.0f} s late")
        slot.made = True

    def note_end(self, bot: str, key: str, *, published: bool) -> None:
        """A bot told the outcome of a post."""
        self.walk()
        it = self._bots[bot]
        it.last_end = self._loop.elapsed
        it.failures = 0 if published else it.failures + 1
        self._hold(it)
        # None: one that was caught up from before the start.
        slot = next((slot for slot in it.slots if key in slot.keys), None)
        if slot is not None:
            slot.ended = True
            if published and not slot.made:
                self._fail("every slot made", f"{bot}: {key} counts as published, and there is no post")
        for other in it.slots:
            # One at a time: a slot that passes while the post of one before it is being made is one with it.
            other.is_dropped = other.is_dropped or slot is None or other.due > slot.due

    def is_full(self, bot: str) -> bool:
        """Tell whether a bot has made the most posts of a day."""
        it = self._bots[bot]
        assert it.config.post is not None
        midnight = self._clock.now().astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        made = [self._tell_time(post) for post in it.posts]
        return sum(moment >= midnight for moment in made) >= it.config.post.max_per_day

    # -- what should have happened -----------------------------------------------------------------

    def check(self) -> None:
        """Look whether every slot of a bot at work came to its end."""
        self.walk()
        for it in self._bots.values():
            self._judge(it)

    def walk(self) -> None:
        """Take every minute that the machine's clock has come to since the last time."""
        now = self._clock.now()
        while self._walked + _MINUTE <= now:
            self._walked += _MINUTE
            local = self._walked.astimezone(self._zone).replace(tzinfo=None)
            while self._reached < local:
                self._reached += _MINUTE
                self._note_due(self._loop.elapsed - (now - self._walked).total_seconds())

    def _note_due(self, at: float) -> None:
        for it in self._bots.values():
            if _is_slot(_schedule_of(it.config), self._reached):
                key = self._reached.isoformat(timespec="minutes")
                if it.slots and it.slots[-1].due == self._walked:
                    it.slots[-1].keys.append(key)
                else:
                    others = any(slot.at > it.last_end for slot in it.slots)
                    is_dropped = others and at < it.held_until
                    it.slots.append(_Slot([key], self._walked, at, held_until=it.held_until, is_dropped=is_dropped))

    def _judge(self, it: _Bot) -> None:
        since, schedule = it.working_since, _schedule_of(it.config)
        if since is None:
            return
        if isinstance(schedule, Every):
            self._judge_interval(it, schedule, since)
            return
        later: _Slot | None = None
        for slot in reversed(it.slots):
            is_over = self._loop.elapsed - max(since, slot.at, slot.held_until) > _POST_SECONDS
            if is_over and not (slot.made or slot.ended) and not self._is_excused(it, slot, since, later):
                self._fail("every slot made", f"{it.config.name}: {' and '.join(slot.keys)} was neither made nor ended")
            later = slot

    def _is_excused(self, it: _Bot, slot: _Slot, since: float, later: _Slot | None) -> bool:
        if slot.is_dropped or self._clock_set_at >= slot.at - _CLOCK_SECONDS:
            return True
        assert it.config.post is not None
        assert it.working_since_wall is not None
        begun = max(since, slot.at)
        # Reddit is the memory of what was posted: a post that was made later than the slot was due counts for it.
        newest = max((post for post in it.posts if post <= begun), default=None)
        if newest is not None and self._tell_time(newest + _EDGE_SECONDS) >= slot.due:
            return True
        if since <= slot.at - _EDGE_SECONDS:
            return False
        # It came back to work behind the slot: what is older than `catch_up` is forgotten, and all but the latest.
        missed = (it.working_since_wall - slot.due).total_seconds()
        is_last = later is None or later.at > since + _EDGE_SECONDS
        return missed > it.config.post.catch_up - _EDGE_SECONDS or not is_last

    def _tell_time(self, at: float) -> datetime:
        """Give a moment, in seconds from the start, by the machine's clock as it is now."""
        return self._clock.now() - timedelta(seconds=self._loop.elapsed - at)

    def _judge_interval(self, it: _Bot, schedule: Every, since: float) -> None:
        last = max(it.posts[-1] if it.posts else 0.0, since, it.last_end, self._clock_set_at + _CLOCK_SECONDS)
        if self._loop.elapsed - last > schedule.seconds + _LONGEST_BACK_OFF_SECONDS + _POST_SECONDS:
            self._fail("every slot made", f"{it.config.name}: nothing since day {last / 86_400:.4f}")


def _schedule_of(config: BotConfig) -> Schedule:
    assert config.post is not None
    return config.post.schedule


def _is_slot(schedule: Schedule, local: datetime) -> bool:
    """Tell whether a local minute is a slot; of crontab's language only what the bots here speak."""
    time = (local.hour, local.minute)
    if isinstance(schedule, DailyTimes):
        return time in schedule.times
    if isinstance(schedule, WeeklyTimes):
        return time in schedule.by_weekday.get(local.weekday(), ())
    if isinstance(schedule, Cron):
        assert (schedule.day, schedule.month, schedule.weekday) == ("*", "*", "*"), "not taught here"
        return _matches(schedule.hour, local.hour) and _matches(schedule.minute, local.minute)
    return False


def _matches(field: str, number: int) -> bool:
    every, _, step = field.partition("/")
    return number % int(step or 1) == 0 if every == "*" else number == int(every)
