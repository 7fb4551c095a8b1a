"""Random lives of ledger and store together, held against an accountant's book (`book`) after every event.

One machine plays all parts: workers, the disk, the operator, the clock on the wall, and whoever kills. A turn of the
server is played as `hotshotd.quota.server` does it: events, one write, and only then the answer. Each kill comes at a
point of a turn.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from book import Book, Rules, find_day
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hotshotd._types import BotName
from hotshotd.admission import Result
from hotshotd.errors import QuotaError, QuotaUnavailable
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import BotPlan, LedgerState, Plan
from hotshotd.quota.store import SqliteStore

BOTS = ("a", "b", "c")
#: Far apart, so that one change makes it yesterday or tomorrow; Havana's midnights are skipped and repeated.
ZONES = ("UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Europe/Berlin", "America/Havana")
#: Before a month's end, a year's end, and days of 23 and of 25 hours in Berlin, Los Angeles and Havana.
BEGINNINGS = tuple(
    datetime.fromisoformat(f"{text}+00:00")
    for text in ("2026-11-24T20:00", "2026-11-30T20:00", "2026-12-31T11:00", "2026-03-28T21:00", "2026-10-24T21:00",
                 "2026-03-07T22:00", "2026-10-31T23:00", "2028-02-28T22:00")
)  # fmt: skip
CHARS = st.sampled_from([0, 1, 7, 30, 60, 150, 299, 2000, 7000])
#: Several workers' requests, one after the other.
REQUESTS = st.lists(st.tuples(st.sampled_from(BOTS), CHARS, st.booleans()), min_size=1, max_size=6)
BUDGETS = st.tuples(st.sampled_from([6400, 300, None, 50, 0]), st.sampled_from([False, False, True]))
#: Where in its turn the quota process dies.
POINTS = ("before the write", "between its two files", "before the answer", "after the answer")


class Died(BaseException):
    """The quota process ends here."""


class FallibleStore(SqliteStore):
    """The real store without the disk's slow syncs; it fails, or its process dies, where it is told to."""

    fails = ""
    dies = ""

    def _open_database(self) -> None:
        super()._open_database()
        self._database.execute("PRAGMA synchronous=OFF")

    def write(self, batch) -> None:
        if self.dies == POINTS[0]:
            raise Died
        if self.fails == "at once":
            raise QuotaUnavailable("disk full")
        super().write(batch)

    def _commit(self, batch, *, sequence) -> None:
        super()._commit(batch, sequence=sequence)
        if self.dies == POINTS[1]:
            raise Died
        if self.fails == "half-way":
            raise OSError("disk full")


class LedgerLife(RuleBasedStateMachine):
    """A quota process with its workers, and the book that is kept of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.monotonic = 1000.0
        self.rules = Rules(budgets={"a": (6400, False), "b": (300, False), "c": (6400, True)})
        self.lease = 0
        self.dead_numbers: list[int] = []
        self.damaged_on = None

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def at(self) -> Moment:
        return Moment(now=self.now, monotonic=self.monotonic)

    @property
    def plan(self) -> Plan:
        bots = {BotName(bot): BotPlan(budget=budget, even=even) for bot, (budget, even) in self.rules.budgets.items()}
        return Plan(
            zone=ZoneInfo(self.rules.zone), daily_total=self.rules.daily, monthly_total=self.rules.monthly, bots=bots
        )

    @property
    def used(self) -> dict[str, int]:
        """Of all bots; the figures know those that are configured."""
        return {bot: account.used for bot, account in self.ledger._accounts.items()}

    @property
    def earlier(self) -> dict[str, int]:
        accounts = {bot: account.month_before for bot, account in self.ledger._accounts.items()}
        return {**accounts, "(lost)": self.ledger._carried}

    @initialize(now=st.sampled_from(BEGINNINGS), zone=st.sampled_from(ZONES))
    def begin(self, now, zone) -> None:
        self.now = now.astimezone(UTC)
        self.rules = Rules(zone=zone, budgets=self.rules.budgets)
        self.book = Book(self.rules, find_day(self.now, zone))
        self.book.edit(self.rules)
        self.start()

    def start(self, *, damaged: bool = False) -> None:
        self.store = FallibleStore(self.folder)
        loaded = self.store.load()
        assert (loaded.damage is not None) == damaged
        self.lease += 1
        self.book.revive(self.monotonic)
        self.ledger = Ledger(loaded, plan=self.plan, at=self.at)
        if damaged:
            self.believe_what_is_left()
        self.check()
        self.commit(full=True)

    def believe_what_is_left(self) -> None:
        """Of a damaged ledger only the month is known, and that at least. Nothing is granted today."""
        figures = self.ledger.compute_figures(at=self.at)
        self.book.turn(self.now, self.monotonic)
        self.damaged_on = self.book.day
        assert figures.month_spend >= self.book.billed_month[figures.day.year, figures.day.month]
        self.book.used, self.book.earlier = Counter(self.used), Counter(self.earlier)
        self.book.blur, self.book.blur_earlier = Counter(), Counter()
        self.book.billed = Counter()

    def commit(self, *, full: bool = False) -> bool:
        """One write, as the server makes it."""
        self.ledger.check_invariants()
        batch = self.ledger.take_batch(full=full)
        if self.store.fails != "at once" and self.store.dies != POINTS[0]:
            self.book.write()
        try:
            self.store.write(batch)
        except QuotaUnavailable as exc:
            self.ledger.fail(str(exc))
            return False
        if self.store.dies == POINTS[2]:
            raise Died
        self.ledger.confirm(batch)
        return True

    def ask(self, bot, chars, *, addressed=False) -> int | None:
        """One turn with one request in it; gives the permit's number once the worker has it and has sent."""
        try:
            permit = self.ledger.grant(BotName(bot), chars, lease=self.lease, addressed=addressed, at=self.at)
        except QuotaError:
            return None
        self.book.charge(bot, chars, permit.number)
        if self.ledger.must_write and not self.commit():
            self.ledger.cancel(permit.number)
            self.book.give_back(permit.number, was_sent=False)
            return None
        self.book.send(permit.number)
        return permit.number

    # --- workers ----------------------------------------------------------------------------------

    @rule(requests=REQUESTS)
    def work(self, requests) -> None:
        for bot, chars, addressed in requests:
            self.grant(bot, chars, addressed=addressed)
            self.check()

    def grant(self, bot, chars, *, addressed) -> None:
        expected = self.expect(bot, chars, addressed=addressed)
        number = self.ask(bot, chars, addressed=addressed)
        assert expected is None or (number is not None) == expected
        if number is not None and chars:
            self.check_limits(bot)

    def expect(self, bot, chars, *, addressed) -> bool | None:
        """Whether the book says that it is granted; None where it is a matter of a rounding, or of what was lost."""
        if self.ledger.state is not LedgerState.OK or bot not in self.rules.budgets:
            return False
        if self.store.fails:
            return None  # under the mark nothing has to be written
        left = min(self.book.find_left(bot, self.now, addressed=addressed), default=chars + 1000)
        if not chars:
            return True
        return None if abs(left - chars) <= 3 and left != int(left) else left >= chars

    def check_limits(self, bot) -> None:
        """The promise itself: what may be billed is within every limit that was in force when it was granted."""
        budget, _ = self.rules.budgets[bot]
        day = self.book.day
        assert budget is None or self.book.billed[day, bot] <= budget
        all_bots = sum(chars for (when, _), chars in self.book.billed.items() if when == day)
        assert self.rules.daily is None or all_bots <= self.rules.daily
        assert self.rules.monthly is None or self.book.billed_month[day.year, day.month] <= self.rules.monthly

    @precondition(lambda self: self.book.open)
    @rule(data=st.data(), result=st.sampled_from(list(Result)))
    def account(self, data, result) -> None:
        number = data.draw(st.sampled_from(sorted(self.book.open)))
        bot = self.book.open[number].bot
        assert not self.ledger.account(number, result, bot=BotName("stranger"), at=self.at)
        assert self.ledger.account(number, result, bot=BotName(bot), at=self.at)
        if result is Result.NOT_SENT:
            self.book.give_back(number)
        elif result is Result.FAILED:
            self.book.doubt(number, self.monotonic)
        else:
            self.book.close(number)
        self.dead_numbers.append(number)
        if self.ledger.must_write and self.ledger.state is not LedgerState.FAILING:
            self.commit()

    @precondition(lambda self: self.dead_numbers)
    @rule(data=st.data())
    def late_word(self, data) -> None:
        """Told twice, or of a lease or a life that has ended: nothing changes."""
        number = data.draw(st.sampled_from(self.dead_numbers))
        for bot in BOTS:
            assert not self.ledger.account(number, Result.NOT_SENT, bot=BotName(bot), at=self.at)

    @rule()
    def worker_dies(self) -> None:
        self.ledger.end_lease(self.lease, at=self.at)
        self.lease += 1
        self.dead_numbers += self.book.open
        self.book.orphan(self.monotonic)

    # --- the quota process, its disk and its end --------------------------------------------------

    @rule(
        point=st.sampled_from(POINTS),
        requests=REQUESTS,
        away=st.sampled_from([0, 5, 300]),
        hours=st.sampled_from([0, 0, 0, -48, -3, 3]),
        zone=st.sampled_from([None, None, None, *ZONES]),
    )
    def killed(self, point, requests, away, hours, zone) -> None:
        """At a point of a turn in which there is a request; meanwhile the clock may be set, or the zone changed."""
        open_before = set(self.book.open)
        self.store.dies = point
        try:
            for bot, chars, addressed in requests:
                open_before = set(self.book.open)
                self.ask(bot, chars, addressed=addressed)
        except Died:
            # Granted, but the worker was never told.
            for number in set(self.book.open) - open_before:
                self.book.give_back(number, was_sent=False)
        self.end(clean=False)
        self.come_back(away, hours, zone)

    @rule(
        away=st.sampled_from([0, 5, 300]),
        hours=st.sampled_from([0, 0, 0, -48, -3, 3]),
        zone=st.sampled_from([None, None, None, *ZONES]),
    )
    def stopped(self, away, hours, zone) -> None:
        """In order, with exact figures."""
        self.end(clean=True)
        self.come_back(away, hours, zone)

    def come_back(self, away, hours, zone) -> None:
        self.rest(away)
        self.clock_jumps(hours)
        self.rules = Rules(zone or self.rules.zone, self.rules.daily, self.rules.monthly, self.rules.budgets)
        self.book.edit(self.rules)
        self.start()

    @precondition(lambda self: self.damaged_on is None)
    @rule(how=st.sampled_from(["removed", "emptied", "second file removed"]), restart=st.booleans())
    def damaged(self, how, restart) -> None:
        """Somebody robs the ledger of a file while nobody looks: nothing is granted until a day begins."""
        self.worker_dies()
        self.rest(20)  # what was under way is over, for a ledger that is gone can't know of it
        self.check()
        self.end(clean=False)
        path = self.folder / ("ledger.seq" if how.startswith("second") else "ledger.db")
        if how == "emptied":
            os.truncate(path, 0)
        else:
            path.unlink()
        self.start(damaged=True)
        self.grant("a", 1, addressed=True)
        if restart:
            self.end(clean=False)
            self.start()
            self.grant("a", 1, addressed=True)
        self.rest(1500)

    def end(self, *, clean: bool) -> None:
        self.dead_numbers += self.book.open
        if clean:
            self.store.fails = ""
            self.book.write()
            self.store.write(self.ledger.take_batch(clean=True))
        self.store.close()
        self.book.die(self.monotonic, clean=clean)

    @rule(
        how=st.sampled_from(["at once", "half-way"]),
        requests=REQUESTS,
        minutes=st.sampled_from([0, 20, 300]),
        data=st.data(),
    )
    def disk_is_full(self, how, requests, minutes, data) -> None:
        """For some work and some time; the server tries again every three seconds, but for one that dies before."""
        self.store.fails = how
        self.work(requests)
        if self.book.open:
            self.account(data, data.draw(st.sampled_from(list(Result))))
        self.rest(minutes)
        self.check()
        if data.draw(st.sampled_from([True, True, True, False])):
            self.store.fails = ""
        if self.ledger.state is LedgerState.FAILING:
            assert self.commit(full=True) == (not self.store.fails)

    @precondition(lambda self: self.store.fails)
    @rule()
    def disk_has_room(self) -> None:
        self.store.fails = ""
        if self.ledger.state is LedgerState.FAILING:
            assert self.commit(full=True)

    # --- time and the operator ----------------------------------------------------------------------

    @rule(minutes=st.sampled_from([1, 10, 20, 120, 400, 1500]))
    def rest(self, minutes) -> None:
        self.now += timedelta(minutes=minutes)
        self.monotonic += minutes * 60

    @rule(hours=st.sampled_from([-48, -24, -1, 1, 24]))
    def clock_jumps(self, hours) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        zone=st.sampled_from(ZONES),
        daily=st.sampled_from([None, None, 800, 20_000]),
        monthly=st.sampled_from([None, None, 4000, 400_000]),
        budgets=st.dictionaries(st.sampled_from(BOTS), BUDGETS, min_size=1),
    )
    def operator_edits(self, zone, daily, monthly, budgets) -> None:
        """Budgets up, down, away and below what is spent; bots that go and come; another zone."""
        self.rules = Rules(zone, daily, monthly, budgets)
        self.ledger.configure(self.plan, at=self.at)
        # The old zone's day first: time has passed under it.
        self.book.turn(self.now, self.monotonic)
        self.book.edit(self.rules)

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "ledger"):
            return
        figures = self.ledger.compute_figures(at=self.at)
        self.book.turn(self.now, self.monotonic)
        assert figures.day == self.book.day
        if figures.state is not LedgerState.FAILING:
            assert (figures.state is LedgerState.DAMAGED) == (self.damaged_on == figures.day)
        self.ledger.check_invariants()
        self.book.adopt(self.used, self.earlier)
        self.book.check_promise()
        assert {bot.name: bot.characters for bot in figures.bots} == {
            bot: self.book.used[bot] for bot in self.rules.budgets
        }
        assert (figures.day_spend, figures.month_spend) == (self.book.used.total(), self.book.month)


LedgerLife.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
test_life = pytest.mark.timeout(300)(LedgerLife.TestCase)
