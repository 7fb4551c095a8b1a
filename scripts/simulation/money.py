"""The promises of money: never more than the budget, and never less, either: what is left is granted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from hotshotd.quota.days import compute_day, compute_month
from simulation.loop import SimClock, SimLoop

#: All crashes of a day together lose at most this part of a budget (contract).
_LOST_PART = 1 / 32
#: The part of a shared cap that is kept for the other bots, melting over the period.
_FLOOR_PART = 0.8
#: How long a request may be open or in doubt; at midnight it counts against both days; seconds.
_OPEN_SECONDS = 1200.0

Fail = Callable[[str, str], None]


@dataclass(slots=True)
class _Purse:
    """What one bot was granted; `recent` are (seconds from the start, characters)."""

    received: Counter[date] = field(default_factory=Counter)
    charged: int = 0
    recent: deque[tuple[float, int]] = field(default_factory=deque)


class Money:
    """Counts beside the ledger. `budget_of` gives a bot's budget as its file has it now."""

    def __init__(self, loop: SimLoop, clock: SimClock, *, zone: str, caps: tuple[int | None, int | None]) -> None:
        self._loop = loop
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._daily_total, self._monthly_total = caps
        self._purses: dict[str, _Purse] = {}
        self._total: Counter[date] = Counter()
        self._months: Counter[str] = Counter()
        #: Charged in a month, what counts against two days twice.
        self._month_charged: Counter[str] = Counter()
        self._last_charge = 0.0
        self._is_ledger_away = False
        #: Budgets in force on a day: the largest counts.
        self._budgets: dict[tuple[str, date], int | None] = {}
        self._day = date.min
        self.budget_of: Callable[[str], int | None] = lambda _bot: None

    def add_bot(self, bot: str) -> None:
        self._purses[bot] = _Purse()

    def note_day(self) -> date:
        """Give the budget's day as the machine's clock has shown it so far: it never goes back."""
        today = compute_day(self._clock.now(), self._zone)
        if today > self._day:
            self._day = today
            for purse in self._purses.values():
                self._carry(purse)
        return self._day

    def _carry(self, purse: _Purse) -> None:
        """Begin a day with what may be open: the ledger closes what is in doubt when it is next asked."""
        while not self._is_ledger_away and purse.recent and purse.recent[0][0] < self._last_charge - _OPEN_SECONDS:
            purse.recent.popleft()
        purse.charged = sum(chars for _, chars in purse.recent)
        self._month_charged[compute_month(self._day)] += purse.charged

    def note_received(self, bot: str, chars: int, fail: Fail) -> None:
        """A metered service has received characters."""
        day = self.note_day()
        purse = self._purses[bot]
        purse.received[day] += chars
        self._total[day] += chars
        month = compute_month(day)
        self._months[month] += chars
        allowed = self._note_budget(bot, day)
        if allowed is not None and purse.received[day] > allowed:
            fail("no character over budget", f"{bot}: {purse.received[day]} of {allowed} on {day}")
        if self._daily_total is not None and self._total[day] > self._daily_total:
            fail("no character over the daily cap", f"{self._total[day]} of {self._daily_total} on {day}")
        if self._monthly_total is not None and self._months[month] > self._monthly_total:
            fail("no character over the monthly cap", f"{self._months[month]} of {self._monthly_total} in {month}")

    def note_charged(self, bot: str, chars: int) -> None:
        """A request was granted, or may have been; negative: it was given back."""
        day = self.note_day()
        if not chars:
            return
        self._note_budget(bot, day)
        purse = self._purses[bot]
        purse.charged += chars
        purse.recent.append((self._loop.elapsed, chars))
        self._month_charged[compute_month(day)] += chars
        self._last_charge = self._loop.elapsed
        while purse.recent and purse.recent[0][0] < self._last_charge - _OPEN_SECONDS:
            purse.recent.popleft()

    def _note_budget(self, bot: str, day: date) -> int | None:
        """Give the largest budget that was in force on a day."""
        budget, known = self.budget_of(bot), self._budgets.get((bot, day), 0)
        self._budgets[bot, day] = None if budget is None or known is None else max(budget, known)
        return self._budgets[bot, day]

    def note_end(self) -> None:
        """The quota process has ended: what was open at its last write will be in doubt, however long ago that was."""
        self._is_ledger_away = True

    def note_start(self, at: float) -> None:
        """The quota process begins anew, and can read the ledger at a time: the doubt begins then."""
        self.note_day()
        self._is_ledger_away = False
        for purse in self._purses.values():
            purse.recent = deque([(at, sum(chars for _, chars in purse.recent))])

    def judge_refusal(self, bot: str, chars: int, fail: Fail) -> None:
        """A request was refused for want of characters: see that there were not enough."""
        day = self.note_day()
        if compute_day(self._clock.now(), self._zone) < day:
            # The clock was set back over midnight: whether the ledger had seen the new day nobody here knows.
            return
        budget, largest = self.budget_of(bot), self._note_budget(bot, day)
        used = {name: purse.charged for name, purse in self._purses.items()}
        total, month = sum(used.values()), self._month_charged[compute_month(day)]
        short = (
            # What a crash has lost is a part of the budget that was in force then; of none, it may be anything.
            budget is not None and (largest is None or used[bot] + chars > budget - largest * _LOST_PART - 1),
            self._is_short(bot, used, total + chars, self._daily_total, rest=self._rest_of_day()),
            # The others' floors melt over the month; here they are taken whole, which excuses the most.
            self._is_short(bot, dict.fromkeys(used, 0), month + chars, self._monthly_total, rest=1.0),
        )
        if not any(short):
            caps = f"caps {self._daily_total} {self._monthly_total}, of which {total} {month}"
            fail("what is left is granted", f"{bot}: {chars} refused, {used[bot]} of {budget} used; {caps}")

    def _is_short(self, bot: str, used: dict[str, int], wanted: int, cap: int | None, *, rest: float) -> bool:
        if cap is None:
            return False
        floor = _FLOOR_PART * cap / len(used) * rest
        kept = sum(max(0.0, floor - chars) for name, chars in used.items() if name != bot)
        return wanted + kept > cap * (1 - _LOST_PART) - 1

    def _rest_of_day(self) -> float:
        now: datetime = self._clock.now().astimezone(self._zone)
        # An hour more: on the day of a clock change the day's parts are others.
        return min(1.0, 1 - (now.hour - 1) / 24)
