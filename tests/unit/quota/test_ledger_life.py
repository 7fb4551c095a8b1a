"""Random lives of ledger and store together, held against a model that only knows what was sent on which day."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hotshotd._types import BotName
from hotshotd.admission import Result
from hotshotd.errors import QuotaError, QuotaUnavailable
from hotshotd.quota.ledger import DOUBT_SECONDS, Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.store import SqliteStore

BOTS = ("a", "b")
ZONES = ("UTC", "Pacific/Kiritimati", "America/Los_Angeles")


class CountingStore(SqliteStore):
    """A store that fails on demand, without the disk's slow syncs."""

    full = False

    def _open_database(self) -> None:
        super()._open_database()
        self._database.execute("PRAGMA synchronous=OFF")

    def write(self, batch) -> None:
        if self.full:
            raise QuotaUnavailable("disk full")
        super().write(batch)


class LedgerLife(RuleBasedStateMachine):
    """`sent` is what the services could bill, by (bot, ledger day): it may never pass the budget of then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = datetime(2026, 11, 24, 20, tzinfo=UTC)
        self.monotonic = 1000.0
        self.sent: dict[tuple[str, object], int] = {}
        #: permit number -> (bot, chars, when it stops being billable, or None while it is open)
        self.open: dict[int, tuple[str, int]] = {}
        self.doubtful: list[tuple[float, str, int]] = []
        self.budgets: dict[str, int | None] = {"a": 6400, "b": 300}
        self.daily_total: int | None = None
        self.zone = "UTC"
        self.largest_day = None
        self.granted_days: set[object] = set()
        self.lease = 0
        self.store: CountingStore | None = None

    def teardown(self) -> None:
        if self.store is not None:
            self.store.close()
        shutil.rmtree(self.folder)

    @property
    def at(self) -> Moment:
        return Moment(now=self.now, monotonic=self.monotonic)

    @property
    def plan(self) -> Plan:
        bots = {BotName(bot): BotPlan(budget=budget) for bot, budget in self.budgets.items()}
        return Plan(zone=ZoneInfo(self.zone), daily_total=self.daily_total, bots=bots)

    @initialize()
    def start(self) -> None:
        self.store = CountingStore(self.folder)
        loaded = self.store.load()
        assert loaded.damage is None
        self.lease += 1
        self.ledger = Ledger(loaded, plan=self.plan, at=self.at)
        self.commit(full=True)

    def commit(self, *, full: bool = False) -> bool:
        batch = self.ledger.take_batch(full=full)
        try:
            self.store.write(batch)
        except QuotaUnavailable as exc:
            self.ledger.fail(str(exc))
            return False
        self.ledger.confirm(batch)
        return True

    def note_day(self) -> None:
        """The model's midnight: what may still be billed counts for the new day."""
        day = self.ledger.compute_figures(at=self.at).day
        assert self.largest_day is None or day >= self.largest_day
        self.doubtful = [entry for entry in self.doubtful if entry[0] > self.monotonic]
        if self.largest_day is not None and day > self.largest_day:
            for bot, chars in [*self.open.values(), *((bot, chars) for _, bot, chars in self.doubtful)]:
                self.sent[bot, day] = self.sent.get((bot, day), 0) + chars
        self.largest_day = day

    @rule(bot=st.sampled_from(BOTS), chars=st.sampled_from([0, 1, 7, 60, 150, 299, 2000, 6400, 7000]))
    def grant(self, bot, chars) -> None:
        self.note_day()
        total_before = self.ledger.compute_figures(at=self.at).day_spend
        try:
            permit = self.ledger.grant(BotName(bot), chars, lease=self.lease, at=self.at)
        except QuotaError:
            return
        if self.ledger.must_write and not self.commit():
            self.ledger.cancel(permit.number)
            return
        key = (bot, self.largest_day)
        self.sent[key] = self.sent.get(key, 0) + chars
        self.open[permit.number] = (bot, chars)
        if chars:
            self.granted_days.add(self.largest_day)
        if chars:
            budget = self.budgets[bot]
            assert budget is None or self.sent[key] <= budget
            assert self.daily_total is None or total_before + chars <= self.daily_total

    @precondition(lambda self: self.open)
    @rule(data=st.data(), result=st.sampled_from(list(Result)))
    def account(self, data, result) -> None:
        self.note_day()
        number = data.draw(st.sampled_from(sorted(self.open)))
        bot, chars = self.open.pop(number)
        assert self.ledger.account(number, result, bot=BotName(bot), at=self.at)
        if result is Result.NOT_SENT:
            self.sent[bot, self.largest_day] -= chars
        elif result is Result.FAILED:
            self.doubtful.append((self.monotonic + DOUBT_SECONDS, bot, chars))

    @rule()
    def worker_dies(self) -> None:
        self.note_day()
        self.ledger.end_lease(self.lease, at=self.at)
        self.lease += 1
        self.orphan_all()

    def orphan_all(self) -> None:
        self.doubtful += [(self.monotonic + DOUBT_SECONDS, bot, chars) for bot, chars in self.open.values()]
        self.open.clear()

    @rule(clean=st.booleans())
    def restart(self, clean) -> None:
        self.note_day()
        day = self.largest_day
        before = {bot.name: bot.characters for bot in self.ledger.compute_figures(at=self.at).bots}
        if clean:
            self.store.write(self.ledger.take_batch(clean=True))
        self.store.close()
        self.orphan_all()
        self.start()
        self.forget_a_day_that_never_reached_the_disk()
        self.note_day()
        after = {bot.name: bot.characters for bot in self.ledger.compute_figures(at=self.at).bots}
        same_day = day == self.largest_day
        for bot in BOTS:
            assert not same_day or after[bot] >= before[bot]
            assert not clean or after[bot] == before[bot]

    def forget_a_day_that_never_reached_the_disk(self) -> None:
        """A crash between a roll and its write, and the clock set back: nothing was granted on that day."""
        day = self.ledger.compute_figures(at=self.at).day
        if day < self.largest_day:
            assert self.largest_day not in self.granted_days
            self.sent = {key: chars for key, chars in self.sent.items() if key[1] != self.largest_day}
            self.largest_day = day

    @rule(chars=st.sampled_from([1, 60, 299]), bot=st.sampled_from(BOTS))
    def disk_fills_and_empties(self, bot, chars) -> None:
        self.store.full = True
        self.grant(bot, chars)
        self.store.full = False
        assert self.commit(full=True)

    @rule(minutes=st.sampled_from([0, 1, 10, 20, 120, 600]))
    def time_passes(self, minutes) -> None:
        self.now += timedelta(minutes=minutes)
        self.monotonic += minutes * 60
        self.note_day()

    @rule(hours=st.sampled_from([-48, -24, -1, 1, 24]))
    def clock_jumps(self, hours) -> None:
        self.now += timedelta(hours=hours)
        self.note_day()

    @rule(
        zone=st.sampled_from(ZONES),
        a=st.sampled_from([0, 100, 6400, None]),
        daily_total=st.sampled_from([None, 500, 5000]),
    )
    def operator_edits(self, zone, a, daily_total) -> None:
        self.note_day()
        self.zone, self.daily_total = zone, daily_total
        self.budgets["a"] = a
        self.ledger.configure(self.plan, at=self.at)
        self.note_day()

    @invariant()
    def never_more_than_the_ledger_knows(self) -> None:
        if self.largest_day is None:
            return
        self.note_day()
        self.ledger.check_invariants()
        for bot in self.ledger.compute_figures(at=self.at).bots:
            assert bot.characters >= self.sent.get((bot.name, self.largest_day), 0)


LedgerLife.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_life = LedgerLife.TestCase
