"""The four forms of a schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.config.schedule import Cron, DailyTimes, Every, WeeklyTimes, expand_cron, parse_schedule
from hotshotd.config.values import FaultyValue


def test_parse_schedule__times_are_sorted_and_single() -> None:
    """A list is times of every day."""
    assert parse_schedule(["09:00", "1:00", "09:00"]) == DailyTimes(((1, 0), (9, 0)))


def test_parse_schedule__weekdays_in_short_and_in_full() -> None:
    """A mapping is times by weekday; Monday is 0."""
    parsed = parse_schedule({"mon": ["09:00"], "Sunday": ["23:59", "00:00"]})
    assert parsed == WeeklyTimes({0: ((9, 0),), 6: ((0, 0), (23, 59))})


def test_parse_schedule__every_and_cron() -> None:
    """The two single forms; a parsed schedule passes unchanged."""
    assert parse_schedule({"every": "6h"}) == Every(21600)
    cron = parse_schedule({"cron": "0 */6 * * *"})
    assert cron == Cron("0", "*/6", "*", "*", "*")
    assert parse_schedule(cron) is cron


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], ()),
        (["09:00", 9], (1,)),
        (["24:00"], (0,)),
        (["9:5"], (0,)),
        ({"mon": []}, ("mon",)),
        ({"mon": ["x"]}, ("mon", 0)),
        ({"monday": ["09:00"], "mon": ["09:00"]}, ("mon",)),
        ({"moonday": ["09:00"]}, ("moonday",)),
        ({"every": "0.5s"}, ("every",)),
        ({"every": 6}, ("every",)),
        ({"every": "6h", "cron": "* * * * *"}, ("cron",)),
        ({"cron": 5}, ("cron",)),
        ({"cron": "* * * *"}, ("cron",)),
        ({"cron": "@reboot"}, ("cron",)),
        ({"cron": "60 * * * *"}, ("cron",)),
        ({"cron": "* * 0 * *"}, ("cron",)),
        ({"cron": "* * * 13 *"}, ("cron",)),
        ({"cron": "* * * * 8"}, ("cron",)),
        ({"cron": "* * * * noday"}, ("cron",)),
        ({"cron": "5-1 * * * *"}, ("cron",)),
        ({"cron": "*/0 * * * *"}, ("cron",)),
        ({"cron": "*-5 * * * *"}, ("cron",)),
        ({"cron": "0 0 30 2 *"}, ("cron",)),
        ({"cron": "1,,2 * * * *"}, ("cron",)),
    ],
)
def test_parse_schedule__says_which_part_is_wrong(value: object, path: tuple[str | int, ...]) -> None:
    """Each fault carries its place inside the schedule."""
    with pytest.raises(FaultyValue) as caught:
        parse_schedule(value)
    assert [place for place, _ in caught.value.blames] == [path]


@pytest.mark.parametrize("value", [None, "09:00", 540, {}, True])
def test_parse_schedule__shows_the_forms(value: object) -> None:
    """What is no schedule at all is answered with what one looks like."""
    with pytest.raises(ValueError, match="a list of times"):
        parse_schedule(value)


def test_parse_schedule__collects_every_fault() -> None:
    """All faults at once, not one a run."""
    with pytest.raises(FaultyValue) as caught:
        parse_schedule({"mon": ["x", "09:00", "y"], "no": []})
    assert [place for place, _ in caught.value.blames] == [("mon", 0), ("mon", 2), ("no",)]


@pytest.mark.parametrize(
    ("weekday", "numbers"),
    [
        ("0", {6}),
        ("7", {6}),
        ("sun", {6}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("fri-sun", {4, 5, 6}),
        ("5-7", {4, 5, 6}),
        ("1,3", {0, 2}),
    ],
)
def test_expand_cron__counts_weekdays_from_monday(weekday: str, numbers: set[int]) -> None:
    """0 and 7 are Sunday in a crontab; here Monday is 0."""
    sets = expand_cron(Cron("0", "0", "*", "*", weekday))
    assert sets.weekdays == numbers
    assert (sets.day_is_set, sets.weekday_is_set) == (False, True)


def test_expand_cron__reads_steps_ranges_and_names() -> None:
    """Steps of a star, of a range, and open ones; months by name; `*/2` leaves a field unset."""
    sets = expand_cron(Cron("*/20", "8-12/2", "*/2", "jan,DEC", "*"))
    assert (sets.minutes, sets.hours, sets.months) == ({0, 20, 40}, {8, 10, 12}, {1, 12})
    assert not sets.day_is_set
    assert expand_cron(Cron("50/5", "0", "*", "*", "*")).minutes == {50, 55}


def test_parse_schedule__a_nickname_is_five_fields() -> None:
    """As in crontab."""
    assert parse_schedule({"cron": "@weekly"}) == Cron("0", "0", "*", "*", "0")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_parse_schedule__gives_a_schedule_or_a_value_error(value: object) -> None:
    """No value crashes it."""
    try:
        parse_schedule(value)
    except ValueError:
        pass
