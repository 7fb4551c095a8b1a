"""What a seed stands for: how many bots and days, which faults how often, and a list of blows at given times."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

DAY = 86_400.0
#: Days from which a run is a long one.
_LONG_DAYS = 30
#: One seed in so many begins a few hours before a clock change.
_NIGHTS = 6
#: The longest that listings lag, in seconds, in one seed of three: after a write of unknown outcome they are looked at
#: for as long as `reddit.confirm_after` says, 12 seconds by default. A lag that is longer than all of it is not
#: promised anything: nobody can tell an answer that does not show from one that was never given.
_LONG_LAG_SECONDS = 11.0

#: Time zones with and without clock changes, one of them at midnight, one of half an hour.
_CHANGING = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
ZONES = ("UTC", *_CHANGING, "Asia/Kolkata")

#: Starts that bring a clock change, a month's end or a leap day within the first two days.
_STARTS = (
    datetime(2026, 3, 28, 9, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 13, 0, tzinfo=UTC),
    datetime(2026, 11, 1, 2, 0, tzinfo=UTC),
    datetime(2027, 3, 13, 18, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 9, 0, tzinfo=UTC),
    datetime(2026, 9, 5, 12, 0, tzinfo=UTC),
    datetime(2028, 2, 28, 20, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 11, 0, tzinfo=UTC),
    datetime(2026, 6, 30, 7, 0, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault at a time: `at` in seconds from the start, on a bot's number or on all; `number` is its name."""

    at: float
    kind: str
    bot: int = -1
    amount: float = 0.0
    number: int = 0

    def __str__(self) -> str:
        where = f" bot {self.bot}" if self.bot >= 0 else ""
        return f"{self.at / DAY:.3f}d {self.kind}{where} {self.amount:g}"


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a single call goes wrong, by kind, in [0, 1]."""

    service: float = 0.0
    read: float = 0.0
    write: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a run depends on; `seed` draws what is not listed here, each thing from a stream of its own.

    `days` is what it was drawn for, `until` where it ends, if earlier; `absent` bots are never started.
    """

    seed: int
    days: float
    bots: int
    zone: str = "UTC"
    start: datetime = _STARTS[0]
    rates: Rates = Rates()
    blows: tuple[Blow, ...] = ()
    poll_seconds: float = 600.0
    lag_seconds: float = 1.5
    people_a_day: float = 20.0
    budget: int | None = 4000
    daily_total: int | None = None
    monthly_total: int | None = None
    reddit_limit: int = 1000
    shared_client: bool = True
    is_night: bool = False
    until: float | None = None
    absent: frozenset[int] = frozenset()

    @property
    def end(self) -> float:
        """When the run ends, in days from its start."""
        return self.days if self.until is None else self.until

    @property
    def arguments(self) -> str:
        """What gives this scenario on the command line."""
        calm = [kind for kind in CALLS if not getattr(self.rates, kind)]
        words = [f"--seed {self.seed} --days {self.days!r} --bots {self.bots}"]
        words += [f"--until {self.until!r}"] if self.until is not None else []
        words += [f"--keep {','.join(str(blow.number) for blow in self.blows) or '-'}"]
        words += [f"--calm {','.join(calm)}"] if calm else []
        words += [f"--absent {','.join(map(str, sorted(self.absent)))}"] if self.absent else []
        return " ".join(words)

    def keep(self, numbers: Collection[int]) -> Scenario:
        """Give the scenario with some of its blows only."""
        return replace(self, blows=tuple(blow for blow in self.blows if blow.number in numbers))

    def calm(self, kinds: Collection[str]) -> Scenario:
        """Give the scenario in which calls of some kinds go well."""
        return replace(self, rates=replace(self.rates, **dict.fromkeys(kinds, 0.0)))

    def stream(self, name: str) -> random.Random:
        """Give a stream of chance that no other draw disturbs."""
        return random.Random(f"{self.seed}/{name}")


#: Kinds of single calls that may go wrong.
CALLS = ("service", "read", "write")

#: Kinds of blows, how likely each is to be drawn, and the range of its amount (seconds, or steps to live).
#: `clock` is how far the machine's clock is off from then on; `_set_ahead` turns some of them round.
KINDS: dict[str, tuple[float, float, float]] = {
    "kill worker": (6, 1, 60),
    "kill worker in call": (3, 0, 0),
    "kill worker in write": (3, 0, 0),
    "kill quota": (4, 0, 0),
    "kill quota in write": (4, 0, 2),
    "kill all": (1.5, 5, 3600),
    "power cut": (1.5, 5, 7200),
    "power cut in write": (2.5, 5, 3600),
    "disk full": (1.5, 30, 7200),
    "half write": (1.5, 5, 600),
    "restore ledger": (0.5, 5, 600),
    "clock": (3, -86_400, 30),
    "pause": (2, 60, 14_400),
    "restart": (2, 0, 0),
    "budget": (1, 0.3, 2.0),
    "text down": (2, 60, 10_800),
    "text gone": (1, 600, 20_000),
    "moderation down": (2, 60, 10_800),
    "reddit down": (2, 60, 7200),
    "reddit slow": (1, 60, 3600),
    "ratelimit": (2, 30, 1200),
    "suspend": (0.5, 3600, 40_000),
}


def draw_scenario(seed: int, *, days: float, bots: int, blows_a_day: float | None = None, **fixed: Any) -> Scenario:
    """Draw what is not given from the seed."""
    chance = random.Random(f"{seed}/scenario")
    start = chance.choice(_STARTS) if days < _LONG_DAYS else datetime(2026, 1, 1, tzinfo=UTC)
    start += timedelta(seconds=chance.randrange(0, 7200))
    intensity = chance.choice((0.0, 0.01, 0.03, 0.1, 0.25))
    drawn = Scenario(
        seed=seed,
        days=days,
        bots=bots,
        zone=chance.choice(ZONES),
        start=start,
        rates=Rates(
            service=intensity * chance.random(),
            read=intensity * chance.random(),
            write=intensity * chance.choice((0.0, 1.0, 2.0)),
        ),
        poll_seconds=chance.choice((300.0, 900.0, 1800.0)),
        lag_seconds=chance.choice((0.0, 0.5, 1.5)),
        people_a_day=chance.choice((6.0, 15.0, 30.0)),
        budget=chance.choice((1500, 4000, 20_000, None)),
        reddit_limit=chance.choice((1000, 1000, 120)),
        shared_client=chance.random() < 0.7,
    )
    caps = chance.choice((None, None, "day", "month", "both"))
    if caps in ("day", "both"):
        drawn = replace(drawn, daily_total=chance.choice((2000, 6000, 20_000)) * bots)
    if caps in ("month", "both"):
        drawn = replace(drawn, monthly_total=chance.choice((5000, 40_000)) * bots)
    if blows_a_day is None:
        blows_a_day = chance.choice((0.0, 2.0, 6.0, 15.0))
    nights = random.Random(f"{seed}/night")
    if days < _LONG_DAYS and nights.randrange(_NIGHTS) == 0:
        drawn = _move_to_night(drawn, nights)
    if random.Random(f"{seed}/lag").randrange(3) == 0:
        drawn = replace(drawn, lag_seconds=_LONG_LAG_SECONDS)
    if days >= _LONG_DAYS:
        # Long lives are quieter ones: they are about months, leap days and clock changes.
        drawn = replace(drawn, poll_seconds=3600.0, people_a_day=chance.choice((2.0, 4.0)))
        blows_a_day = chance.choice((0.5, 2.0))
    drawn = replace(drawn, blows=draw_blows(chance, days=days, bots=bots, blows_a_day=blows_a_day))
    ahead = random.Random(f"{seed}/ahead of time")
    if ahead.randrange(2) == 1:
        drawn = replace(drawn, blows=tuple(_set_ahead(blow, ahead) for blow in drawn.blows))
    return replace(drawn, **fixed)


def _move_to_night(drawn: Scenario, chance: random.Random) -> Scenario:
    """Let a scenario begin a few hours before a clock change of its zone, forward or back."""
    zone = chance.choice(_CHANGING)
    start = chance.choice(_find_changes(zone)) - timedelta(seconds=chance.randrange(3600, 5 * 3600))
    return replace(drawn, zone=zone, start=start, is_night=True)


@cache
def _find_changes(zone: str) -> tuple[datetime, ...]:
    """Give the clock changes of a year."""
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(365 * 24)]
    shifts = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return tuple(hour for hour, old, new in zip(hours[1:], shifts, shifts[1:], strict=False) if old != new)


def draw_blows(chance: random.Random, *, days: float, bots: int, blows_a_day: float) -> tuple[Blow, ...]:
    """Draw faults in time, in order."""
    kinds, weights = list(KINDS), [weight for weight, _, _ in KINDS.values()]
    # A seed shows a few kinds only, so that many seeds look at each of them alone.
    chosen = set(chance.sample(kinds, k=chance.randint(3, len(kinds))))
    weights = [weight if kind in chosen else 0.0 for kind, weight in zip(kinds, weights, strict=True)]
    blows = []
    for _ in range(round(days * blows_a_day)):
        kind = chance.choices(kinds, weights)[0]
        blows.append(_draw_blow(chance, kind, days=days, bots=bots))
    blows.sort(key=lambda blow: blow.at)
    return tuple(replace(blow, number=number) for number, blow in enumerate(blows))


def _set_ahead(blow: Blow, chance: random.Random) -> Blow:
    """Let a clock that was to be behind be ahead, mostly."""
    return replace(blow, amount=-blow.amount) if blow.kind == "clock" and chance.random() < 0.7 else blow


def _draw_blow(chance: random.Random, kind: str, *, days: float, bots: int) -> Blow:
    _, least, most = KINDS[kind]
    amount = chance.uniform(least, most)
    if kind == "clock" and chance.random() < 0.6:
        # Mostly it is set right again, or is off by less than an hour.
        amount = chance.choice((0.0, -3000.0 * chance.random()))
    return Blow(chance.uniform(0, days * DAY), kind, chance.randrange(bots), amount)
