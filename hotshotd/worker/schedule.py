"""When the next post is due: pure functions from a schedule, a moment and a zone to a slot.

A slot is a local date and time, which names it, and the moment it is due. Clock changes (issue: schedules): a slot in
the hour that
is skipped is due at the first moment after it, one in the repeated hour at its first occurrence only. Slots that fall
on one moment are one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hotshotd.config.schedule import Cron, CronSets, DailyTimes, Every, Schedule, TimeOfDay, WeeklyTimes, expand_cron

#: How far ahead a slot is looked for: "29 February, if a Monday" comes once in 28 years, or 40 around 2100.
_DAYS_AHEAD = 366 * 41

TimesOf = Callable[[date], tuple[TimeOfDay, ...]]


@dataclass(frozen=True, slots=True)
class Slot:
    """A post to be made; `due` is in UTC, `key` the local date and time it is planned for."""

    key: str
    due: datetime


def find_next(
    schedule: Schedule, after: datetime, zone: ZoneInfo, *, last_post: datetime | None, made: Container[str] = ()
) -> Slot | None:
    """Give the first slot that is due later than `after`; None when there is none in a lifetime.

    `last_post` is when the bot's newest own submission was made: `every` counts from it, and is due at once without
    one; no other schedule goes back behind it, nor to one of the slots `made` (their keys), so that a clock which was
    set back brings no slot a second time.
    """
    if isinstance(schedule, Every):
        due = after if last_post is None else max(after, last_post + timedelta(seconds=schedule.seconds))
        return Slot(due.astimezone(zone).replace(microsecond=0, tzinfo=None).isoformat(), due)
    since = after if last_post is None else max(after, last_post)
    start = since.astimezone(zone).date() - timedelta(days=1)
    slots = _generate_slots(schedule, start, zone)
    return next((slot for slot in slots if slot.due > since and slot.key not in made), None)


def find_passed(schedule: Schedule, now: datetime, zone: ZoneInfo, *, within_seconds: float) -> Slot | None:
    """Give the latest slot that passed within some time, or None.

    Earlier ones are forgotten: however long the bot was away, it makes one late post at most.
    """
    if isinstance(schedule, Every):
        return None
    since = now - timedelta(seconds=within_seconds)
    passed: Slot | None = None
    for slot in _generate_slots(schedule, since.astimezone(zone).date() - timedelta(days=1), zone):
        if slot.due > now:
            break
        if slot.due >= since:
            passed = slot
    return passed


def _generate_slots(schedule: Schedule, start: date, zone: ZoneInfo) -> Iterator[Slot]:
    times_of = _make_times_of(schedule)
    last: datetime | None = None
    for days in range(_DAYS_AHEAD):
        day = start + timedelta(days=days)
        for hour, minute in times_of(day):
            local = datetime.combine(day, time(hour, minute))
            due = resolve_local(local, zone)
            if last is None or due > last:
                last = due
                yield Slot(local.isoformat(timespec="minutes"), due)


def resolve_local(local: datetime, zone: ZoneInfo) -> datetime:
    """Give the moment (UTC) of a local time: the first of two, or the first after a gap."""
    due = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if due.astimezone(zone).replace(tzinfo=None) == local:
        return due
    # In a gap, fold=1 lies before the change and fold=0 after it (PEP 495).
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while due - before > timedelta(minutes=1):
        middle = before + (due - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            due = middle
    return due.replace(second=0, microsecond=0)


def _make_times_of(schedule: Schedule) -> TimesOf:
    if isinstance(schedule, DailyTimes):
        daily = schedule.times
        return lambda _day: daily
    if isinstance(schedule, WeeklyTimes):
        weekly = schedule.by_weekday
        return lambda day: weekly.get(day.weekday(), ())
    if isinstance(schedule, Cron):
        return _make_cron_times(expand_cron(schedule))
    raise AssertionError(f"no times in {schedule}")


def _make_cron_times(sets: CronSets) -> TimesOf:
    times = tuple((hour, minute) for hour in sorted(sets.hours) for minute in sorted(sets.minutes))

    def times_of(day: date) -> tuple[TimeOfDay, ...]:
        return times if _matches(sets, day) else ()

    return times_of


def _matches(sets: CronSets, day: date) -> bool:
    if day.month not in sets.months:
        return False
    in_days, in_weekdays = day.day in sets.days, day.weekday() in sets.weekdays
    # crontab(5): day of month and weekday are joined by "or" when both are restricted.
    if sets.day_is_set and sets.weekday_is_set:
        return in_days or in_weekdays
    return in_days and in_weekdays
