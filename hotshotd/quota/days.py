"""Calendar arithmetic of the budget's day and month. Pure; daylight saving included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


def compute_day(now: datetime, zone: ZoneInfo) -> date:
    """Give the calendar day in `zone`."""
    return now.astimezone(zone).date()


# Every request asks for the same few days.
@lru_cache(maxsize=8)
def compute_day_start(day: date, zone: ZoneInfo) -> datetime:
    """Give the first moment of `day`, aware, in `zone`.

    Where midnight is skipped by a clock change, the trip over UTC lands on the first minute there is.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).astimezone(zone)


def compute_day_end(day: date, zone: ZoneInfo) -> datetime:
    """Give the first moment of the day after `day`; never 24 hours on, for days have 23 to 25."""
    return compute_day_start(day + timedelta(days=1), zone)


def compute_month(day: date) -> str:
    """Give the calendar month as "YYYY-MM"."""
    return f"{day.year:04d}-{day.month:02d}"


def compute_month_start(day: date, zone: ZoneInfo) -> datetime:
    """Give the first moment of the month of `day`."""
    return compute_day_start(day.replace(day=1), zone)


def compute_month_end(day: date, zone: ZoneInfo) -> datetime:
    """Give the first moment of the month after that of `day`."""
    # The 1st plus 32 days is always in the next month.
    return compute_day_start((day.replace(day=1) + timedelta(days=32)).replace(day=1), zone)


def compute_fraction(now: datetime, *, start: datetime, end: datetime) -> float:
    """Give how much of [start, end] is over, in [0, 1]."""
    # Two datetimes of one zone are subtracted by wall clock, which is wrong on a day of 23 hours.
    begun, length = now.astimezone(UTC) - start.astimezone(UTC), end.astimezone(UTC) - start.astimezone(UTC)
    return min(1.0, max(0.0, begun / length))


def compute_moment(fraction: float, *, start: datetime, end: datetime) -> datetime:
    """Give when `fraction` of [start, end] is over, in the zone of `start`."""
    begin = start.astimezone(UTC)
    return (begin + (end.astimezone(UTC) - begin) * fraction).astimezone(start.tzinfo)
