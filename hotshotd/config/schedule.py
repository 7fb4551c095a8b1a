"""When a bot posts: the four forms of `schedule`, as frozen values. No clock in here.

The worker computes slots from them, in the daemon's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hotshotd.config.values import Blame, FaultyValue, parse_interval, raise_blames

#: An hour (0-23) and a minute (0-59).
TimeOfDay = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DailyTimes:
    """The same times every day, in order."""

    times: tuple[TimeOfDay, ...]


@dataclass(frozen=True, slots=True)
class WeeklyTimes:
    """Times by weekday (0 is Monday); days that are not named have none."""

    by_weekday: Mapping[int, tuple[TimeOfDay, ...]]


@dataclass(frozen=True, slots=True)
class Cron:
    """The five fields of a crontab line, checked and as they were written; `expand_cron` reads them."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str


@dataclass(frozen=True, slots=True)
class Every:
    """This many seconds after the bot's last own post; with none, at once."""

    seconds: float


Schedule = DailyTimes | WeeklyTimes | Cron | Every


@dataclass(frozen=True, slots=True)
class CronSets:
    """A crontab line as sets of numbers. `weekdays` count from 0, Monday.

    As in crontab(5): where `day_is_set` and `weekday_is_set` both hold, a date matches when either field
    does; otherwise when both do (the one that is not set holds every number, or steps of `*`).
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    day_is_set: bool
    weekday_is_set: bool


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = {name: number for number, day in enumerate(_DAYS) for name in (day, day[:3])}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_STEPPED = re.compile(r"(\*|[0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?(?:/([0-9]{1,4}))?", re.ASCII)
_FORMS = 'a list of times (["09:00"]), a mapping of weekdays ({mon: ["09:00"]}), {cron: "0 */6 * * *"} or {every: 6h}'


def parse_schedule(value: object) -> Schedule:
    """Make a schedule of any of its four forms.

    Raises:
        FaultyValue: Naming each part that is wrong.
        ValueError: If it has none of the forms.
    """
    if isinstance(value, DailyTimes | WeeklyTimes | Cron | Every):
        return value
    if isinstance(value, list | tuple):
        return DailyTimes(_parse_times(value, ()))
    if not isinstance(value, dict) or not value:
        raise ValueError(f"must be {_FORMS}")
    single = next((key for key in value if key in _SINGLE_FORMS), None)
    if single is None:
        return _parse_weekly(value)
    raise_blames(((key,), f"can't stand beside {single}: a schedule has one form") for key in value if key != single)
    return _parse_single(single, value[single])


def expand_cron(cron: Cron) -> CronSets:
    """Compute the numbers that each field stands for.

    Raises:
        ValueError: If a field is wrong; a `Cron` made by `parse_schedule` is right.
    """
    texts = (cron.minute, cron.hour, cron.day, cron.month, cron.weekday)
    minutes, hours, days, months, sundays_first = (
        _parse_cron_field(text, field) for text, field in zip(texts, _FIELDS, strict=True)
    )
    # crontab counts from Sunday and knows it as 7 too; everything of ours counts from Monday.
    weekdays = frozenset((number - 1) % 7 for number in sundays_first)
    return CronSets(
        minutes, hours, days, months, weekdays, not cron.day.startswith("*"), not cron.weekday.startswith("*")
    )


def _parse_single(form: str, value: object) -> Schedule:
    try:
        return _SINGLE_FORMS[form](value)
    except ValueError as exc:
        raise FaultyValue([((form,), str(exc))]) from exc


def _parse_every(value: object) -> Every:
    return Every(parse_interval(value))


def _parse_cron(value: object) -> Cron:
    if not isinstance(value, str):
        # pydantic takes a ValueError for a fault, and a TypeError for a bug.
        raise ValueError('must be five fields in quotes, such as "0 */6 * * *"')  # noqa: TRY004
    parts = _NICKNAMES.get(value.strip().lower(), value).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"must have five fields (minute hour day month weekday), not {len(parts)}")
    cron = Cron(*parts)
    sets = expand_cron(cron)
    if sets.day_is_set and not sets.weekday_is_set and not _some_date(sets):
        raise ValueError("names a date that never comes")
    return cron


def _some_date(sets: CronSets) -> bool:
    return any(min(sets.days) <= _LONGEST[month] for month in sets.months)


def _parse_cron_field(text: str, field: _Field) -> frozenset[int]:
    numbers = [number for part in text.split(",") for number in _expand_part(part, field)]
    return frozenset(numbers)


def _expand_part(part: str, field: _Field) -> range:
    match = _STEPPED.fullmatch(part)
    if match is None or (match[1] == "*" and match[2]):
        raise ValueError(f"the {field.name} field is wrong: it takes *, numbers, ranges 1-5, steps */15 and lists 1,3")
    step = int(match[3]) if match[3] else 1
    if match[1] == "*":
        low, high = field.low, field.high
    else:
        low = _parse_number(match[1], field)
        # As in Vixie cron, 5/15 runs from 5 to the end; a bare 5 is only itself.
        high = _parse_number(match[2], field) if match[2] else field.high if match[3] else low
    if field.name == "weekday" and match[2] and high == 0:
        high = 7  # fri-sun
    if step < 1 or low > high:
        raise ValueError(f"the {field.name} field is wrong: a range goes upwards, and a step is 1 or more")
    return range(low, high + 1, step)


def _parse_number(text: str, field: _Field) -> int:
    name = text.lower()
    if name in field.names:
        return field.names.index(name) + (1 if field.name == "month" else 0)
    if not text.isdecimal() or len(text) > 2 or not field.low <= int(text) <= field.high:
        raise ValueError(f"the {field.name} field is wrong: numbers go from {field.low} to {field.high}")
    return int(text)


_SINGLE_FORMS: dict[str, Callable[[object], Schedule]] = {"cron": _parse_cron, "every": _parse_every}


def _parse_weekly(value: dict[str, object]) -> WeeklyTimes:
    blames: list[Blame] = []
    by_weekday: dict[int, tuple[TimeOfDay, ...]] = {}
    for key, times in value.items():
        number = _WEEKDAYS.get(str(key).lower())
        if number is None:
            blames.append(((key,), "is no weekday: use mon, tue, wed, thu, fri, sat, sun (or cron, or every)"))
        elif number in by_weekday:
            blames.append(((key,), "is named twice"))
        else:
            by_weekday[number] = _collect_times(times, key, blames)
    raise_blames(blames)
    return WeeklyTimes(by_weekday)


def _collect_times(value: object, key: str, blames: list[Blame]) -> tuple[TimeOfDay, ...]:
    try:
        return _parse_times(value, (key,))
    except FaultyValue as exc:
        blames.extend(exc.blames)
        return ()


def _parse_times(value: object, path: tuple[str, ...]) -> tuple[TimeOfDay, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise FaultyValue([(path, 'must be a list of at least one time of day, such as ["09:00"]')])
    raise_blames(_find_bad_times(value, path))
    return tuple(sorted({(int(match[1]), int(match[2])) for entry in value if (match := _TIME.fullmatch(entry))}))


def _find_bad_times(value: list[object] | tuple[object, ...], path: tuple[str, ...]) -> Iterator[Blame]:
    for index, entry in enumerate(value):
        if not isinstance(entry, str) or not _TIME.fullmatch(entry):
            yield (*path, index), 'must be a time of day, such as "09:00"'
