"""Days of 23 to 25 hours, midnights that are skipped or come twice: held against the calendar, second by second."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import pytest
from book import find_start
from hypothesis import example, given
from hypothesis import strategies as st

from hotshotd.quota import days

#: Berlin changes at 2 and 3 o'clock, Lord Howe by half an hour; in Havana and Cairo a midnight is skipped, and Havana's
#: first hour comes twice, Beirut's last one.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
)


@given(day=st.dates(date(2024, 1, 1), date(2030, 12, 31)), zone=st.sampled_from(ZONES))
@example(day=date(2026, 3, 7), zone="America/Havana")
@example(day=date(2026, 3, 8), zone="America/Havana")
@example(day=date(2026, 11, 1), zone="America/Havana")
@example(day=date(2026, 10, 24), zone="Asia/Beirut")
def test_day__begins_and_ends_where_the_calendar_turns(day, zone):
    """The first second shows the day, the one before does not; the end is the next one's beginning."""
    tz = ZoneInfo(zone)
    start, end = days.compute_day_start(day, tz), days.compute_day_end(day, tz)
    # In UTC: a time that comes twice is equal to none in another zone (PEP 495).
    assert start.astimezone(UTC) == find_start(day, zone)
    assert end.astimezone(UTC) == find_start(day + timedelta(days=1), zone)
    assert start.tzinfo is end.tzinfo is tz
    for moment, shown in ((start, day), (end, day + timedelta(days=1))):
        assert days.compute_day(moment.astimezone(UTC), tz) == shown
        # What is shown to people is the wall clock's first minute there is.
        assert moment.date() == shown


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Havana", "2026-03-08", 23),
        ("America/Havana", "2026-11-01", 25),
        ("Asia/Beirut", "2026-10-24", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ],
)
def test_fraction__goes_with_the_seconds_of_the_day(zone, day, hours):
    """However long the day is: 0 at its first second, a half when half of its hours are over, 1 at its end."""
    tz = ZoneInfo(zone)
    start, end = (compute(date.fromisoformat(day), tz) for compute in (days.compute_day_start, days.compute_day_end))
    for part in (0, 0.25, 0.5, 1):
        now = start.astimezone(UTC) + timedelta(hours=hours * part)
        assert days.compute_fraction(now, start=start, end=end) == pytest.approx(part)
        assert days.compute_moment(part, start=start, end=end).astimezone(UTC) == now


@given(day=st.dates(date(2024, 1, 1), date(2030, 12, 31)), zone=st.sampled_from(ZONES))
def test_month__is_that_of_the_calendar(day, zone):
    """From its first second to the next month's first; December's is the next year's."""
    tz = ZoneInfo(zone)
    after = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    assert days.compute_month_start(day, tz).astimezone(UTC) == find_start(day.replace(day=1), zone)
    assert days.compute_month_end(day, tz).astimezone(UTC) == find_start(after, zone)
    assert days.compute_month(day) == day.isoformat()[:7]
