"""How long services took: what is counted, and where; seen through the room that the server serves."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd._types import BotName, Chars, Role
from hotshotd.admission import Account, Ask, RateHeaders, Result
from hotshotd.quota.room import Room, Tenant
from hotshotd.quota.timings import BOUNDS_SECONDS, Timings


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (0.1, 0), (0.11, 1), (300.0, 10), (300.1, 11), (1e9, 11)])
def test_add__counts_in_one_bucket(seconds: float, place: int) -> None:
    """A bound belongs to its own bucket, as Prometheus' `le` says."""
    timings = Timings()
    timings.add("openai", seconds)
    (figures,) = timings.compute_figures()
    assert figures.counts == tuple(int(place == index) for index in range(len(BOUNDS_SECONDS) + 1))
    assert figures.seconds == seconds


@pytest.fixture
def room(ledger_of: Any) -> Room:
    made = Room(ledger_of(iama=1000))
    made.enter(Tenant(1, BotName("iama"), "abc"))
    return made


def test_room__counts_answers_once_and_only_answers(room: Room, clock: Any) -> None:
    """Refused and timed out requests waited as well; one that never left did not, nor one that is told twice."""
    tenant = Tenant(1, BotName("iama"), "abc")
    for result in Result:
        permit = room.ask(tenant, Ask("openai", Role.TEXT, Chars(1)), at=clock.at)
        for _ in range(2):
            room.account(tenant, Account(permit, result, seconds=2.0), at=clock.at)
        # So that the breaker does not open.
        room.breakers.take_changes()
        room.breakers = type(room.breakers)()
    (figures,) = room.timings.compute_figures()
    assert (figures.service, sum(figures.counts), figures.seconds) == ("openai", 4, 8.0)


def test_rates__tell_what_is_left(room: Room, clock: Any) -> None:
    """By client, without what is on its way; one whose window is over is full again; one without a bot is not shown."""
    tenant = Tenant(1, BotName("iama"), "abc")
    room.acquire(tenant, write=False, at=clock.at)
    room.observe(tenant, RateHeaders(used=400, remaining=600, reset_seconds=60), at=clock.at)
    room.acquire(tenant, write=False, at=clock.at)
    assert room.rates.compute_left(monotonic=clock.monotonic()) == {"abc": 599}
    clock.advance(61)
    assert room.rates.compute_left(monotonic=clock.monotonic()) == {"abc": 1000}
    room.leave(1, at=clock.at)
    assert room.rates.compute_left(monotonic=clock.monotonic()) == {}
