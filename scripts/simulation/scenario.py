"""What a seed stands for: how many bots and days, which faults how often, and a list of blows at given times."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = 86_400.0
#: Days from which a run is a long one.
_LONG_DAYS = 30

#: Time zones with and without clock changes, one of them at midnight, one of half an hour.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata")

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
    """One fault at a time: `at` in seconds from the start, on a bot's number or on all."""

    at: float
    kind: str
    bot: int = -1
    amount: float = 0.0

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
    """Everything that a run depends on; `seed` draws what is not listed here, each thing from a stream of its own."""

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

    def keep(self, numbers: Collection[int]) -> Scenario:
        """Give the scenario with some of its blows only."""
        return replace(self, blows=tuple(blow for number, blow in enumerate(self.blows) if number in numbers))

    def stream(self, name: str) -> random.Random:
        """Give a stream of chance that no other draw disturbs."""
        return random.Random(f"{self.seed}/{name}")


#: Kinds of blows, how likely each is to be drawn, and the range of its amount (seconds, or steps to live).
#: `clock` is how far the machine's clock is off from then on. It is never far ahead of Reddit's: nobody can tell a slot
#: that was made from one that was not by the time of a post that seems to be of yesterday.
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
    if days >= _LONG_DAYS:
        # Long lives are quieter ones: they are about months, leap days and clock changes.
        drawn = replace(drawn, poll_seconds=3600.0, people_a_day=chance.choice((2.0, 4.0)))
        blows_a_day = chance.choice((0.5, 2.0))
    drawn = replace(drawn, blows=draw_blows(chance, days=days, bots=bots, blows_a_day=blows_a_day))
    return replace(drawn, **fixed)


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
    return tuple(sorted(blows, key=lambda blow: blow.at))


def _draw_blow(chance: random.Random, kind: str, *, days: float, bots: int) -> Blow:
    _, least, most = KINDS[kind]
    amount = chance.uniform(least, most)
    if kind == "clock" and chance.random() < 0.6:
        # Mostly it is set right again, or is off by less than an hour.
        amount = chance.choice((0.0, -3000.0 * chance.random()))
    return Blow(chance.uniform(0, days * DAY), kind, chance.randrange(bots), amount)
