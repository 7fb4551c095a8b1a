"""Loop guards: how often a bot has answered in a thread, to a person and on a day, and whether it may again.

A value: `record` gives a new one. What Reddit stores (own newest comments) gives the counts of threads
and of the day after a restart; whom those answered is not known, so persons are counted from memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Why
from hotshotd.platform import Item, Ref

_HOUR = timedelta(hours=1)

#: Threads remembered; people seldom answer in older ones.
THREADS_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Guards:
    """What the bot wrote lately.

    `day_start` is aware and in the configured zone: its zone says where a day begins. `threads` counts
    own comments by submission, `authors` holds when each person was answered within the last hour.
    """

    day_start: datetime
    written_at: tuple[datetime, ...] = ()
    threads: Mapping[Ref, int] = field(default_factory=dict)
    authors: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)

    @classmethod
    def from_own(cls, own_items: Iterable[Item], day_start: datetime) -> Guards:
        """Count what the bot's own newest comments tell."""
        items = sorted(own_items, key=lambda item: item.created_at)
        threads: dict[Ref, int] = {}
        for item in items:
            if item.submission is not None:
                threads[item.submission] = threads.get(item.submission, 0) + 1
        today = tuple(item.created_at for item in items if item.created_at >= day_start)
        return cls(day_start, today, threads)

    def count_today(self, now: datetime) -> int:
        """Count what was written on the calendar day of `now`."""
        start = max(self.day_start, _midnight_before(now, self.day_start))
        return sum(1 for moment in self.written_at if moment >= start)

    def refusal(self, item: Item, now: datetime, *, rules: ReplyRules) -> Why | None:
        """Give the first limit that an answer to `item` at `now` would pass, or None."""
        if rules.max_per_day is not None and self.count_today(now) >= rules.max_per_day:
            return Why.MAX_PER_DAY
        if self.threads.get(_thread_of(item), 0) >= rules.max_per_thread:
            return Why.MAX_PER_THREAD
        if item.author is not None and len(self._lately(item.author.key, now)) >= rules.max_per_author_hour:
            return Why.MAX_PER_AUTHOR_HOUR
        return None

    def record(self, item: Item, now: datetime) -> Guards:
        """Give the guards after an answer to `item` at `now`."""
        thread = _thread_of(item)
        start = _midnight_before(now, self.day_start)
        return replace(
            self,
            day_start=max(self.day_start, start),
            written_at=(*(moment for moment in self.written_at if moment >= start), now),
            threads=self._threads_with(thread),
            authors=self._authors_with(item, now),
        )

    def _threads_with(self, thread: Ref) -> Mapping[Ref, int]:
        # The one written in last stands last: those that are quiet the longest are forgotten first.
        others = {ref: count for ref, count in self.threads.items() if ref != thread}
        forgotten = max(0, len(others) + 1 - THREADS_KEPT)
        kept = dict(list(others.items())[forgotten:])
        return {**kept, thread: self.threads.get(thread, 0) + 1}

    def _authors_with(self, item: Item, now: datetime) -> Mapping[str, tuple[datetime, ...]]:
        kept = {key: lately for key in self.authors if (lately := self._lately(key, now))}
        if item.author is not None:
            kept[item.author.key] = (*kept.get(item.author.key, ()), now)
        return kept

    def _lately(self, key: str, now: datetime) -> tuple[datetime, ...]:
        return tuple(moment for moment in self.authors.get(key, ()) if now - moment < _HOUR)


def _thread_of(item: Item) -> Ref:
    return item.submission or item.ref


def _midnight_before(now: datetime, day_start: datetime) -> datetime:
    return now.astimezone(day_start.tzinfo).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
