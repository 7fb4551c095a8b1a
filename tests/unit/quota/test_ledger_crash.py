"""The ledger and its disk: what a kill, a full disk or a midnight in between may cost, and what it must not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotshotd.admission import Result
from hotshotd.quota.ledger import DOUBT_SECONDS, Ledger
from hotshotd.quota.records import Batch, Loaded, Row
from hotshotd.quota.store import SqliteStore, compute_total

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)
MIDNIGHT = 12 * 3600


def write(ledger: Ledger, **how) -> Batch:
    batch = ledger.take_batch(**how)
    ledger.confirm(batch)
    return batch


def revive(batch: Batch, *, epoch: int) -> Loaded:
    """What the next life finds after a kill, if `batch` was everything of its day."""
    rows = tuple(row for row in batch.rows if row.day == batch.day)
    return Loaded(epoch=epoch, day=batch.day, rows=rows, carried=batch.carried, unclean=batch.unclean, clean=False)


def find_charge(ledger: Ledger, clock, bot: str = "iama") -> int:
    return {figures.name: figures.characters for figures in ledger.compute_figures(at=clock.at).bots}[bot]


def test_roll__closes_a_day_that_may_have_reached_the_disk(ledger_of, clock, tmp_path):
    """A write that failed half-way is on the disk perhaps: what was taken back afterwards is gone from it as well."""
    store = SqliteStore(tmp_path)
    ledger = ledger_of(store.load(), iama=50)
    store.write(write(ledger, full=True))
    permit = ledger.grant("iama", 40, lease=1, at=clock.at)
    store._commit(ledger.take_batch(), sequence=2)
    ledger.fail("disk full")
    ledger.cancel(permit.number)
    clock.advance(MIDNIGHT)
    ledger.tick(clock.at)
    store.write(write(ledger, full=True))
    store.close()
    store = SqliteStore(tmp_path)
    loaded = store.load()
    store.close()
    assert (loaded.damage, compute_total(loaded)) == (None, 0)


def test_roll__closes_a_day_of_which_nothing_is_left_but_its_mark(ledger_of, clock, tmp_path):
    """Given back on a full disk, then midnight: the day's mark goes from the disk, or the files would not add up."""
    store = SqliteStore(tmp_path)
    ledger = ledger_of(store.load(), iama=50)
    permit = ledger.grant("iama", 40, lease=1, at=clock.at)
    store.write(write(ledger, full=True))
    ledger.fail("disk full")
    ledger.account(permit.number, Result.NOT_SENT, bot="iama", at=clock.at)
    clock.advance(MIDNIGHT)
    assert find_charge(ledger, clock) == 0
    store.write(write(ledger, full=True))
    store.close()
    store = SqliteStore(tmp_path)
    loaded = store.load()
    store.close()
    assert (loaded.damage, loaded.day, compute_total(loaded)) == (None, TOMORROW, 0)


def test_cancel__of_a_grant_whose_worker_has_left_already(ledger_of, clock):
    """Refused and gone in one turn: given back once, and its doubt, when it ends, finds nothing."""
    ledger = ledger_of(iama=1000)
    permit = ledger.grant("iama", 100, lease=1, at=clock.at)
    ledger.end_lease(1, at=clock.at)
    ledger.fail("disk full")
    ledger.cancel(permit.number)
    write(ledger, full=True)
    clock.advance(DOUBT_SECONDS + 1)
    assert find_charge(ledger, clock) == 0
    ledger.check_invariants()


def test_crash__does_not_carry_what_was_in_doubt_long_ago(ledger_of, clock):
    """The end of a doubt reaches the disk as counters do: a kill just before midnight carries no request of noon."""
    ledger = ledger_of(iama=64_000)
    ledger.grant("iama", 30_000, lease=1, at=clock.at)
    ledger.end_lease(1, at=clock.at)
    write(ledger)
    clock.advance(DOUBT_SECONDS + 1)
    ledger.tick(clock.at)
    assert ledger.counters_changed
    late = write(ledger)
    clock.advance(MIDNIGHT - DOUBT_SECONDS - 61)
    ledger = ledger_of(revive(late, epoch=2), iama=64_000)
    clock.advance(60)
    assert ledger.compute_figures(at=clock.at).day == TOMORROW
    assert find_charge(ledger, clock) <= 1000


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    budget=st.sampled_from([50, 1000, 6400, 64_000, 10**6]),
    minutes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    before=st.integers(0, 60),
)
def test_crash__around_midnight_costs_neither_day_more_than_a_32nd(ledger_of, clock, budget, minutes, before):
    """Kills at any minutes before and after it, each just after a mark was raised, and what is carried of them."""
    clock.jump((datetime(2026, 11, 24, tzinfo=UTC) + timedelta(days=1, minutes=-before) - clock.now()).total_seconds())
    ledger = ledger_of(iama=budget)
    granted = {TODAY: 0, TOMORROW: 0}
    for epoch, pause in enumerate(minutes, start=2):
        number = ledger.grant("iama", 1, lease=1, at=clock.at).number
        granted[ledger.compute_figures(at=clock.at).day] += 1
        ledger.account(number, Result.OK, bot="iama", at=clock.at)
        ledger = ledger_of(revive(write(ledger, full=True), epoch=epoch), iama=budget)
        day = ledger.compute_figures(at=clock.at).day
        assert 0 <= find_charge(ledger, clock) - granted[day] <= budget / 32 + len(minutes) * (day == TOMORROW)
        write(ledger, full=True)
        clock.advance(60 * pause)
    day = ledger.compute_figures(at=clock.at).day
    assert 0 <= find_charge(ledger, clock) - granted[day] <= budget / 32 + len(minutes) * (day == TOMORROW)


@pytest.mark.parametrize("clean", [True, False])
def test_start__open_at_the_end_is_in_doubt_for_15_minutes_from_then(ledger_of, clock, clean):
    """Also after an orderly end; whoever has sent it may have been stopped later than we."""
    clock.advance(MIDNIGHT - 60)
    loaded = Loaded(epoch=2, day=TODAY, rows=(Row(TODAY, "iama", 700, open_mark=600),), clean=clean)
    for seconds, carried in ((60, 600), (60 + DOUBT_SECONDS, 0)):
        ledger = ledger_of(loaded, iama=1000)
        assert find_charge(ledger, clock) == 700
        at = replace(clock.at, monotonic=clock.at.monotonic + seconds - 60)
        ledger.tick(at)
        at = replace(at, now=at.now + timedelta(seconds=60))
        assert ledger.compute_figures(at=at).bots[0].characters == carried
