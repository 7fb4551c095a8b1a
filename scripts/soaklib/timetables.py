"""Who posts when: the schedules of the run, and when each of their slots is due, reckoned without the daemon's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from chaoslib.cast import BotSpec, make_cast

_MINUTE = timedelta(minutes=1)

#: Characters a day of a bot whose money runs out before midnight, so that a new day shows.
_SMALL_BUDGET = 6_000


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule as an operator writes it, and the same as a question to a local time."""

    written: Any
    fits: Callable[[datetime], bool]


@dataclass(frozen=True, slots=True)
class Slot:
    """When a post has to be made, and all the local times that fall on this moment."""

    due: datetime
    names: tuple[str, ...]


def _at(*times: str) -> Callable[[datetime], bool]:
    return lambda local: f"{local:%H:%M}" in times


#: In turn for the bots that post. Many of them fall into the hour that is skipped or repeated.
TIMETABLES = (
    Timetable({"cron": "30 2 * * *"}, _at("02:30")),
    Timetable(["02:00", "02:30", "03:00"], _at("02:00", "02:30", "03:00")),
    Timetable({"cron": "*/20 * * * *"}, lambda local: local.minute % 20 == 0),
    Timetable({"cron": "15,45 * * * *"}, lambda local: local.minute in (15, 45)),
    Timetable(
        {"sat": ["20:00", "23:59"], "sun": ["01:59", "02:15", "03:01", "12:00"]},
        lambda local: _at("20:00", "23:59")(local) if local.weekday() == 5
        else local.weekday() == 6 and _at("01:59", "02:15", "03:01", "12:00")(local),
    ),
    Timetable({"cron": "0 */3 * * *"}, lambda local: local.minute == 0 and local.hour % 3 == 0),
    Timetable(["00:00", "02:59", "09:00", "23:59"], _at("00:00", "02:59", "09:00", "23:59")),
)  # fmt: skip

#: And then one that posts so long after its last post, whatever the clock says.
EVERY = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class CalmCast:
    """The bots of scripts/chaos with a day's pace, and the timetables of those that go by the clock."""

    bots: tuple[BotSpec, ...]
    timetables: dict[str, Timetable]


def make_calm_cast(count: int) -> CalmCast:
    """Give `count` bots; a pauper only answers, for posts that nobody pays for prove nothing here."""
    bots, timetables = [], {}
    rows = cycle((*TIMETABLES, None))
    for fierce in make_cast(count):
        file, bot = yaml.safe_load(fierce.text), replace(fierce, every_seconds=None)
        file["poll"] = {"interval": "2m", "lookback": "2h"}
        if bot.name.startswith("pauper"):
            del file["post"]
            bot = replace(bot, budget=_SMALL_BUDGET)
        elif "post" in file and (timetable := next(rows)):
            timetables[bot.name] = timetable
            file["post"] |= {"schedule": timetable.written, "catch_up": 0}
        elif "post" in file:
            bot = replace(bot, every_seconds=EVERY.total_seconds())
            file["post"]["schedule"] = {"every": f"{bot.every_seconds:g}s"}
        file["character_budget"] = bot.budget
        bots.append(replace(bot, text=yaml.safe_dump(file, sort_keys=False)))
    return CalmCast(tuple(bots), timetables)


def list_slots(timetable: Timetable, begin: datetime, end: datetime, zone: ZoneInfo) -> list[Slot]:
    """Give the slots due in a stretch of time (UTC), minute by minute as a clock on the wall would show them.

    A local time that the clock skips is due when it has been skipped; one that it shows twice, the first time.
    """
    found = []
    for due, names in _watch_clock(begin, end, zone):
        mine = tuple(f"{name:%a %H:%M}" for name in names if timetable.fits(name))
        if mine:
            found.append(Slot(due, mine))
    return found


def _watch_clock(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, list[datetime]]]:
    """Give each minute with the local times that it brings for the first time: none, one, or all that were skipped."""
    moment = begin - timedelta(days=1)
    newest = moment.astimezone(zone).replace(tzinfo=None)
    while (moment := moment + _MINUTE) < end:
        shown = moment.astimezone(zone).replace(tzinfo=None)
        fresh = []
        while newest < shown:
            newest += _MINUTE
            fresh.append(newest)
        if moment >= begin:
            yield moment, fresh
