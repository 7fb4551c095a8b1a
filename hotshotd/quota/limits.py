"""What every limit leaves a bot at one moment: its budget, the caps over all bots, its even pace. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from hotshotd._types import BotName, Chars
from hotshotd.errors import PaceExceeded, QuotaExceeded
from hotshotd.quota import days
from hotshotd.quota.fairness import Member, compute_left
from hotshotd.quota.pace import compute_allowance, compute_opening
from hotshotd.quota.plan import Plan

#: No month is longer: what a budget of a day comes to in one.
MONTH_DAYS = 31


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts against the limits, by bot, removed bots included: today, and on the month's earlier days.

    `carried` is what the month has spent besides, nobody knows by whom.
    """

    today: Mapping[BotName, int]
    earlier: Mapping[BotName, int]
    carried: int

    @property
    def day_total(self) -> int:
        """What all bots have spent today."""
        return sum(self.today.values())

    @property
    def month_total(self) -> int:
        """What all bots have spent this month."""
        return self.carried + sum(self.earlier.values()) + self.day_total

    def of(self, bot: BotName) -> int:
        """What one bot has spent today."""
        return self.today.get(bot, 0)

    def of_month(self, bot: BotName) -> int:
        """What one bot has spent this month."""
        return self.earlier.get(bot, 0) + self.of(bot)


@dataclass(frozen=True, slots=True)
class _Limit:
    """How much it leaves, what it is called, when it opens again."""

    left: int
    name: str
    resets_at: datetime


def check_limits(
    bot: BotName, cost: Chars, *, plan: Plan, spent: Spent, day: date, now: datetime, addressed: bool
) -> None:
    """Refuse what is over a limit of a bot of the plan. What costs nothing has no limit.

    Raises:
        QuotaExceeded: The budget or a cap has less than `cost` left: the tightest of them is named.
        PaceExceeded: The bot's `even` pace keeps it for later.
    """
    if cost == 0:
        return
    limits = _iter_limits(bot, plan=plan, spent=spent, day=day, now=now)
    tightest = min(limits, key=lambda limit: limit.left, default=None)
    if tightest is not None and cost > tightest.left:
        raise _refuse(bot, cost, tightest)
    _check_pace(bot, cost, plan=plan, used=spent.of(bot), day=day, now=now, addressed=addressed)


def _iter_limits(bot: BotName, *, plan: Plan, spent: Spent, day: date, now: datetime) -> Iterator[_Limit]:
    budget, zone = plan.bots[bot].budget, plan.zone
    start, end = days.compute_day_start(day, zone), days.compute_day_end(day, zone)
    if budget is not None:
        yield _Limit(budget - spent.of(bot), "its budget of the day", end)
    if plan.daily_total is not None:
        members: dict[str, Member] = {
            name: Member(used=spent.of(name), limit=other.budget) for name, other in plan.bots.items()
        }
        gone = days.compute_fraction(now, start=start, end=end)
        left = compute_left(bot, members, cap=plan.daily_total, total=spent.day_total, gone=gone)
        yield _Limit(left, "quota.daily_total over all bots", end)
    if plan.monthly_total is not None:
        members = {
            name: Member(used=spent.of_month(name), limit=_multiply(other.budget)) for name, other in plan.bots.items()
        }
        start, end = days.compute_month_start(day, zone), days.compute_month_end(day, zone)
        gone = days.compute_fraction(now, start=start, end=end)
        left = compute_left(bot, members, cap=plan.monthly_total, total=spent.month_total, gone=gone)
        yield _Limit(left, "quota.monthly_total over all bots", end)


def _multiply(budget: int | None) -> int | None:
    return None if budget is None else budget * MONTH_DAYS


def _check_pace(bot: BotName, cost: Chars, *, plan: Plan, used: int, day: date, now: datetime, addressed: bool) -> None:
    budget = plan.bots[bot].budget
    if not plan.bots[bot].even or budget is None:
        return
    start, end = days.compute_day_start(day, plan.zone), days.compute_day_end(day, plan.zone)
    gone = days.compute_fraction(now, start=start, end=end)
    left = compute_allowance(budget, gone=gone, addressed=addressed) - used
    if cost > left:
        opening = compute_opening(used, cost, budget, addressed=addressed)
        opens_at = days.compute_moment(opening, start=start, end=end) if opening <= 1 else end
        raise _refuse(bot, cost, _Limit(left, "its even pace", opens_at), kind=PaceExceeded)


def _refuse(bot: BotName, cost: Chars, limit: _Limit, *, kind: type[QuotaExceeded] = QuotaExceeded) -> QuotaExceeded:
    left = max(0, limit.left)
    return kind(
        f"{bot} asked for {cost} characters, {limit.name} has {left} left until {limit.resets_at.isoformat()}",
        cost=cost,
        left=left,
        resets_at=limit.resets_at,
    )
