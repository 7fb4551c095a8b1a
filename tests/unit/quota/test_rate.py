"""Reddit's pace: the window, its headers, and fair polls."""

from __future__ import annotations

import pytest

from hotshotd.admission import RateHeaders
from hotshotd.quota.rate import Rates


@pytest.fixture
def rates() -> Rates:
    rates = Rates()
    rates.join("c", "a")
    return rates


def take(rates, number, *, bot="a", write=False, monotonic=0.0, client="c") -> int:
    """Try `number` requests; give how many were allowed."""
    return sum(rates.acquire(client, bot, write=write, monotonic=monotonic) == 0 for _ in range(number))


def test_acquire__burst_inside_the_window_keeps_writes(rates):
    """950 of 1000 may be read at once, the last 50 are for writes, and then the window is waited for."""
    assert take(rates, 2000) == 950
    assert take(rates, 100, write=True) == 50
    assert rates.acquire("c", "a", write=True, monotonic=100.0) == 500
    assert take(rates, 2000, monotonic=600.0) > 900


def test_acquire__client_ids_do_not_share(rates):
    """Another client id has its own window."""
    take(rates, 2000)
    assert take(rates, 10, client="d", bot="b") == 10


def test_observe__headers_win(rates):
    """Used and remaining together are the window; they win in both directions."""
    take(rates, 10)
    rates.observe("c", "a", RateHeaders(used=80, remaining=20, reset_seconds=60), monotonic=31.0)
    assert take(rates, 100, monotonic=31.0) == 15
    rates.observe("c", "a", RateHeaders(used=1, remaining=99, reset_seconds=600), monotonic=100.0)
    assert take(rates, 200, monotonic=131.0) == 94


def test_observe__requests_in_flight_are_not_in_the_headers(rates):
    """Three under way, one answered: two more are gone from what it says is left."""
    take(rates, 3)
    rates.observe("c", "a", RateHeaders(used=1, remaining=99, reset_seconds=600), monotonic=1.0)
    assert take(rates, 200, monotonic=1.0) == 99 - 2 - 5


def test_observe__overtaken_response_is_ignored(rates):
    """Within a window Reddit's count only grows: a smaller one is older."""
    rates.observe("c", "a", RateHeaders(used=50, remaining=50, reset_seconds=600), monotonic=0.0)
    rates.observe("c", "a", RateHeaders(used=10, remaining=90, reset_seconds=601), monotonic=0.5)
    assert take(rates, 200, monotonic=1.0) == 45


def test_acquire__one_reader_leaves_its_neighbour_something(rates):
    """A bot that reads its whole history at a start can't take its neighbour's half of a quarter of 950 requests."""
    rates.join("c", "b")
    assert take(rates, 2000) == 950 - 118
    assert take(rates, 50, bot="b") == 50
    rates.leave("c", "b")
    assert take(rates, 2000) > 0


def test_stretch__keeps_the_interval_while_there_is_enough(rates):
    """One bot at 3 requests in 30 s is far below the limit."""
    assert rates.stretch("c", "a", interval_seconds=30, requests_per_poll=3, monotonic=0.0) == 30


def test_stretch__everybody_alike_when_it_is_short(rates):
    """50 bots want 5 requests a second where 1.58 are left: all polls are 3.2 times as long."""
    bots = [f"bot{i}" for i in range(50)]
    for _ in range(2):
        intervals = [rates.stretch("c", bot, interval_seconds=30, requests_per_poll=3, monotonic=0.0) for bot in bots]
    assert intervals == [pytest.approx(30 * 5 / (950 / 600))] * 50


def test_stretch__bot_that_is_gone_no_longer_counts(rates):
    """A closed connection leaves its share to the others."""
    bots = [f"bot{i}" for i in range(50)]
    for bot in bots:
        rates.stretch("c", bot, interval_seconds=30, requests_per_poll=3, monotonic=0.0)
    for bot in bots[1:]:
        rates.leave("c", bot)
    assert rates.stretch("c", "bot0", interval_seconds=30, requests_per_poll=3, monotonic=0.0) == 30


def test_stretch__an_empty_window_is_waited_for_at_different_times(rates):
    """Nothing left: every bot polls early in the next window, not all in one moment, and none before."""
    rates.observe("c", "a", RateHeaders(used=1000, remaining=0, reset_seconds=200), monotonic=0.0)
    intervals = {
        rates.stretch("c", f"bot{i}", interval_seconds=30, requests_per_poll=3, monotonic=0.0) for i in range(40)
    }
    assert len(intervals) == 40
    assert min(intervals) >= 200
    assert max(intervals) < 200 + 30 * 3


def test_ten_minutes_of_many_bots_stay_within_the_window(rates):
    """100 bots that obey make at most 1000 requests in a window, and each gets its turn."""
    bots = [f"bot{i}" for i in range(100)]
    due = {bot: float(i) / 10 for i, bot in enumerate(bots)}
    polls = dict.fromkeys(bots, 0)
    used = 0
    for second in range(600):
        for bot in bots:
            if due[bot] > second:
                continue
            allowed = take(rates, 3, bot=bot, monotonic=float(second))
            used += allowed
            polls[bot] += allowed == 3
            due[bot] = second + rates.stretch(
                "c", bot, interval_seconds=30, requests_per_poll=3, monotonic=float(second)
            )
    assert used <= 1000
    assert min(polls.values()) >= 2
