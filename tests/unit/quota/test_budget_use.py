"""How much of a budget, or of a cap, can be used where there is work all day: the real ledger, time passing by hand.

A kill loses what the mark on disk is ahead of what was granted. Here it comes once an hour, at the worst moment: just
after every bot's mark was raised.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hotshotd._types import BotName, Chars
from hotshotd.admission import Result
from hotshotd.errors import QuotaExceeded
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.records import Batch, Loaded, Row
from hotshotd.quota.store import SqliteStore

HOURS = 24
#: The promise: this much can be used, of a budget of at least 200 grants.
QUIET_PART, CRASHING_PART = 0.98, 0.95
Draw = Callable[[int, random.Random], int]


class Memory(Protocol):
    """What a life of the ledger needs of a store."""

    def load(self) -> Loaded: ...

    def write(self, batch: Batch) -> None: ...

    def close(self) -> None: ...


class QuickStore(SqliteStore):
    """Real files without the disk's slow syncs: nobody cuts the power here."""

    def _open_database(self) -> None:
        super()._open_database()
        self._database.execute("PRAGMA synchronous=OFF")


class Notes:
    """A store without files, for many days in little time."""

    def __init__(self) -> None:
        self._rows: dict[tuple[date, str], Row] = {}
        self._last: Batch | None = None
        self._lives = 0

    def load(self) -> Loaded:
        self._lives += 1
        last = self._last
        if last is None:
            return Loaded(epoch=self._lives)
        month = [row for row in self._rows.values() if (row.day.year, row.day.month) == (last.day.year, last.day.month)]
        return Loaded(
            epoch=self._lives,
            day=last.day,
            rows=tuple(row for row in month if row.day == last.day),
            month_before={
                bot: sum(row.high_water for row in month if row.bot == bot and row.day < last.day)
                for bot in {row.bot for row in month}
            },
            carried=last.carried,
            unclean=last.unclean,
            clean=last.clean,
        )

    def write(self, batch: Batch) -> None:
        self._last = replace(batch, rows=())
        self._rows |= {(row.day, row.bot): row for row in batch.rows}

    def close(self) -> None:
        """It lives on."""


class Life:
    """The quota process without its sockets: grants that are durable before they count, and kill -9."""

    def __init__(self, open_store: Callable[[], Memory], plan: Plan, clock: Any) -> None:
        self._open_store, self._plan, self._clock = open_store, plan, clock
        #: What services were sent, of this run.
        self.sent = 0
        self._begin()

    def spend(self, bot: BotName, chars: int) -> bool:
        """Send a request of so many characters; tell whether its grant had to be written."""
        number = self.ledger.grant(bot, Chars(chars), lease=1, addressed=True, at=self._clock.at).number
        was_written = self.ledger.must_write
        if was_written:
            self._write()
        self.sent += chars
        self.ledger.account(number, Result.OK, bot=bot, at=self._clock.at)
        return was_written

    def crash(self) -> None:
        """Be killed, and start again."""
        # Nothing is written: what SQLite does at a close is what the next life would do.
        self._store.close()
        self._begin()

    def close(self) -> None:
        self._store.close()

    def _begin(self) -> None:
        self._store = self._open_store()
        self.ledger = Ledger(self._store.load(), plan=self._plan, at=self._clock.at)
        self._write(full=True)

    def _write(self, *, full: bool = False) -> None:
        batch = self.ledger.take_batch(full=full)
        self._store.write(batch)
        self.ledger.confirm(batch)


def draw_even(share: int, _chance: random.Random) -> int:
    """Grants as large as 200 of them allow."""
    return max(1, share // 200)


def draw_small(share: int, _chance: random.Random) -> int:
    """Grants so small that a mark on disk is ahead of them by its whole slab: a kill loses most."""
    return max(1, share // 2000)


def draw_mixed(share: int, chance: random.Random) -> int:
    """From a score to a long thread: 200 grants at least, more in general."""
    return chance.randint(max(1, share // 2000), max(1, share // 200))


@contextmanager
def live(open_store: Callable[[], Memory], plan: Plan, clock: Any) -> Iterator[Life]:
    life = Life(open_store, plan, clock)
    try:
        yield life
    finally:
        life.close()


def live_a_day(life: Life, clock: Any, plan: Plan, goal: int, draw: Callable[[], int], *, crashes: bool) -> None:
    """Work as evenly as the day goes, to `goal` in its last hour or as long as anything is granted."""
    begun = life.sent
    for hour in range(1, HOURS + 1):
        clock.advance(3590)
        for number, bot in enumerate(plan.bots, start=1):
            work(life, bot, begun + goal * (hour - 1 + number / len(plan.bots)) / HOURS, draw)
            if crashes:
                raise_mark(life, bot, draw)
        if hour == HOURS:
            for bot in plan.bots:
                work(life, bot, begun + goal, draw)
        elif crashes:
            life.crash()


def work(life: Life, bot: BotName, goal: float, draw: Callable[[], int]) -> None:
    try:
        while life.sent < goal:
            life.spend(bot, draw())
    except QuotaExceeded:
        return


def raise_mark(life: Life, bot: BotName, draw: Callable[[], int]) -> None:
    try:
        while not life.spend(bot, draw()):
            pass
    except QuotaExceeded:
        return


@pytest.fixture
def morning(clock: Any) -> Any:
    """The clock of a ledger's test at a midnight; `clock.jump` sets it to another one."""
    set_clock(clock, datetime(2026, 11, 24, tzinfo=UTC))
    return clock


def set_clock(clock: Any, now: datetime) -> None:
    clock.jump((now - clock.now()).total_seconds())


@pytest.mark.parametrize("draw", [draw_even, draw_mixed, draw_small])
@pytest.mark.parametrize("budget", [200, 30_000, 1_000_000])
@pytest.mark.parametrize(("crashes", "least"), [(False, QUIET_PART), (True, CRASHING_PART)])
def test_budget__can_be_used(
    tmp_path: Path, morning: Any, plan: Any, budget: int, draw: Draw, *, crashes: bool, least: float
) -> None:
    """On real files: 98 % where nobody is killed, 95 % with a kill an hour; never more than all of it."""
    chance, rules = random.Random(7), plan(iama=budget)
    with live(lambda: QuickStore(tmp_path), rules, morning) as life:
        live_a_day(life, morning, rules, budget, lambda: draw(budget, chance), crashes=crashes)
        charged = life.ledger.compute_figures(at=morning.at).bots[0].characters
    print(f"budget {budget:>9,}, {draw.__name__[5:]}, {'24 kills' if crashes else 'no kill'}: {life.sent / budget:.2%}")
    assert least <= life.sent / budget <= 1
    assert life.sent <= charged <= budget


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    grants=st.integers(200, 5000),
    chars=st.integers(1, 400),
    even=st.booleans(),
    crashes=st.booleans(),
    seed=st.integers(0, 9),
)
@example(grants=200, chars=1, even=True, crashes=True, seed=0)
@example(grants=5000, chars=1, even=True, crashes=True, seed=0)
def test_budget__of_any_size_can_be_used(
    morning: Any, grants: int, chars: int, seed: int, *, even: bool, crashes: bool
) -> None:
    """Budgets of 200 to 5000 grants, greedy or evenly spent."""
    set_clock(morning, datetime(2026, 11, 24, tzinfo=UTC))
    budget, chance, notes = grants * chars, random.Random(seed), Notes()
    rules = build_rules({"iama": BotPlan(budget=budget, even=even)})
    with live(lambda: notes, rules, morning) as life:
        live_a_day(life, morning, rules, budget, lambda: max(1, chance.randint(chars * 4 // 5, chars)), crashes=crashes)
    assert (CRASHING_PART if crashes else QUIET_PART) <= life.sent / budget <= 1


def build_rules(bots: dict[str, BotPlan], **caps: int) -> Plan:
    return Plan(zone=ZoneInfo("UTC"), bots={BotName(bot): plan for bot, plan in bots.items()}, **caps)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    grants=st.integers(200, 3000),
    chars=st.integers(1, 400),
    budgets=st.lists(st.sampled_from([None, "all", "half"]), min_size=1, max_size=5),
    idle=st.integers(0, 4),
    crashes=st.booleans(),
)
@example(grants=200, chars=1, budgets=[None], idle=4, crashes=True)
def test_daily_total__can_be_used(
    morning: Any, grants: int, chars: int, budgets: list[str | None], idle: int, *, crashes: bool
) -> None:
    """The cap over all bots as well, however many share it, and also where some of them have nothing to say."""
    set_clock(morning, datetime(2026, 11, 24, tzinfo=UTC))
    cap, notes = grants * chars, Notes()
    limits = {None: None, "all": cap, "half": cap // 2 + 1}
    bots = {f"bot{n}": BotPlan(budget=limits[name]) for n, name in enumerate(["all", *budgets])}
    quiet = {f"quiet{n}": BotPlan(budget=None) for n in range(idle)}
    with live(lambda: notes, build_rules({**bots, **quiet}, daily_total=cap), morning) as life:
        live_a_day(life, morning, build_rules(bots), cap, lambda: chars, crashes=crashes)
        charged = life.ledger.compute_figures(at=morning.at).day_spend
    assert (CRASHING_PART if crashes else QUIET_PART) <= life.sent / cap <= 1
    assert life.sent <= charged


@pytest.mark.parametrize(("crashes", "least"), [(False, QUIET_PART), (True, CRASHING_PART)])
def test_monthly_total__can_be_used(morning: Any, *, crashes: bool, least: float) -> None:
    """A month of 31 days with a kill an hour: its cap can be used, and opens again with the next one."""
    cap, notes = 31 * 3000, Notes()
    rules = build_rules({"a": BotPlan(budget=None), "b": BotPlan(budget=10_000)}, monthly_total=cap)
    set_clock(morning, datetime(2026, 12, 1, tzinfo=UTC))
    with live(lambda: notes, rules, morning) as life:
        for day in range(31):
            set_clock(morning, datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=day))
            live_a_day(life, morning, rules, cap * (day + 1) // 31 - life.sent, lambda: 15, crashes=crashes)
        assert least <= life.sent / cap <= 1
        assert life.sent <= life.ledger.compute_figures(at=morning.at).month_spend
        set_clock(morning, datetime(2027, 1, 1, tzinfo=UTC))
        life.spend(BotName("a"), 15)
        assert life.ledger.compute_figures(at=morning.at).month_spend == 15
