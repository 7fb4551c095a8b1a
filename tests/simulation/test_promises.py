"""The simulator's own eyes: faults that are put into the daemon are seen, each by the promise that it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from simulation.run import run
from simulation.scenario import draw_scenario

from hotshotd.brain.ends import GaveUp
from hotshotd.brain.pipeline import Answering
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.errors import QuotaExceeded
from hotshotd.platform import Item
from hotshotd.quota.ledger import Ledger
from hotshotd.worker import schedule
from hotshotd.worker.inbox import Desk
from hotshotd.worker.posts import Posts


def _find_broken(*, seeds: int = 150, days: float = 0.5) -> str:
    """Give the promise that the first of some seeds breaks; "" if none does."""
    breaches = (run(draw_scenario(seed, days=days, bots=2)).breach for seed in range(1, seeds + 1))
    return next((breach.promise for breach in breaches if breach is not None), "")


def _resolve_late(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _resolve_by_the_old_offset(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


@pytest.mark.parametrize("resolve", [_resolve_late, _resolve_by_the_old_offset])
def test_promises__a_slot_of_a_clock_change_at_another_time_is_noticed(
    monkeypatch: pytest.MonkeyPatch, resolve: Any
) -> None:
    """A skipped slot comes at the first minute after the gap, a repeated one at its first occurrence."""
    monkeypatch.setattr(schedule, "resolve_local", resolve)
    assert _find_broken() in ("a post is for a slot", "every slot made", "no slot made twice")


def test_promises__a_slot_that_comes_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated slot is made once, by whatever name it comes again."""
    slots_of = schedule._generate_slots

    def generate(*args: Any) -> Iterator[schedule.Slot]:
        for slot in slots_of(*args):
            yield slot
            if args[2].key != "UTC" and slot.key[11:13] == "01":
                yield schedule.Slot(f"{slot.key}:30", slot.due + timedelta(hours=1))

    monkeypatch.setattr(schedule, "_generate_slots", generate)
    assert _find_broken() in ("a post is for a slot", "no slot made twice")


def test_promises__a_schedule_that_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that does not plan its next post breaks a promise at the slot after."""
    make = Posts._make

    async def make_and_forget(self: Posts, *args: Any, **more: Any) -> Verdict:
        verdict = await make(self, *args, **more)
        monkeypatch.setattr(self, "_may_plan", lambda: False)
        return verdict

    monkeypatch.setattr(Posts, "_make", make_and_forget)
    assert _find_broken() == "every slot made"


def test_promises__an_answer_after_stop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says stop while an answer to them is being written does not get it."""

    def check(self: Answering, item: Item) -> None:
        if self._writer.has_answered(item.ref):
            raise GaveUp(Why.ALREADY_ANSWERED, "", passing=False)

    monkeypatch.setattr(Answering, "_check_at_write", check)
    assert _find_broken() == "who said stop is not answered"


def test_promises__a_refusal_without_need_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that keeps back what is left breaks a promise, too."""

    def admit(_self: Ledger, bot: str, cost: int, **_: Any) -> None:
        raise QuotaExceeded(f"{bot}: nothing is left", cost=cost, left=0, resets_at=datetime.now(UTC))

    monkeypatch.setattr(Ledger, "_admit", admit)
    assert _find_broken() == "what is left is granted"


@pytest.mark.parametrize(
    "why", [Why.KEYWORD, Why.TOO_OLD, Why.BANNED, Why.MAX_PER_DAY, Why.PACE, Why.ALREADY_ANSWERED, Why.MODEL_GONE]
)
def test_promises__a_reason_that_is_not_true_is_noticed(monkeypatch: pytest.MonkeyPatch, why: Why) -> None:
    """An end for a documented reason is no excuse where the reason is made up."""

    async def refuse(*_: object) -> Verdict:
        return Verdict.of(why)

    monkeypatch.setattr(Answering, "_consider_at_its_pace", refuse)
    assert _find_broken() == "nothing lost"


def test_promises__a_thing_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is amiss nobody waits for the day's end to be answered, nor to be found forgotten."""
    monkeypatch.setattr(Desk, "begin", lambda *_: False)
    assert _find_broken() in ("nothing lost", "one final outcome")


def test_promises__a_notice_that_is_marked_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice stays unread until its thing has come to its end."""
    note = Desk.note

    def note_and_mark(self: Desk, notice: Any) -> None:
        note(self, notice)
        self._done[notice.ref] = None

    monkeypatch.setattr(Desk, "note", note_and_mark)
    assert _find_broken() == "nothing lost"
