"""Clocks, plans and ledgers for the quota room's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hotshotd._types import BotName
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.records import Loaded

# As in tests/unit/conftest.py: for `book`.
sys.path.insert(0, str(Path(__file__).parent))


class FakeClock:
    """A clock that is set by hand; `at` reads both faces."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> Moment:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        return self.at

    def jump(self, seconds: float) -> Moment:
        self._now += timedelta(seconds=seconds)
        return self.at

    @property
    def at(self) -> Moment:
        return Moment(now=self._now, monotonic=self._monotonic)


def build_plan(
    zone: str = "UTC",
    daily_total: int | None = None,
    monthly_total: int | None = None,
    paused: tuple[str, ...] = (),
    **budgets: int | None,
) -> Plan:
    bots = {BotName(bot): BotPlan(budget=budget, paused=bot in paused) for bot, budget in budgets.items()}
    return Plan(zone=ZoneInfo(zone), daily_total=daily_total, monthly_total=monthly_total, bots=bots)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def plan() -> Callable[..., Plan]:
    return build_plan


@pytest.fixture
def ledger_of(clock: FakeClock) -> Callable[..., Ledger]:
    def build(loaded: Loaded | None = None, **settings: object) -> Ledger:
        return Ledger(loaded or Loaded(), plan=build_plan(**settings), at=clock.at)  # type: ignore[arg-type]

    return build
