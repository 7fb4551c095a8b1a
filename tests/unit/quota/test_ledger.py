"""The ledger's rules, one test a rule."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from hotshotd.admission import Result
from hotshotd.errors import BotPaused, QuotaExceeded, QuotaUnavailable
from hotshotd.quota.plan import BudgetReached, ClockJumped, LedgerState
from hotshotd.quota.records import Loaded, Row

MIDNIGHT = 12 * 3600
TODAY = date(2026, 11, 24)


def grant(ledger, bot, chars, clock, lease=1):
    permit = ledger.grant(bot, chars, lease=lease, at=clock.at)
    ledger.confirm(ledger.take_batch())
    return permit


def settle(ledger, permit, result, clock, bot="iama", **extra):
    known = ledger.account(permit.number, result, bot=bot, at=clock.at, **extra)
    ledger.check_invariants()
    return known


def spend(ledger, clock, bot="iama"):
    return {b.name: b.characters for b in ledger.compute_figures(at=clock.at).bots}[bot]


def test_grant__ends_at_the_budget(ledger_of, clock):
    """The whole budget can be used, and not one character more."""
    ledger = ledger_of(iama=1000)
    grant(ledger, "iama", 999, clock)
    with pytest.raises(QuotaExceeded) as refusal:
        ledger.grant("iama", 2, lease=1, at=clock.at)
    assert (refusal.value.cost, refusal.value.left) == (2, 1)
    assert refusal.value.resets_at == datetime(2026, 11, 25, tzinfo=UTC)
    grant(ledger, "iama", 1, clock)
    assert spend(ledger, clock) == 1000


def test_grant__nothing_metered_with_budget_zero(ledger_of, clock):
    """A budget of 0 sends nothing that costs; a server that is not metered costs nothing."""
    ledger = ledger_of(iama=0)
    with pytest.raises(QuotaExceeded):
        ledger.grant("iama", 1, lease=1, at=clock.at)
    assert grant(ledger, "iama", 0, clock).chars == 0


def test_grant__nothing_metered_where_more_than_all_is_spent(ledger_of, clock, plan):
    """Over its budget, and over a cap, a bot still reaches what costs nothing."""
    ledger = ledger_of(iama=1000)
    grant(ledger, "iama", 900, clock)
    ledger.configure(plan(iama=100, daily_total=50, monthly_total=50), at=clock.at)
    assert grant(ledger, "iama", 0, clock).chars == 0


def test_grant__unlimited_has_no_end_and_no_percent(ledger_of, clock):
    """Without a budget everything is granted, and budget, left and percent are None."""
    ledger = ledger_of(iama=None)
    grant(ledger, "iama", 10**9, clock)
    figures = ledger.compute_figures(at=clock.at).bots[0]
    assert (figures.characters, figures.budget, figures.left, figures.percent) == (10**9, None, None, None)


def test_grant__refuses_strangers_and_the_paused(ledger_of, clock):
    """A bot that is not configured, or is paused, gets nothing, not even what costs nothing."""
    ledger = ledger_of(iama=1000, paused=("iama",))
    with pytest.raises(BotPaused):
        ledger.grant("iama", 0, lease=1, at=clock.at)
    with pytest.raises(QuotaUnavailable):
        ledger.grant("stranger", 0, lease=1, at=clock.at)
    ledger.pause("iama", paused=False)
    grant(ledger, "iama", 10, clock)
    assert ledger.pause("stranger", paused=True) is False


@pytest.mark.parametrize(
    ("result", "left_charged"),
    [(r, 0 if r is Result.NOT_SENT else 100) for r in Result],
)
def test_account__gives_back_only_what_was_not_sent(ledger_of, clock, result, left_charged):
    """What was sent is spent, whatever the answer."""
    ledger = ledger_of(iama=1000)
    assert settle(ledger, grant(ledger, "iama", 100, clock), result, clock)
    assert spend(ledger, clock) == left_charged


def test_account__counts_requests_characters_and_seconds(ledger_of, clock):
    """The bill is not only characters; what was not sent is no request."""
    ledger = ledger_of(iama=1000)
    settle(ledger, grant(ledger, "iama", 10, clock), Result.OK, clock, received=55, seconds=1.5)
    settle(ledger, grant(ledger, "iama", 10, clock), Result.NOT_SENT, clock)
    figures = ledger.compute_figures(at=clock.at).bots[0]
    assert (figures.requests, figures.received, figures.seconds) == (1, 55, 1.5)


@pytest.mark.parametrize("first", [Result.OK, Result.FAILED, Result.NOT_SENT])
def test_account__second_word_is_ignored(ledger_of, clock, first):
    """A permit is accounted once; saying NOT_SENT afterwards gives nothing back."""
    ledger = ledger_of(iama=1000)
    permit = grant(ledger, "iama", 100, clock)
    settle(ledger, permit, first, clock)
    before = spend(ledger, clock)
    assert not settle(ledger, permit, Result.NOT_SENT, clock)
    assert spend(ledger, clock) == before


def test_account__ignores_other_bots_and_other_lives(ledger_of, clock):
    """A number of another bot, or of an earlier life of the process, changes nothing."""
    old = grant(ledger_of(Loaded(epoch=6), iama=1000), "iama", 100, clock)
    ledger = ledger_of(Loaded(epoch=7), iama=1000, other=1000)
    mine = grant(ledger, "iama", 100, clock)
    assert not settle(ledger, old, Result.NOT_SENT, clock)
    assert not settle(ledger, mine, Result.NOT_SENT, clock, bot="other")
    assert spend(ledger, clock) == 100


def test_end_lease__never_gives_back(ledger_of, clock):
    """What a dead worker had open stays charged, after 15 minutes too, and can't be given back."""
    ledger = ledger_of(iama=1000)
    permit = grant(ledger, "iama", 100, clock)
    ledger.end_lease(1, at=clock.at)
    assert not settle(ledger, permit, Result.NOT_SENT, clock)
    clock.advance(3600)
    assert spend(ledger, clock) == 100


@pytest.mark.parametrize(
    ("minutes_before", "carried"),
    [(14.9, 100), (15.1, 0)],
)
@pytest.mark.parametrize("how", ["lease", "failed"])
def test_roll__carries_what_is_in_doubt_for_15_minutes(ledger_of, clock, minutes_before, carried, how):
    """An orphan, or an unknown outcome, near midnight counts against both days."""
    ledger = ledger_of(iama=1000)
    clock.advance(MIDNIGHT - minutes_before * 60)
    permit = grant(ledger, "iama", 100, clock)
    if how == "lease":
        ledger.end_lease(1, at=clock.at)
    else:
        settle(ledger, permit, Result.FAILED, clock)
    clock.advance(minutes_before * 60 - 1)
    assert spend(ledger, clock) == 100
    clock.advance(1)
    assert spend(ledger, clock) == carried


def test_roll__counts_an_open_permit_against_both_days(ledger_of, clock):
    """What is open at midnight is charged to the new day; given back later, only the new day gets it back."""
    ledger = ledger_of(iama=1000)
    permit = grant(ledger, "iama", 600, clock)
    clock.advance(MIDNIGHT)
    with pytest.raises(QuotaExceeded):
        ledger.grant("iama", 401, lease=1, at=clock.at)
    settle(ledger, permit, Result.NOT_SENT, clock)
    assert spend(ledger, clock) == 0
    rows = {row.day: row.high_water for row in ledger.take_batch().rows}
    assert rows[TODAY] == 600


def test_roll__happens_before_every_event(ledger_of, clock):
    """An account that comes after midnight finds the permit carried, not the old day open."""
    ledger = ledger_of(iama=1000)
    permit = grant(ledger, "iama", 600, clock)
    clock.advance(MIDNIGHT)
    settle(ledger, permit, Result.OK, clock)
    assert spend(ledger, clock) == 600


def test_roll__clock_back_never_opens_a_spent_day(ledger_of, clock):
    """The day is max(stored, computed); the warning says so."""
    ledger = ledger_of(iama=1000)
    clock.advance(MIDNIGHT)
    grant(ledger, "iama", 1000, clock)
    clock.jump(-86_400)
    with pytest.raises(QuotaExceeded):
        ledger.grant("iama", 1, lease=1, at=clock.at)
    (event,) = [e for e in ledger.take_events() if isinstance(e, ClockJumped)]
    assert event.day == date(2026, 11, 25)
    assert "never opens again" in event.message
    clock.jump(86_400)
    assert spend(ledger, clock) == 1000


def test_roll__clock_forward_starts_the_day_at_once_with_a_warning(ledger_of, clock):
    """A resumed virtual machine, a Pi that got its time: no guard, one warning."""
    ledger = ledger_of(iama=1000)
    settle(ledger, grant(ledger, "iama", 1000, clock), Result.OK, clock)
    ledger.take_events()
    clock.jump(3 * 86_400)
    grant(ledger, "iama", 1000, clock)
    (event,) = [e for e in ledger.take_events() if isinstance(e, ClockJumped)]
    assert event.day == date(2026, 11, 27)


def test_roll__small_corrections_of_the_clock_are_silent(ledger_of, clock):
    """What NTP does every day is no news."""
    ledger = ledger_of(iama=1000)
    clock.jump(-30)
    ledger.tick(clock.jump(20))
    assert ledger.take_events() == []


def test_configure__zone_forward_starts_the_day_zone_back_keeps_it(ledger_of, clock, plan):
    """A zone in which it is tomorrow starts tomorrow; going back opens nothing."""
    ledger = ledger_of(iama=1000)
    settle(ledger, grant(ledger, "iama", 1000, clock), Result.OK, clock)
    ledger.configure(plan(zone="Pacific/Kiritimati", iama=1000), at=clock.at)
    assert spend(ledger, clock) == 0
    settle(ledger, grant(ledger, "iama", 1000, clock), Result.OK, clock)
    ledger.configure(plan(zone="UTC", iama=1000), at=clock.at)
    assert spend(ledger, clock) == 1000
    assert len([e for e in ledger.take_events() if isinstance(e, ClockJumped)]) == 2


def test_configure__the_old_zones_midnight_came_first(ledger_of, clock, plan):
    """Whatever the new zone's calendar shows: the day that has passed under the old one is over."""
    ledger = ledger_of(iama=1000)
    settle(ledger, grant(ledger, "iama", 1000, clock), Result.OK, clock)
    clock.advance(MIDNIGHT)
    ledger.configure(plan(zone="America/Los_Angeles", iama=1000), at=clock.at)
    assert ledger.compute_figures(at=clock.at).day == date(2026, 11, 25)
    grant(ledger, "iama", 1000, clock)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_roll__days_of_23_and_25_hours(ledger_of, clock, day, hours):
    """The day is the calendar's, daylight saving included."""
    start = datetime.fromisoformat(f"{day}T00:00+01:00" if hours == 23 else f"{day}T00:00+02:00").astimezone(UTC)
    clock.jump((start - clock.now()).total_seconds())
    ledger = ledger_of(zone="Europe/Berlin", iama=1000)
    settle(ledger, grant(ledger, "iama", 1000, clock), Result.OK, clock)
    clock.advance(hours * 3600 - 1)
    assert spend(ledger, clock) == 1000
    clock.advance(1)
    assert spend(ledger, clock) == 0


def test_daily_total__holds_over_all_bots_and_over_removed_ones(ledger_of, clock, plan):
    """The cap counts a bot that is gone, too."""
    clock.advance(MIDNIGHT - 1)
    ledger = ledger_of(daily_total=1000, a=900, b=900)
    grant(ledger, "a", 700, clock)
    ledger.configure(plan(daily_total=1000, b=900), at=clock.at)
    with pytest.raises(QuotaExceeded, match="daily_total"):
        ledger.grant("b", 301, lease=1, at=clock.at)
    grant(ledger, "b", 300, clock)


def test_daily_total__greedy_bot_leaves_the_others_their_floor(ledger_of, clock):
    """At dawn 80 % of the cap is set aside evenly; towards midnight it is free for all."""
    clock.advance(-MIDNIGHT)
    ledger = ledger_of(daily_total=1000, greedy=None, b=None, c=None, d=None)
    with pytest.raises(QuotaExceeded):
        ledger.grant("greedy", 401, lease=1, at=clock.at)
    grant(ledger, "greedy", 400, clock)
    for modest in "bcd":
        grant(ledger, modest, 150, clock)
    clock.advance(2 * MIDNIGHT - 1)
    grant(ledger, "greedy", 150, clock)
    with pytest.raises(QuotaExceeded):
        ledger.grant("greedy", 1, lease=1, at=clock.at)


def test_daily_total__sets_nothing_aside_for_who_may_spend_nothing(ledger_of, clock):
    """A bot without budget has no floor and makes the others' no smaller."""
    clock.advance(-MIDNIGHT)
    ledger = ledger_of(daily_total=1000, greedy=None, b=None, poor=0)
    with pytest.raises(QuotaExceeded):
        ledger.grant("greedy", 601, lease=1, at=clock.at)
    grant(ledger, "greedy", 600, clock)
    grant(ledger, "b", 400, clock)


def test_daily_total__never_binds_where_the_budgets_fit(ledger_of, clock):
    """Bots whose budgets add up to the cap each get theirs whole, at any time."""
    clock.advance(-MIDNIGHT)
    ledger = ledger_of(daily_total=1000, a=900, b=100)
    grant(ledger, "a", 900, clock)
    grant(ledger, "b", 100, clock)


def test_monthly_total__holds_over_the_month_and_resets(ledger_of, clock):
    """The cap of the calendar month counts every day of it, and opens on the first."""
    clock.advance(4 * 86_400)
    ledger = ledger_of(monthly_total=1000, a=600)
    for expected in (600, 1000):
        settle(ledger, grant(ledger, "a", min(600, expected - 600 or 600), clock), Result.OK, clock, bot="a")
        assert ledger.compute_figures(at=clock.at).month_spend == expected
        clock.advance(86_400)
    assert ledger.compute_figures(at=clock.at).day == date(2026, 11, 30)
    with pytest.raises(QuotaExceeded, match="monthly_total") as refusal:
        ledger.grant("a", 1, lease=1, at=clock.at)
    assert refusal.value.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    clock.advance(86_400)
    grant(ledger, "a", 600, clock)
    assert ledger.compute_figures(at=clock.at).month_spend == 600


def test_configure__budget_below_the_spend_stops_grants(ledger_of, clock, plan):
    """Lower than spent: no more grants, and what is left is 0, not negative."""
    ledger = ledger_of(iama=1000)
    grant(ledger, "iama", 500, clock)
    ledger.configure(plan(iama=400), at=clock.at)
    with pytest.raises(QuotaExceeded) as refusal:
        ledger.grant("iama", 1, lease=1, at=clock.at)
    assert refusal.value.left == 0
    figures = ledger.compute_figures(at=clock.at).bots[0]
    assert (figures.left, figures.percent) == (0, 125)
    ledger.configure(plan(iama=600), at=clock.at)
    grant(ledger, "iama", 100, clock)


def test_thresholds__once_per_day(ledger_of, clock):
    """80 and 100 percent are told once a day each; a refusal near the end is the end."""
    ledger = ledger_of(iama=1000)
    for chars in (790, 10, 50):
        settle(ledger, grant(ledger, "iama", chars, clock), Result.OK, clock)
    assert ledger.take_events() == [BudgetReached("iama", 80)]
    for _ in range(2):
        with pytest.raises(QuotaExceeded):
            ledger.grant("iama", 500, lease=1, at=clock.at)
    assert ledger.take_events() == [BudgetReached("iama", 100)]
    clock.advance(86_400)
    grant(ledger, "iama", 1000, clock)
    assert ledger.take_events() == [BudgetReached("iama", 80), BudgetReached("iama", 100)]


def test_thresholds__are_told_where_a_worker_only_looks(ledger_of, clock):
    """A worker asks `check` before it connects: refused there, the budget has reached its end as well."""
    ledger = ledger_of(iama=1000)
    grant(ledger, "iama", 900, clock)
    ledger.check("iama", 50, at=clock.at)
    assert ledger.take_events() == [BudgetReached("iama", 80)]
    with pytest.raises(QuotaExceeded):
        ledger.check("iama", 500, at=clock.at)
    assert ledger.take_events() == [BudgetReached("iama", 100)]


def test_thresholds__a_request_too_large_for_any_day_is_no_end(ledger_of, clock):
    """One absurd request on a fresh day does not say that the budget is used up."""
    ledger = ledger_of(iama=1000)
    with pytest.raises(QuotaExceeded):
        ledger.grant("iama", 5000, lease=1, at=clock.at)
    assert ledger.take_events() == []


def test_thresholds__not_told_again_after_a_restart(ledger_of, clock):
    """What the last life had passed is not news."""
    loaded = Loaded(day=TODAY, rows=(Row(TODAY, "iama", 850),))
    ledger = ledger_of(loaded, iama=1000)
    grant(ledger, "iama", 10, clock)
    assert ledger.take_events() == []


def test_slab__most_grants_write_nothing(ledger_of, clock):
    """A mark is 1/64 of the budget ahead, so small grants below it need no disk."""
    ledger = ledger_of(iama=64_000)
    writes = 0
    for _ in range(100):
        ledger.grant("iama", 100, lease=1, at=clock.at)
        writes += ledger.must_write
        ledger.confirm(ledger.take_batch())
    assert writes == 10


@pytest.mark.parametrize("budget", [64_000, 30_000, 1000, 50])
def test_slab__crashes_of_a_day_lose_at_most_a_32nd(ledger_of, clock, budget):
    """Each crash just after a raised mark, the slab halved each time: the sum is bounded."""
    ledger = ledger_of(iama=budget)
    granted = 0
    for epoch in range(2, 22):
        ledger.grant("iama", 1, lease=1, at=clock.at)
        granted += 1
        batch = ledger.take_batch()
        ledger.confirm(batch)
        rows = tuple(row for row in batch.rows if row.day == TODAY)
        loaded = Loaded(epoch=epoch, day=TODAY, rows=rows, unclean=batch.unclean, clean=False)
        ledger = ledger_of(loaded, iama=budget)
    assert 0 <= spend(ledger, clock) - granted <= budget / 32


def test_slab__never_runs_over_the_budget(ledger_of, clock):
    """A crash near its end leaves a bot with all of its budget spent, not with more."""
    ledger = ledger_of(iama=6400)
    grant(ledger, "iama", 6350, clock)
    grant(ledger, "iama", 1, clock)
    assert ledger.take_batch(full=True).rows[0].high_water == 6400


def test_slab__is_whole_again_on_the_next_day(ledger_of, clock):
    """The halvings end with the day, where nothing of its crashes is in doubt any more."""
    ledger = ledger_of(Loaded(epoch=2, day=TODAY, unclean=3, clean=False), iama=64_000)
    clock.advance(MIDNIGHT)
    ledger.grant("iama", 1, lease=1, at=clock.at)
    batch = ledger.take_batch()
    assert (batch.unclean, batch.rows[0].high_water) == (0, 1000)


def test_roll__gives_the_day_its_exact_figure(ledger_of, clock):
    """The unused rest of a slab is not spent at midnight."""
    ledger = ledger_of(iama=64_000)
    settle(ledger, grant(ledger, "iama", 5, clock), Result.OK, clock)
    clock.advance(MIDNIGHT)
    ledger.tick(clock.at)
    (row,) = [row for row in ledger.take_batch().rows if row.day == TODAY]
    assert (row.high_water, row.open_mark) == (5, 0)


def test_slab__a_large_grant_given_back_lowers_the_mark(ledger_of, clock):
    """Else a crash would lose the whole of a request that was never sent."""
    ledger = ledger_of(iama=64_000)
    settle(ledger, grant(ledger, "iama", 20_000, clock), Result.NOT_SENT, clock)
    assert ledger.must_write
    assert ledger.take_batch().rows[0].high_water == 1000


def test_slab__of_the_smallest_share_of_a_cap(ledger_of, clock):
    """Under a small cap over many bots a crash must not eat the cap."""
    ledger = ledger_of(daily_total=6400, a=10**6, b=10**6)
    ledger.grant("a", 1, lease=1, at=clock.at)
    assert ledger.take_batch().rows[0].high_water == 50


def test_crash__what_may_have_been_open_counts_near_midnight(ledger_of, clock):
    """After a crash at most `open_mark` was open; a midnight within 15 minutes carries it."""
    clock.advance(MIDNIGHT - 60)
    ledger = ledger_of(iama=64_000)
    grant(ledger, "iama", 300, clock)
    row = ledger.take_batch(full=True).rows[0]
    assert row.open_mark >= 300
    after = ledger_of(Loaded(epoch=2, day=TODAY, rows=(row,), clean=False), iama=64_000)
    clock.advance(60)
    assert 300 <= spend(after, clock) <= 1000
    late = ledger_of(Loaded(epoch=2, day=TODAY, rows=(row,), clean=False), iama=64_000)
    clock.advance(3600)
    assert spend(late, clock) <= 1000


def test_crash__open_mark_covers_what_is_granted_without_a_write(ledger_of, clock):
    """Under the mark nothing is written: the row counts all of it as open, so that a midnight carries it."""
    clock.advance(MIDNIGHT - 60)
    ledger = ledger_of(iama=64_000)
    grant(ledger, "iama", 1, clock)
    row = ledger.take_batch(full=True).rows[0]
    ledger.grant("iama", 900, lease=1, at=clock.at)
    assert not ledger.must_write
    after = ledger_of(Loaded(epoch=2, day=TODAY, rows=(row,), clean=False), iama=64_000)
    clock.advance(60)
    assert spend(after, clock) >= 901


def test_crash__carried_over_midnight_halves_the_new_days_slab(ledger_of, clock):
    """A crash that costs two days a slab counts in both, so that neither loses more than a 32nd."""
    clock.advance(MIDNIGHT - 60)
    row = Row(TODAY, "iama", 1000, open_mark=1000)
    ledger = ledger_of(Loaded(epoch=2, day=TODAY, rows=(row,), clean=False), iama=64_000)
    clock.advance(60)
    ledger.grant("iama", 1, lease=1, at=clock.at)
    batch = ledger.take_batch()
    assert batch.unclean == 1
    assert [r.high_water for r in batch.rows if r.day > TODAY] == [1000 + 500]


def test_clean__exact_figures_survive(ledger_of, clock):
    """An orderly end writes what was spent, not the mark."""
    ledger = ledger_of(iama=64_000)
    grant(ledger, "iama", 100, clock)
    batch = ledger.take_batch(clean=True)
    assert batch.clean
    assert batch.rows[0].high_water == 100


def test_fail__no_grants_until_a_write_succeeds(ledger_of, clock):
    """A write error stops granting; a cancelled grant costs nothing; the next write opens again."""
    ledger = ledger_of(iama=1000)
    permit = ledger.grant("iama", 100, lease=1, at=clock.at)
    ledger.fail("disk full")
    ledger.cancel(permit.number)
    ledger.check_invariants()
    assert ledger.state is LedgerState.FAILING
    with pytest.raises(QuotaUnavailable, match="disk full"):
        ledger.grant("iama", 0, lease=1, at=clock.at)
    ledger.confirm(ledger.take_batch(full=True))
    assert ledger.state is LedgerState.OK
    assert spend(ledger, clock) == 0


def test_damaged__until_the_next_day(ledger_of, clock):
    """A damaged ledger grants nothing today; the message says why and until when."""
    ledger = ledger_of(Loaded(epoch=9, day=TODAY, carried=500, damage="the file is gone"), iama=1000)
    assert ledger.state is LedgerState.DAMAGED
    with pytest.raises(QuotaUnavailable, match=r"the file is gone.*2026-11-25T00:00:00"):
        ledger.grant("iama", 1, lease=1, at=clock.at)
    again = ledger_of(Loaded(epoch=10, day=TODAY, damaged_on=ledger.take_batch().damaged_on), iama=1000)
    assert again.state is LedgerState.DAMAGED
    clock.advance(MIDNIGHT)
    grant(ledger, "iama", 1, clock)
    assert ledger.compute_figures(at=clock.at).month_spend == 501
    clock.advance(7 * 86_400)
    assert ledger.compute_figures(at=clock.at).month_spend == 1  # which is open yet


def overcharge(ledger):
    ledger._accounts["iama"].used += 500


def forget_permit(ledger):
    ledger._permits.clear()
    ledger._leases.clear()


def forget_lease(ledger):
    ledger._leases.clear()


def open_too_much(ledger):
    ledger._accounts["iama"].open += 1


def forget_write(ledger):
    ledger._accounts["iama"].must_write = False


def forget_account(ledger):
    ledger._accounts.clear()


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (overcharge, "over the mark"),
        (forget_permit, "not the permits' sum"),
        (forget_lease, "leases and granted permits differ"),
        (open_too_much, "open of 100 charged"),
        (forget_write, "a mark that nobody writes"),
        (forget_account, "permits of unknown bots"),
    ],
)
def test_invariants__are_checked_not_assumed(ledger_of, clock, harm, what):
    """What money rests on: each of them, when it is broken, stops the ledger."""
    ledger = ledger_of(iama=1000)
    ledger.grant("iama", 100, lease=1, at=clock.at)
    harm(ledger)
    with pytest.raises(AssertionError, match=what):
        ledger.check_invariants()


def test_confirm__notices_a_charge_that_is_not_on_disk(ledger_of, clock):
    """Nothing is answered that the batch does not hold."""
    ledger = ledger_of(iama=1000)
    ledger.confirm(ledger.take_batch(full=True))
    batch = ledger.take_batch()
    ledger.grant("iama", 100, lease=1, at=clock.at)
    with pytest.raises(AssertionError, match="on disk"):
        ledger.confirm(batch)
