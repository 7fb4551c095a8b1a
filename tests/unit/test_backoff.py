"""Back-off: doubling, capped, never zero, and evenly drawn."""

from __future__ import annotations

import random

import pytest

from hotshotd.backoff import Backoff

BACKOFF = Backoff(base_seconds=1.0, cap_seconds=300.0)


class Drawn(random.Random):
    """A chance that always draws one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0), (10, 300.0), (11, 300.0), (5000, 300.0)]
)
def test_ceiling__doubles_up_to_the_cap(failures: int, ceiling: float) -> None:
    """1 s doubling to 300 s, and no number of failures overflows."""
    assert BACKOFF.compute_ceiling(failures) == ceiling


@pytest.mark.parametrize("failures", [0, -3])
def test_ceiling__is_the_base_without_a_failure(failures: int) -> None:
    """Fewer than one failure counts as one."""
    assert BACKOFF.compute_ceiling(failures) == 1.0


def test_ceiling__is_the_cap_where_the_base_is_larger() -> None:
    """The cap wins."""
    assert Backoff(base_seconds=10.0, cap_seconds=5.0).compute_ceiling(1) == 5.0


def test_delay__is_never_below_a_tenth_of_the_base() -> None:
    """A draw of zero is no hot loop."""
    assert BACKOFF.compute_delay(8, Drawn(0.0)) == 0.1


def test_delay__is_the_drawn_share_of_the_ceiling() -> None:
    """Full jitter: the delay is ceiling times the draw."""
    assert BACKOFF.compute_delay(4, Drawn(0.5)) == 4.0


def test_delay__is_spread_over_the_whole_ceiling() -> None:
    """Workers that died together do not come back together."""
    chance = random.Random(7)
    delays = [BACKOFF.compute_delay(9, chance) for _ in range(1000)]
    assert max(delays) <= 256.0
    quarters = [sum(low <= delay < low + 64 for delay in delays) for low in (0, 64, 128, 192)]
    assert min(quarters) > 150
