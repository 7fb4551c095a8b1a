"""How much of a budget can be used where there is work all day: the real ledger on real files, time passing by hand.

A crash loses what the mark on disk is ahead of what was granted. Here it comes once an hour, at the worst moment: just
after the mark was raised.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotshotd._types import BotName, Chars
from hotshotd.admission import Result
from hotshotd.errors import QuotaExceeded
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.store import SqliteStore

BOT = BotName("iama")
HOURS = 24
#: The promise: this much can be used, of a budget of at least 200 grants.
QUIET_PART, CRASHING_PART = 0.98, 0.95


class Life:
    """The quota process without its sockets: grants that are durable before they count, and kill -9."""

    def __init__(self, folder: Path, plan: Any, clock: Any) -> None:
        self._folder, self._plan, self._clock = folder, plan, clock
        #: What services were sent.
        self.sent = 0
        self._begin()

    def spend(self, chars: int) -> bool:
        """Send a request of so many characters; tell whether its grant had to be written."""
        number = self.ledger.grant(BOT, Chars(chars), lease=1, at=self._clock.at).number
        was_written = self.ledger.must_write
        if was_written:
            self._write()
        self.sent += chars
        self.ledger.account(number, Result.OK, bot=BOT, at=self._clock.at)
        return was_written

    def crash(self) -> None:
        """Be killed, and start again."""
        # Nothing is written: what SQLite does at a close is what the next life would do.
        self._store.close()
        self._begin()

    def close(self) -> None:
        self._store.close()

    def _begin(self) -> None:
        self._store = SqliteStore(self._folder)
        self.ledger = Ledger(self._store.load(), plan=self._plan, at=self._clock.at)
        self._write(full=True)

    def _write(self, *, full: bool = False) -> None:
        batch = self.ledger.take_batch(full=full)
        self._store.write(batch)
        self.ledger.confirm(batch)


def draw_even(budget: int, _chance: random.Random) -> int:
    """Grants as large as 200 of them allow."""
    return budget // 200


def draw_small(budget: int, _chance: random.Random) -> int:
    """Grants so small that a mark on disk is ahead of them by its whole slab: a kill loses most."""
    return max(1, budget // 2000)


def draw_mixed(budget: int, chance: random.Random) -> int:
    """From a score to a long thread: 200 grants at least, more in general."""
    return chance.randint(max(1, budget // 2000), budget // 200)


@contextmanager
def live(folder: Path, plan: Any, clock: Any) -> Iterator[Life]:
    life = Life(folder, plan, clock)
    try:
        yield life
    finally:
        life.close()


def live_a_day(life: Life, clock: Any, budget: int, draw: Callable[..., int], *, crashes: bool) -> float:
    """Work as evenly as the day goes, and in the last hour as long as anything is granted; give the part used."""
    chance = random.Random(7)
    for hour in range(1, HOURS + 1):
        clock.advance(3590)
        try:
            while life.sent < budget * hour / HOURS:
                life.spend(draw(budget, chance))
            while crashes and not life.spend(draw(budget, chance)):
                pass
            if hour == HOURS:
                while True:
                    life.spend(draw(budget, chance))
        except QuotaExceeded:
            break
        if crashes:
            life.crash()
    return life.sent / budget


@pytest.fixture
def morning(clock: Any) -> Any:
    clock.jump((datetime(2026, 11, 24, tzinfo=UTC) - clock.now()).total_seconds())
    return clock


@pytest.mark.parametrize("draw", [draw_even, draw_mixed, draw_small])
@pytest.mark.parametrize("budget", [200, 30_000, 1_000_000])
@pytest.mark.parametrize(("crashes", "least"), [(False, QUIET_PART), (True, CRASHING_PART)])
def test_budget__can_be_used(
    tmp_path: Path, morning: Any, plan: Any, budget: int, draw: Callable[..., int], *, crashes: bool, least: float
) -> None:
    """98 % where nobody is killed, 95 % with a kill an hour; never more than all of it."""
    with live(tmp_path, plan(iama=budget), morning) as life:
        part = live_a_day(life, morning, budget, draw, crashes=crashes)
        charged = life.ledger.compute_figures(at=morning.at).bots[0].characters
    print(f"budget {budget:>9,}, {draw.__name__[5:]}, {'24 kills' if crashes else 'no kill'}: {part:.2%} used")
    assert least <= part <= 1
    assert life.sent <= charged <= budget
