"""`pace: even` keeps a part of the budget for the evening, and more of it for people who spoke to the bot."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd._types import BotName, Chars
from hotshotd.errors import PaceExceeded, QuotaExceeded
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.pace import compute_allowance, compute_opening
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.records import Loaded

BOT = BotName("alice")
UNTIL_NOON = 12 / 24


def ledger_at(hour: int, *, budget: int = 24_000, even: bool = True) -> tuple[Ledger, Moment]:
    at = Moment(datetime(2026, 11, 24, hour, tzinfo=UTC), 0.0)
    plan = Plan(zone=ZoneInfo("UTC"), bots={BOT: BotPlan(budget=budget, even=even)})
    return Ledger(Loaded(), plan=plan, at=at), at


@pytest.mark.parametrize(
    ("gone", "addressed", "allowance"),
    [
        (0.0, False, 2_666),
        (UNTIL_NOON, False, 10_666),
        (1.0, False, 16_000),
        (0.0, True, 6_000),
        (UNTIL_NOON, True, 15_000),
        (1.0, True, 24_000),
    ],
)
def test_allowance__grows_with_the_day(gone: float, addressed: bool, allowance: int) -> None:
    """Two thirds at most for what the bot does of itself; all of it, at last, for people."""
    assert compute_allowance(24_000, gone=gone, addressed=addressed) == allowance


@given(
    budget=st.integers(1, 10**7),
    used=st.integers(0, 10**6),
    cost=st.integers(1, 10**6),
    addressed=st.booleans(),
    gone=st.floats(0, 1),
)
def test_allowance__opens_when_it_is_said_to(budget: int, used: int, cost: int, addressed: bool, gone: float) -> None:
    """After the hour that a refusal names (and a rounding more) the cost fits; never before it."""
    opening = compute_opening(used, cost, budget, addressed=addressed)
    fits = used + cost <= compute_allowance(budget, gone=gone, addressed=addressed)
    if gone < opening - 1e-9:
        assert not fits
    elif gone > opening + 2 / budget:
        assert fits


def test_grant__even_keeps_the_morning_small() -> None:
    """At midnight a ninth is for the bot's own doings; more is refused as pace, and says when it goes on."""
    ledger, at = ledger_at(0)
    ledger.grant(BOT, Chars(2_000), lease=1, at=at)
    with pytest.raises(PaceExceeded) as refused:
        ledger.grant(BOT, Chars(2_000), lease=1, at=at)
    assert refused.value.left == 666
    assert refused.value.resets_at == datetime(2026, 11, 24, 2, tzinfo=UTC)
    assert "even pace" in str(refused.value)
    ledger.grant(BOT, Chars(2_000), lease=1, addressed=True, at=at)


def test_grant__even_still_ends_at_the_budget() -> None:
    """In the evening people may have all that is left, and no character more."""
    ledger, at = ledger_at(23)
    ledger.grant(BOT, Chars(15_000), lease=1, at=at)
    with pytest.raises(PaceExceeded):
        ledger.grant(BOT, Chars(1_001), lease=1, at=at)
    ledger.grant(BOT, Chars(8_000), lease=1, addressed=True, at=at)
    with pytest.raises(QuotaExceeded) as refused:
        ledger.grant(BOT, Chars(2_000), lease=1, addressed=True, at=at)
    assert not isinstance(refused.value, PaceExceeded)


def test_grant__pace_is_no_reached_budget() -> None:
    """A refusal for the pace's sake tells nobody that the budget is used up."""
    ledger, at = ledger_at(0)
    with pytest.raises(PaceExceeded):
        ledger.grant(BOT, Chars(23_000), lease=1, at=at)
    assert ledger.take_events() == []


def test_grant__greedy_may_use_all_at_once() -> None:
    """Without `even` the hour does not matter."""
    ledger, at = ledger_at(0, even=False)
    ledger.grant(BOT, Chars(24_000), lease=1, at=at)


def test_grant__even_counts_hours_of_the_day_it_is() -> None:
    """A day of 23 hours is over sooner; noon of it is past its half."""
    zone = ZoneInfo("Europe/Berlin")
    at = Moment(datetime(2026, 3, 29, 12, tzinfo=zone), 0.0)
    plan = Plan(zone=zone, bots={BOT: BotPlan(budget=23_000, even=True)})
    ledger = Ledger(Loaded(), plan=plan, at=at)
    allowed = compute_allowance(23_000, gone=11 / 23, addressed=False)
    with pytest.raises(PaceExceeded):
        ledger.grant(BOT, Chars(allowed + 1), lease=1, at=at)
    ledger.grant(BOT, Chars(allowed), lease=1, at=at)
