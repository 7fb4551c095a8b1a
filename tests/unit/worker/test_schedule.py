"""Slots: which moment a schedule's next post is due at."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from hotshotd.config.schedule import Cron, DailyTimes, Every, Schedule, WeeklyTimes, parse_schedule
from hotshotd.worker.schedule import find_next, find_passed

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def collect(schedule: Schedule, start: str, end: str, zone: ZoneInfo) -> list[tuple[str, str]]:
    found, after = [], at(start)
    while (slot := find_next(schedule, after, zone, last_post=None)) and slot.due <= at(end):
        found.append((slot.key, slot.due.strftime("%m-%dT%H:%M")))
        after = slot.due
    return found


def test_find_next__takes_the_next_time_of_day() -> None:
    """Times of day are of the configured zone."""
    schedule = DailyTimes(((1, 0), (9, 0)))
    assert find_next(schedule, at("2026-11-24T00:30"), BERLIN, last_post=None).due == at("2026-11-24T08:00")  # type: ignore[union-attr]
    assert find_next(schedule, at("2026-11-24T08:00"), BERLIN, last_post=None).due == at("2026-11-25T00:00")  # type: ignore[union-attr]


def test_find_next__keeps_to_weekdays() -> None:
    """A weekday that is not named has no slot."""
    schedule = WeeklyTimes({0: ((9, 0),)})
    slot = find_next(schedule, at("2026-11-24T00:00"), UTC_ZONE, last_post=None)
    assert slot is not None
    assert slot.key == "2026-11-30T09:00"


@pytest.mark.parametrize(
    ("cron", "first"),
    [
        (Cron("0", "9", "*", "*", "1"), "2026-11-30T09:00"),
        (Cron("0", "9", "*", "*", "0"), "2026-11-29T09:00"),
        (Cron("0", "9", "*", "*", "7"), "2026-11-29T09:00"),
        (Cron("0", "9", "1", "*", "mon"), "2026-11-30T09:00"),
        (Cron("0", "9", "26", "*", "mon"), "2026-11-26T09:00"),
        (Cron("0", "0", "29", "2", "*"), "2028-02-29T00:00"),
        (Cron("*/20", "*", "*", "*", "*"), "2026-11-24T00:20"),
    ],
)
def test_find_next__reads_cron_as_crontab_does(cron: Cron, first: str) -> None:
    """0 and 7 are Sunday; a day of month and a weekday are joined by or."""
    slot = find_next(cron, at("2026-11-24T00:00"), UTC_ZONE, last_post=None)
    assert slot is not None
    assert slot.key == first


def test_find_next__makes_a_skipped_slot_right_after_the_gap() -> None:
    """On 2027-03-28 the clock in Berlin jumps from 02:00 to 03:00 (01:00 UTC)."""
    slots = collect(DailyTimes(((2, 30),)), "2027-03-27T12:00", "2027-03-29T12:00", BERLIN)
    assert slots == [("2027-03-28T02:30", "03-28T01:00"), ("2027-03-29T02:30", "03-29T00:30")]


def test_find_next__makes_a_repeated_slot_once() -> None:
    """On 2026-10-25 the hour from 02:00 comes twice in Berlin; the first counts."""
    slots = collect(DailyTimes(((2, 30),)), "2026-10-24T12:00", "2026-10-26T12:00", BERLIN)
    assert slots == [("2026-10-25T02:30", "10-25T00:30"), ("2026-10-26T02:30", "10-26T01:30")]


def test_find_next__joins_slots_that_fall_on_one_moment() -> None:
    """Three slots of a skipped hour are one post, not three in a minute."""
    slots = collect(DailyTimes(((2, 0), (2, 30), (3, 0))), "2027-03-27T12:00", "2027-03-28T12:00", BERLIN)
    assert [due for _, due in slots] == ["03-28T01:00"]


def test_find_next__every_counts_from_the_last_post() -> None:
    """With no post of its own a bot posts at once; otherwise the interval after the last one."""
    now = at("2026-11-24T12:00")
    assert find_next(Every(21600.0), now, UTC_ZONE, last_post=None).due == now  # type: ignore[union-attr]
    assert find_next(Every(21600.0), now, UTC_ZONE, last_post=at("2026-11-24T10:00")).due == at("2026-11-24T16:00")  # type: ignore[union-attr]
    assert find_next(Every(21600.0), now, UTC_ZONE, last_post=at("2026-11-20T10:00")).due == now  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3600.0, "2026-11-24T09:00"), (2400.0, "2026-11-24T09:00"), (2399.0, None)]
)
def test_find_passed__gives_the_latest_slot_in_time(seconds: float, expected: str | None) -> None:
    """Earlier ones are forgotten, and so is one that is older than that."""
    schedule = DailyTimes(((8, 45), (9, 0), (21, 0)))
    slot = find_passed(schedule, at("2026-11-24T09:40"), UTC_ZONE, within_seconds=seconds)
    assert (slot.key if slot else None) == expected


def test_find_next__a_clock_that_was_set_back_brings_no_slot_again() -> None:
    """The slot of nine o'clock was made at nine; at eight again, the next one is tomorrow's."""
    schedule = parse_schedule(["09:00"])
    made = datetime(2026, 11, 24, 9, 0, 5, tzinfo=UTC)
    slot = find_next(schedule, datetime(2026, 11, 24, 8, tzinfo=UTC), ZoneInfo("UTC"), last_post=made)
    assert slot is not None
    assert slot.due == datetime(2026, 11, 25, 9, tzinfo=UTC)
