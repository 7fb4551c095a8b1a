"""Alerts on their way: one courier at a time, patience, an end to it, and never more than a few."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hotshotd.supervisor.courier import Alert
from hotshotd.supervisor.outbox import COURIER_SECONDS, GIVE_UP_SECONDS, MAX_BURDEN, MAX_WAITING, Outbox
from hotshotd.supervisor.process import SpawnError
from hotshotd.supervisor.told import Subject, Told

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DAY = timedelta(days=1)


class FakeCourier:
    """A courier that is no process; `deliver`, `hold` and `die` are what happens to it."""

    def __init__(self, pid: int, alerts: Sequence[Alert], say: Callable[[Any], None], room: Room) -> None:
        self.pid = pid
        self.bots = [alert.bot for alert in alerts]
        self.killed = False
        self._say = say
        self._room = room

    def kill(self) -> None:
        self.killed = True

    def drain(self) -> None: ...

    def deliver(self, count: int = 1) -> FakeCourier:
        for _ in range(count):
            self._say({"event": "delivered"})
        return self

    def hold(self, *, final: bool = False, retry_after: float | None = None) -> FakeCourier:
        self._say({"event": "held", "error": "no", "final": final, "retry_after": retry_after})
        return self

    def die(self) -> None:
        self._room.outbox.reap(self.pid, 0)


class Room:
    """An outbox, its couriers, and time that passes when told."""

    def __init__(self, loop: Any, clock: Any, told: Told) -> None:
        self.loop, self.clock, self.told = loop, clock, told
        self.couriers: list[FakeCourier] = []
        self.is_full = False
        self.outbox = Outbox(loop, told, launch=self._launch, chance=random.Random(1))

    def _launch(self, alerts: Sequence[Alert], *, on_message: Callable[[Any], None]) -> Any:
        if self.is_full:
            raise SpawnError("no memory")
        self.couriers.append(FakeCourier(100 + len(self.couriers), alerts, on_message, self))
        return self.couriers[-1]

    def put(self, *bots: str) -> None:
        for bot in bots:
            subject = Subject("failed", bot)
            assert self.told.take(subject, period=DAY)
            self.outbox.put(Alert("failed", bot, f"{bot} has failed", NOW), subject)
        self.loop.turn(0)

    def go(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.loop.turn(0)

    def is_news(self, bot: str) -> bool:
        return self.told.take(Subject("failed", bot), period=DAY)


@pytest.fixture
def room(loop: Any, clock: Any, tmp_path: Path) -> Room:
    return Room(loop, clock, Told(tmp_path / "alerts.json", clock))


def test_put__one_courier_at_a_time(room: Room) -> None:
    """What comes meanwhile goes with the next one; nothing goes twice."""
    room.put("a")
    room.put("b", "c")
    assert [courier.bots for courier in room.couriers] == [["a"]]
    room.couriers[0].deliver().die()
    room.go(0)
    assert room.couriers[1].bots == ["b", "c"]
    room.couriers[1].deliver(2).die()
    room.go(3600)
    assert len(room.couriers) == 2


def test_put__a_courier_takes_a_few(room: Room) -> None:
    """The others go next, at once."""
    room.put(*(f"bot{number}" for number in range(MAX_BURDEN + 3)))
    room.couriers[-1].deliver(1).die()
    room.go(0)
    assert len(room.couriers[-1].bots) == MAX_BURDEN
    room.couriers[-1].deliver(MAX_BURDEN).die()
    room.go(0)
    assert room.couriers[-1].bots == [f"bot{MAX_BURDEN + 1}", f"bot{MAX_BURDEN + 2}"]


def test_put__is_bounded(room: Room) -> None:
    """A storm of alerts fills no memory; one that was lost is news after a reload."""
    room.put(*(f"bot{number}" for number in range(MAX_WAITING + 5)))
    assert len(room.outbox._waiting) == MAX_WAITING
    assert not room.is_news(f"bot{MAX_WAITING}")
    room.outbox.hurry()
    assert room.is_news(f"bot{MAX_WAITING}")


def test_held__is_tried_again_with_growing_pauses_for_an_hour(room: Room) -> None:
    """A hook that is away for less than an hour loses nothing; then the alert is given up, and no courier goes."""
    room.put("a")
    began = room.clock.monotonic()
    while room.couriers[-1].pid == 99 + len(room.couriers) and room.outbox._waiting:
        room.couriers[-1].hold().die()
        room.go(300)
    assert room.clock.monotonic() - began >= GIVE_UP_SECONDS
    tried = len(room.couriers)
    assert 10 < tried < 40
    room.go(86_400)
    assert len(room.couriers) == tried


def test_held__waits_as_long_as_the_hook_asks(room: Room) -> None:
    """A 429 with Retry-After is obeyed."""
    room.put("a")
    room.couriers[0].hold(retry_after=120.0).die()
    room.go(119)
    assert len(room.couriers) == 1
    room.go(1)
    assert len(room.couriers) == 2


def test_held__for_good_is_let_go_and_the_next_one_goes(room: Room) -> None:
    """A refused alert does not stand in the way of others."""
    room.put("a")
    room.put("b")
    room.couriers[0].hold(final=True).die()
    room.go(10)
    assert room.couriers[1].bots == ["b"]


def test_hurry__sends_at_once(room: Room) -> None:
    """New settings end the pause."""
    room.put("a")
    room.couriers[0].hold(retry_after=600.0).die()
    room.outbox.hurry()
    room.go(0)
    assert len(room.couriers) == 2


def test_courier__that_hangs_is_killed_and_followed(room: Room) -> None:
    """It has a minute; its death is a failure like any other, and other children's deaths are none."""
    room.put("a")
    room.outbox.reap(4711, 0)
    room.go(COURIER_SECONDS)
    assert room.couriers[0].killed
    room.couriers[0].die()
    assert len(room.couriers) == 1
    room.go(10)
    assert len(room.couriers) == 2


def test_launch__of_a_full_machine_is_tried_again(room: Room) -> None:
    """No process, no alert now; later there is."""
    room.is_full = True
    room.put("a")
    room.is_full = False
    room.go(10)
    assert room.couriers[0].bots == ["a"]
