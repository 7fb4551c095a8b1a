"""What goes into the ledger and what comes out of it: plans, events, figures. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from hotshotd._types import BotName


class LedgerState(StrEnum):
    """Whether grants are given; `daemon.quota.state` of the contract."""

    OK = "ok"
    DAMAGED = "damaged"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class BotPlan:
    """What the operator allows one bot: `budget` in characters a day (None: unlimited), `even`ly over it or not."""

    budget: int | None
    paused: bool = False
    even: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What the operator allows all of them. A bot that is not in `bots` gets no grant."""

    zone: ZoneInfo
    daily_total: int | None = None
    monthly_total: int | None = None
    bots: Mapping[BotName, BotPlan] = field(default_factory=dict)

    def pause(self, bot: BotName, *, paused: bool) -> Plan:
        """Give the plan in which a bot of it is paused, or is not."""
        return replace(self, bots={**self.bots, bot: replace(self.bots[bot], paused=paused)})


@dataclass(frozen=True, slots=True)
class BudgetReached:
    """Event: a bot has used `percent` of its budget; told once per threshold and day."""

    bot: BotName
    percent: int


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """Event: the wall clock, or the zone, moved by `seconds` (0.0: the zone); `message` says what follows."""

    seconds: float
    day: date
    message: str


LedgerEvent = BudgetReached | ClockJumped


@dataclass(frozen=True, slots=True)
class BotFigures:
    """One bot's day: charged characters, and what else a bill may count."""

    name: BotName
    characters: int
    budget: int | None
    paused: bool
    requests: int
    received: int
    seconds: float

    @property
    def left(self) -> int | None:
        """What is left of the bot's own budget; None: unlimited."""
        return None if self.budget is None else max(0, self.budget - self.characters)

    @property
    def percent(self) -> int | None:
        """The part that is used, rounded down; None: unlimited."""
        return None if self.budget is None else compute_percent(self.characters, self.budget)


@dataclass(frozen=True, slots=True)
class Figures:
    """The ledger at one moment."""

    state: LedgerState
    message: str
    day: date
    zone: str
    resets_at: datetime
    month_resets_at: datetime
    day_spend: int
    day_cap: int | None
    month_spend: int
    month_cap: int | None
    bots: tuple[BotFigures, ...]


def compute_percent(used: int, budget: int) -> int:
    """Give the used part of a budget in percent, rounded down; a budget of 0 is always used up."""
    return 100 if budget <= 0 else used * 100 // budget
