"""Loop guards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hotshotd.brain.guards import THREADS_KEPT, Guards
from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Why
from hotshotd.platform import Author, Item, Kind, Ref

Make = Callable[..., Item]
DAY = datetime(2026, 11, 24, tzinfo=UTC)


def rules(*, thread: int = 99, hour: int = 99, day: int | None = 99) -> ReplyRules:
    return ReplyRules(own_key="bot", max_per_thread=thread, max_per_author_hour=hour, max_per_day=day)


def test_from_own__counts_threads_and_today(make_comment: Make, now: datetime) -> None:
    """A restart takes the counts from Reddit, yesterday's comments only for their threads."""
    own = [make_comment(created_at=now), make_comment(created_at=DAY - timedelta(hours=1))]
    guards = Guards.from_own(own, DAY)
    assert guards.count_today(now) == 1
    assert guards.refusal(make_comment(), now, rules=rules(thread=2)) is Why.MAX_PER_THREAD
    assert guards.refusal(make_comment(submission=Ref("t3_else")), now, rules=rules(thread=2)) is None


def test_refusal__stops_at_the_day(make_comment: Make, now: datetime) -> None:
    """Once the cap is reached nothing more is written that day; null is no cap; 0 is none at all."""
    guards = Guards(DAY).record(make_comment(), now)
    assert guards.refusal(make_comment(), now, rules=rules(day=1)) is Why.MAX_PER_DAY
    assert guards.refusal(make_comment(), now, rules=rules(day=2)) is None
    assert guards.refusal(make_comment(), now, rules=rules(day=None)) is None
    assert Guards(DAY).refusal(make_comment(), now, rules=rules(day=0)) is Why.MAX_PER_DAY


def test_refusal__starts_a_new_day_at_midnight_of_the_zone(make_comment: Make) -> None:
    """The day is the configured zone's, also where it has 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, tzinfo=zone)
    evening = datetime(2026, 10, 25, 22, 30, tzinfo=UTC)
    guards = Guards.from_own([], start).record(make_comment(), evening)
    assert guards.refusal(make_comment(), evening + timedelta(minutes=29), rules=rules(day=1)) is Why.MAX_PER_DAY
    assert guards.refusal(make_comment(), evening + timedelta(minutes=31), rules=rules(day=1)) is None


def test_refusal__counts_an_author_for_an_hour(make_comment: Make, now: datetime) -> None:
    """Whoever was answered too often within the hour waits; names differ in case only for show."""
    guards = Guards(DAY).record(make_comment(), now)
    again = make_comment(author=Author("ALICE"), submission=Ref("t3_else"))
    assert guards.refusal(again, now + timedelta(minutes=59), rules=rules(hour=1)) is Why.MAX_PER_AUTHOR_HOUR
    assert guards.refusal(again, now + timedelta(minutes=60), rules=rules(hour=1)) is None
    assert guards.refusal(make_comment(author=Author("bob")), now, rules=rules(hour=1)) is None


def test_record__gives_a_new_value(make_comment: Make, now: datetime) -> None:
    """The guards before are not touched: a write that never happened is not counted."""
    guards = Guards(DAY)
    guards.record(make_comment(), now)
    assert guards == Guards(DAY)


def test_record__counts_a_submission_as_its_own_thread(
    make_submission: Make, make_comment: Make, now: datetime
) -> None:
    """An answer to the post and one below it are in one thread."""
    guards = Guards(DAY).record(make_submission(), now)
    assert guards.refusal(make_comment(), now, rules=rules(thread=1)) is Why.MAX_PER_THREAD


def test_record__forgets_old_authors(make_comment: Make, now: datetime) -> None:
    """Memory holds an hour, not a bot's life."""
    guards = Guards(DAY)
    for minute in range(300):
        guards = guards.record(make_comment(author=Author(f"user{minute}")), now + timedelta(minutes=minute))
    assert len(guards.authors) <= 61


@pytest.mark.parametrize("limits", [rules(thread=3), rules(hour=3), rules(day=3)])
def test_guards__end_a_loop_of_two_bots(make_comment: Make, now: datetime, limits: ReplyRules) -> None:
    """Two bots that answer each other stop at every limit (ssi-bot#41)."""
    guards, answers = Guards(DAY), 0
    for turn in range(20):
        item = make_comment(ref=Ref(f"t1_{turn}"), author=Author("otherbot"))
        if guards.refusal(item, now, rules=limits) is None:
            guards, answers = guards.record(item, now), answers + 1
    assert answers == 3


def test_refusal__knows_messages(make_comment: Make, now: datetime) -> None:
    """A private message has no thread and an author."""
    message = make_comment(kind=Kind.MESSAGE, submission=None, parent=None)
    guards = Guards(DAY).record(message, now)
    assert guards.refusal(message, now, rules=rules(hour=1)) is Why.MAX_PER_AUTHOR_HOUR


def test_guards__forget_the_threads_that_are_quiet_the_longest(
    make_comment: Callable[..., Item], now: datetime
) -> None:
    """Memory is bounded: the oldest threads go, the newest keep their counts."""
    guards = Guards(now.replace(hour=0))
    for number in range(THREADS_KEPT + 5):
        guards = guards.record(make_comment(submission=Ref(f"t3_{number}"), author=None), now)
    assert len(guards.threads) == THREADS_KEPT
    assert "t3_4" not in guards.threads
    assert guards.threads[Ref("t3_5")] == 1
