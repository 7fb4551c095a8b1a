"""The ledger: who may send how many characters today. Pure: no I/O, no clock, no chance.

The state machine
=================

One permit is leave to send one request of `n` characters. `used` is a bot's charge of the day.

    none ----grant: used += n------> GRANTED --account OK, REJECTED, GONE--> closed, stays charged
                                      |   |
      NOT_SENT: used -= n <-----------+   +--account FAILED (the outcome is not known)
      cancel: used -= n               |                        |
      closed, given back              |                        v
                                      +--lease ends------> DOUBTFUL --15 minutes--> closed, stays charged

* GRANTED and DOUBTFUL are *open*. Nothing is ever given back by time, nor once a lease has ended. Any other word about
  a permit changes nothing: a second one, one of another bot, one about an earlier life's.
* A lease is a worker's connection. The kernel closes it at any death of the worker; what that worker had sent
  may still be on its way for as long as TCP repeats it, which is what the 15 minutes are.
* `cancel` is of a grant that was never answered, for its write failed: DOUBTFUL or not, nobody can have used it.
* A grant is refused if it would break one of: not paused · state OK · bot configured · `used + n <= budget` · the daily
  cap, the monthly cap (both with a melting floor for the other bots, see `fairness`) · the even pace (see `pace`).
  `n == 0` (a server that is not metered) needs the first three only, and is never DOUBTFUL.
* Another plan counts from now on. Less budget than `used` stops grants; what a removed bot has spent counts under the
  caps, and what it has open stays open.

The day
-------

Every event first rolls the day: `day = max(day, calendar day in the zone)`. At a roll the day that ends gets its exact
figures, and `used` becomes what is open: it counts against both days (and so, within a month, twice in the month: never
too little). A month's first day begins the monthly cap anew. A clock or a zone that goes back leaves the day
as it is; one that goes forward starts the new day at once; both with a warning.

What is on disk
---------------

Per bot and day a high-water mark: `used <= high`, and `high` is durable before any grant under it is
answered. It is raised ahead of `used` by a slab (not over the budget), so that most grants write nothing, and lowered
to that when something large is given back. The server does, each turn:

    events -> take_batch() -> write -> confirm() -> answers          or, if the write fails:
    events -> take_batch() -> write fails -> fail() and cancel() of this turn's grants -> refusals

After a crash `used` starts at the mark: the unused rest of the slab is lost, as spent, never as free. A slab is
1/64 of the budget, or of the bot's even part of a cap if that is less, halved after each unclean start of a day, so all
crashes of a day together lose at most 1/32. What was open at the end of a life is not known; at most `open_mark` of
the row was, and that is DOUBTFUL for 15 minutes from the start. If a day ends meanwhile, the new one inherits the
halvings with it. An orderly end writes the exact figures and loses nothing.

    OK --fail()--> FAILING --confirm()--> OK          loaded with damage --> DAMAGED --the day rolls--> OK

DAMAGED and FAILING grant nothing; who is both is FAILING first. DAMAGED outlives restarts, FAILING needs no memory.

What always holds (`check_invariants`; `confirm` for the last)
--------------------------------------------------------------

`0 <= open <= used <= high` · `open` is the sum of the bot's open permits · a mark that differs from the durable one is
about to be written · leases hold the GRANTED permits and no others · after a write `used` is within what is durable.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from hotshotd._types import BotName, Chars
from hotshotd.admission import Permit, Result
from hotshotd.errors import BotPaused, PaceExceeded, QuotaExceeded, QuotaUnavailable
from hotshotd.quota import days
from hotshotd.quota.limits import MONTH_DAYS, Spent, check_limits
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import (
    BotFigures,
    BudgetReached,
    ClockJumped,
    Figures,
    LedgerEvent,
    LedgerState,
    Plan,
    compute_percent,
)
from hotshotd.quota.records import Batch, Loaded, Row

#: How long a request may still reach the service after its worker is gone, in seconds (TCP's retransmit limit).
DOUBT_SECONDS = 15 * 60.0

#: A difference between the clocks that is called a jump, in seconds.
JUMP_SECONDS = 300.0

#: A slab is this part of a budget.
SLAB_PARTS = 64

#: A slab where no budget and no cap limits a bot, in characters.
UNLIMITED_SLAB = 20_000

#: Percentages of a budget that are told once a day.
THRESHOLDS = (80, 100)


@dataclass(slots=True)
class _Account:
    """One bot's day in memory. `high` is the mark as it will be on disk, `durable` as it is for sure."""

    used: int = 0
    high: int = 0
    durable: int = 0
    open: int = 0
    requests: int = 0
    received: int = 0
    seconds: float = 0.0
    month_before: int = 0
    must_write: bool = False
    counters_changed: bool = False
    told: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Open:
    """An open permit; GRANTED while `lease` is set, DOUBTFUL once it is None."""

    bot: BotName
    chars: int
    lease: int | None


class Ledger:
    """The budgets of all bots, the caps over them, and every open permit. See the top of the file.

    Not thread-safe; nothing blocks. Times of successive events must not go back in `monotonic`.
    """

    def __init__(self, loaded: Loaded, *, plan: Plan, at: Moment) -> None:
        self._plan = plan
        self._day = loaded.day or days.compute_day(at.now, plan.zone)
        self._unclean = loaded.unclean + (not loaded.clean)
        self._carried = loaded.carried
        self._accounts: dict[BotName, _Account] = {}
        self._permits: dict[int, _Open] = {}
        self._leases: dict[int, set[int]] = {}
        self._doubtful: deque[tuple[float, int]] = deque()
        self._closing: list[Row] = []
        self._events: list[LedgerEvent] = []
        self._number = loaded.epoch << 32
        self._last = at
        self._day_written = False
        self._failure: str | None = None
        self._damage = loaded.damage
        self._damaged_on = loaded.damaged_on
        self._take_over(loaded, at=at)
        self._roll(at)
        if loaded.damage is not None:
            self._damage, self._damaged_on = loaded.damage, self._day
        if days.compute_day(at.now, plan.zone) < self._day:
            self._tell_jump(0.0, what="the clock is behind the ledger", at=at)
        self.check_invariants()

    @property
    def plan(self) -> Plan:
        """What the operator allows."""
        return self._plan

    def configure(self, plan: Plan, *, at: Moment) -> None:
        """Put another plan in force, budgets and zone included. A budget below what is spent stops grants."""
        self.tick(at)
        old = self._plan.bots
        edited = [bot for bot in plan.bots if bot not in old or plan.bots[bot].budget != old[bot].budget]
        zone_changed = plan.zone.key != self._plan.zone.key
        self._plan = plan
        for bot in edited:
            self._account(bot).told = self._compute_told(bot)
        if zone_changed:
            self._change_zone(at)
        self.check_invariants()

    def pause(self, bot: BotName, *, paused: bool) -> bool:
        """Stop or allow the grants of one bot, from now on; False if it is not configured."""
        if bot not in self._plan.bots:
            return False
        self._plan = self._plan.pause(bot, paused=paused)
        return True

    def check_bot(self, bot: BotName, *, at: Moment) -> None:
        """Raise what keeps `bot` from every grant now, whatever its cost.

        Raises:
            BotPaused: The operator paused the bot.
            QuotaUnavailable: The bot is not configured, or the ledger is damaged or failing.
        """
        self.tick(at)
        plan = self._plan.bots.get(bot)
        if plan is not None and plan.paused:
            raise BotPaused(f"{bot} is paused; `hotshotctl resume {bot}` ends that")
        if self.state is not LedgerState.OK:
            raise QuotaUnavailable(self.message)
        if plan is None:
            raise QuotaUnavailable(f"{bot} is not configured in the quota process; `hotshotctl reload` tells it")

    def check(self, bot: BotName, cost: Chars, *, addressed: bool = False, at: Moment) -> None:
        """Raise what `grant` would raise, and charge nothing."""
        self.check_bot(bot, at=at)
        self._admit_or_tell(bot, cost, addressed=addressed, at=at)

    def grant(self, bot: BotName, cost: Chars, *, lease: int, addressed: bool = False, at: Moment) -> Permit:
        """Charge `cost` characters to `bot`, or refuse. Not to be answered before `confirm` of the next batch.

        Raises:
            QuotaExceeded: The budget or a cap has less than `cost` left; the message says which.
            PaceExceeded: The bot's `even` pace keeps it for later (for those who speak to it, unless `addressed`).
            BotPaused: The operator paused the bot.
            QuotaUnavailable: The bot is not configured, or the ledger is damaged or failing.
        """
        self.check_bot(bot, at=at)
        self._admit_or_tell(bot, cost, addressed=addressed, at=at)
        account = self._account(bot)
        self._raise_mark(bot, account, cost)
        account.used += cost
        account.open += cost
        account.requests += 1
        account.counters_changed = True
        self._number += 1
        self._permits[self._number] = _Open(bot=bot, chars=cost, lease=lease)
        self._leases.setdefault(lease, set()).add(self._number)
        self._notice_thresholds(bot, refused=False)
        self._check_account(bot, account)
        return Permit(number=self._number, chars=cost)

    def account(
        self, number: int, result: Result, *, bot: BotName, received: int = 0, seconds: float = 0.0, at: Moment
    ) -> bool:
        """Note what became of a permit; False, and nothing else, for one that is not this bot's or not GRANTED.

        That covers what is told twice, what an earlier life granted, and whose lease has ended.
        """
        self.tick(at)
        permit = self._permits.get(number)
        if permit is None or permit.bot != bot or permit.lease is None:
            return False
        account = self._account(bot)
        account.received += received
        account.seconds += seconds
        account.counters_changed = True
        if result is Result.NOT_SENT:
            self._give_back(number)
        elif result is Result.FAILED:
            self._doubt(number, until=at.monotonic + DOUBT_SECONDS)
        else:
            self._close(number)
        self._check_account(bot, account)
        return True

    def end_lease(self, lease: int, *, at: Moment) -> None:
        """Make everything open of a connection that is gone DOUBTFUL. Gives nothing back."""
        self.tick(at)
        for number in sorted(self._leases.pop(lease, ())):
            self._doubt(number, until=at.monotonic + DOUBT_SECONDS)

    def cancel(self, number: int) -> None:
        """Take back a grant whose answer was never sent, so that nobody can have used it."""
        if number in self._permits:
            self._give_back(number)

    def tick(self, at: Moment) -> None:
        """Let time pass: roll the day, close what has been in doubt for long enough. Every event calls it first."""
        if at is self._last:
            return
        self._notice_jump(at)
        self._last = at
        # A permit whose doubt ends with the day's last second still counts against both days.
        self._roll(at)
        while self._doubtful and self._doubtful[0][0] <= at.monotonic:
            number = self._doubtful.popleft()[1]
            if number in self._permits:  # not cancelled in the turn that left it in doubt
                self._close(number)

    @property
    def must_write(self) -> bool:
        """Whether answers have to wait for a write."""
        return not self._day_written or any(account.must_write for account in self._accounts.values())

    @property
    def counters_changed(self) -> bool:
        """Whether there is something that should be written some time."""
        return bool(self._closing) or any(account.counters_changed for account in self._accounts.values())

    def take_batch(self, *, full: bool = False, clean: bool = False) -> Batch:
        """Give what is to be written now: what changed, or everything of the day. `confirm` it once it is durable.

        `clean` gives exact figures and the clean mark, for an orderly end; grant nothing afterwards.
        """
        if clean:
            for account in self._accounts.values():
                account.high = account.used
                account.must_write = account.must_write or account.high != account.durable
        rows = [
            self._make_row(bot, account)
            for bot, account in self._accounts.items()
            if full or clean or account.must_write or account.counters_changed
        ]
        return Batch(
            day=self._day,
            rows=(*self._closing, *rows),
            month_total=self._carried + sum(a.month_before + a.high for a in self._accounts.values()),
            carried=self._carried,
            unclean=self._unclean,
            clean=clean,
            damaged_on=self._damaged_on,
        )

    def confirm(self, batch: Batch) -> None:
        """Note that a batch is durable. It must be the last one taken, with no event since."""
        for row in batch.rows:
            if row.day == self._day:
                account = self._accounts[BotName(row.bot)]
                account.durable = row.high_water
                account.must_write = account.counters_changed = False
        self._closing.clear()
        self._day_written = True
        self._failure = None
        self.check_invariants()
        for bot, account in self._accounts.items():
            _require(account.used <= account.durable, f"{bot}: charged {account.used} over {account.durable} on disk")

    def fail(self, reason: str) -> None:
        """Note that a write failed: no grants until the next `confirm`."""
        self._failure = reason

    @property
    def state(self) -> LedgerState:
        """Whether grants are given."""
        if self._failure is not None:
            return LedgerState.FAILING
        return LedgerState.DAMAGED if self._damaged_on is not None else LedgerState.OK

    @property
    def message(self) -> str:
        """Why nothing is granted and when it will be; empty while all is well."""
        if self._failure is not None:
            return f"the ledger can't be written: {self._failure}; nothing is granted until it can"
        if self._damaged_on is None:
            return ""
        until = self.resets_at.isoformat()
        reason = self._damage or "the ledger was found damaged earlier today"
        return f"{reason}; what was spent today is not known, so nothing is granted until {until}"

    @property
    def resets_at(self) -> datetime:
        """When the day ends, aware, in the configured zone."""
        return days.compute_day_end(self._day, self._plan.zone)

    def take_events(self) -> list[LedgerEvent]:
        """Give what happened since the last call."""
        events, self._events = self._events, []
        return events

    def compute_figures(self, *, at: Moment) -> Figures:
        """Give the day in numbers, for `status` and `quota`."""
        self.tick(at)
        plan, spent = self._plan, self._make_spent()
        return Figures(
            state=self.state,
            message=self.message,
            day=self._day,
            zone=plan.zone.key,
            resets_at=self.resets_at,
            month_resets_at=days.compute_month_end(self._day, plan.zone),
            day_spend=spent.day_total,
            day_cap=plan.daily_total,
            month_spend=spent.month_total,
            month_cap=plan.monthly_total,
            bots=tuple(self._make_figures(bot) for bot in sorted(plan.bots)),
        )

    def check_invariants(self) -> None:
        """Check everything that must hold between events.

        Raises:
            AssertionError: The ledger is wrong; whoever holds it must stop granting.
        """
        open_by_bot: dict[BotName, int] = {}
        for permit in self._permits.values():
            open_by_bot[permit.bot] = open_by_bot.get(permit.bot, 0) + permit.chars
        for bot, account in self._accounts.items():
            self._check_account(bot, account)
            _require(account.open == open_by_bot.pop(bot, 0), f"{bot}: {account.open} open is not the permits' sum")
        _require(not open_by_bot, f"permits of unknown bots: {sorted(open_by_bot)}")
        leased = {number for numbers in self._leases.values() for number in numbers}
        _require(
            leased == {number for number, permit in self._permits.items() if permit.lease is not None},
            "leases and granted permits differ",
        )

    def _take_over(self, loaded: Loaded, *, at: Moment) -> None:
        for name, chars in loaded.month_before.items():
            self._account(BotName(name)).month_before = chars
        for row in loaded.rows:
            bot = BotName(row.bot)
            account = self._account(bot)
            account.used = account.high = account.durable = row.high_water
            account.requests, account.received, account.seconds = row.requests, row.received, row.seconds
            if row.open_mark:
                self._number += 1
                self._permits[self._number] = _Open(bot=bot, chars=row.open_mark, lease=None)
                account.open = row.open_mark
                self._doubtful.append((at.monotonic + DOUBT_SECONDS, self._number))
        for bot in self._plan.bots:
            self._account(bot).told = self._compute_told(bot)

    def _account(self, bot: BotName) -> _Account:
        return self._accounts.setdefault(bot, _Account())

    def _admit(self, bot: BotName, cost: Chars, *, addressed: bool, at: Moment) -> None:
        spent = self._make_spent()
        check_limits(bot, cost, plan=self._plan, spent=spent, day=self._day, now=at.now, addressed=addressed)

    def _make_spent(self) -> Spent:
        return Spent(
            today={bot: account.used for bot, account in self._accounts.items()},
            earlier={bot: account.month_before for bot, account in self._accounts.items()},
            carried=self._carried,
        )

    def _raise_mark(self, bot: BotName, account: _Account, cost: Chars) -> None:
        need = account.used + cost
        if need <= account.high:
            return
        top = account.used + self._compute_slab(bot)
        budget = self._plan.bots[bot].budget if bot in self._plan.bots else None
        account.high = max(need, top if budget is None else min(top, budget))
        account.must_write = True

    def _compute_slab(self, bot: BotName) -> int:
        """Give how far the mark may run ahead: small against the budget and against the bot's part of each cap."""
        plan = self._plan
        members = max(len(plan.bots), 1)
        limits = [
            plan.bots[bot].budget if bot in plan.bots else 0,
            None if plan.daily_total is None else plan.daily_total // members,
            # A crash on each day of a month must not eat the month either.
            None if plan.monthly_total is None else plan.monthly_total // members // MONTH_DAYS,
        ]
        known = [limit for limit in limits if limit is not None]
        return (min(known) // SLAB_PARTS if known else UNLIMITED_SLAB) >> min(self._unclean, 63)

    def _give_back(self, number: int) -> None:
        permit = self._permits[number]
        account = self._account(permit.bot)
        self._close(number)
        account.used -= permit.chars
        account.requests = max(0, account.requests - 1)
        # Else a crash now would lose a whole large request, more than a slab.
        lower = account.used + self._compute_slab(permit.bot)
        if account.high > lower:
            account.high = lower
            account.must_write = True

    def _doubt(self, number: int, *, until: float) -> None:
        permit = self._permits[number]
        self._forget_lease(number, permit)
        if permit.chars == 0:
            del self._permits[number]
            return
        permit.lease = None
        self._doubtful.append((until, number))

    def _close(self, number: int) -> None:
        permit = self._permits.pop(number)
        account = self._account(permit.bot)
        account.open -= permit.chars
        account.counters_changed = True
        self._forget_lease(number, permit)

    def _forget_lease(self, number: int, permit: _Open) -> None:
        if permit.lease is not None and permit.lease in self._leases:
            self._leases[permit.lease].discard(number)
            if not self._leases[permit.lease]:
                del self._leases[permit.lease]

    def _roll(self, at: Moment) -> None:
        today = days.compute_day(at.now, self._plan.zone)
        if today <= self._day:
            return
        same_month = days.compute_month(today) == days.compute_month(self._day)
        for bot, account in list(self._accounts.items()):
            self._roll_account(bot, account, same_month=same_month)
        self._carried = self._carried if same_month else 0
        # What a crash may have left open costs the new day its slabs: count them on, to keep all within 1/32.
        self._unclean = self._unclean if self._doubtful else 0
        self._day = today
        self._day_written = False
        self._damage = self._damaged_on = None

    def _roll_account(self, bot: BotName, account: _Account, *, same_month: bool) -> None:
        if account.used or account.requests or account.high or account.must_write:
            # The day that ends gets its exact figure, its rest of a slab goes back.
            self._closing.append(self._make_row(bot, account, high=account.used))
        if not same_month and not account.open and bot not in self._plan.bots:
            del self._accounts[bot]
            return
        self._accounts[bot] = _Account(
            used=account.open,
            high=account.open,
            open=account.open,
            month_before=account.month_before + account.used if same_month else 0,
            must_write=account.open > 0,
        )

    def _make_row(self, bot: BotName, account: _Account, *, high: int | None = None) -> Row:
        mark = account.high if high is None else high
        return Row(
            day=self._day,
            bot=bot,
            high_water=mark,
            open_mark=account.open + mark - account.used,
            requests=account.requests,
            received=account.received,
            seconds=account.seconds,
        )

    def _notice_jump(self, at: Moment) -> None:
        drift = (at.now - self._last.now).total_seconds() - (at.monotonic - self._last.monotonic)
        if abs(drift) >= JUMP_SECONDS:
            self._tell_jump(drift, what=f"the clock jumped by {drift:+.0f} s", at=at)

    def _change_zone(self, at: Moment) -> None:
        before = self._day
        self._roll(at)
        if self._day != before or days.compute_day(at.now, self._plan.zone) < self._day:
            self._tell_jump(0.0, what=f"the zone is now {self._plan.zone.key}", at=at)

    def _tell_jump(self, seconds: float, *, what: str, at: Moment) -> None:
        today = days.compute_day(at.now, self._plan.zone)
        day = max(today, self._day)
        message = f"{what}; the budget's day is {day}"
        if today < day:
            message += f" and stays so until the calendar is past it (it shows {today}): a spent day never opens again"
        if (day - today).days > 1:
            message += "; if that day is an error, stop hotshotd and delete ledger.db and ledger.seq in its state_dir"
        self._events.append(ClockJumped(seconds=seconds, day=day, message=message))

    def _admit_or_tell(self, bot: BotName, cost: Chars, *, addressed: bool, at: Moment) -> None:
        try:
            self._admit(bot, cost, addressed=addressed, at=at)
        except PaceExceeded:
            raise
        except QuotaExceeded:
            self._notice_thresholds(bot, refused=True)
            raise

    def _compute_told(self, bot: BotName) -> set[int]:
        plan = self._plan.bots[bot]
        if not plan.budget:
            return set(THRESHOLDS)
        percent = compute_percent(self._account(bot).used, plan.budget)
        return {threshold for threshold in THRESHOLDS if percent >= threshold}

    def _notice_thresholds(self, bot: BotName, *, refused: bool) -> None:
        """Tell 80 % and 100 %. A bot that is refused when nearly done has reached its budget, if not to the letter."""
        plan = self._plan.bots[bot]
        account = self._account(bot)
        if not plan.budget:
            return
        percent = compute_percent(account.used, plan.budget)
        if refused and percent >= THRESHOLDS[0]:
            percent = max(percent, 100)
        for threshold in THRESHOLDS:
            if percent >= threshold and threshold not in account.told:
                account.told.add(threshold)
                self._events.append(BudgetReached(bot=bot, percent=threshold))

    def _make_figures(self, bot: BotName) -> BotFigures:
        account, plan = self._account(bot), self._plan.bots[bot]
        return BotFigures(
            name=bot,
            characters=account.used,
            budget=plan.budget,
            paused=plan.paused,
            requests=account.requests,
            received=account.received,
            seconds=account.seconds,
        )

    def _check_account(self, bot: BotName, account: _Account) -> None:
        _require(0 <= account.open <= account.used, f"{bot}: {account.open} open of {account.used} charged")
        _require(account.used <= account.high, f"{bot}: {account.used} charged over the mark {account.high}")
        _require(account.must_write or account.high == account.durable, f"{bot}: a mark that nobody writes")


def _require(holds: bool, message: str) -> None:
    """Assert, also under `python -O`: money is counted here."""
    if not holds:
        raise AssertionError(message)
