"""The page for Prometheus, read back by its own library; counters that only grow."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from hotshotd.quota.timings import BOUNDS_SECONDS, Timings
from hotshotd.supervisor.exposition import write_page
from hotshotd.supervisor.figures import Lives, Shown, ShownBot, Timing
from hotshotd.supervisor.states import State
from hotshotd.supervisor.totals import Totals


def make_bot(name: str = "duck", **facts: Any) -> ShownBot:
    defaults = {
        "state": State.RUNNING, "read": {"comments": 3}, "written": {"replies": 1}, "items": {}, "posts": {},
        "restarts": 0, "spent": None, "budget": None, "degraded": (),
    }  # fmt: skip
    return ShownBot(name=name, **{**defaults, **facts})  # type: ignore[arg-type]


def read(*bots: ShownBot, timings: dict[str, Timing] | None = None) -> dict[tuple[str, ...], float]:
    """Write a page and read it: name and label values, in the order of the labels' names, to value."""
    page = write_page(Shown("1.0", True, bots, timings or {}, {"abc": 5})).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_page__says_what_is_known_and_nothing_else() -> None:
    """No spend is shown before it is known, for 0 would be a lie; no budget is +Inf; each state has its 0 or 1."""
    page = read(make_bot(), make_bot("goose", spent=7, budget=10, items={("skipped", "chance"): 4}, degraded=("rank",)))
    assert ("hotshot_spend_characters", "duck") not in page
    assert page["hotshot_spend_characters", "goose"] == 7
    assert page["hotshot_budget_characters", "duck"] == math.inf
    assert page["hotshot_budget_characters", "goose"] == 10
    assert page["hotshot_items_done_total", "goose", "skipped", "chance"] == 4
    assert page["hotshot_bot_degraded", "goose", "rank"] == 1
    assert page["hotshot_reddit_rate_remaining", "abc"] == 5
    states = {key[2]: value for key, value in page.items() if key[:2] == ("hotshot_bot_state", "duck")}
    assert states == {state.value: float(state is State.RUNNING) for state in State}


def test_page__of_no_bots_is_well_formed() -> None:
    """A daemon without a bot is scraped as well."""
    assert read()["hotshot_quota_granting",] == 1


def test_page__service_seconds_are_a_histogram() -> None:
    """Buckets add up, the last is the count, and the bounds are those that were counted by."""
    counted = Timings()
    for seconds in (0.05, 0.1, 0.3, 700.0):
        counted.add("openai", seconds)
    (row,) = counted.compute_figures()
    page = read(timings={row.service: Timing(row.counts, row.seconds)})
    buckets = [page["hotshot_service_seconds_bucket", str(bound), "openai"] for bound in BOUNDS_SECONDS]
    assert buckets[:3] == [2, 2, 3]
    assert buckets[-1] == 3
    assert page["hotshot_service_seconds_bucket", "+Inf", "openai"] == 4
    assert page["hotshot_service_seconds_count", "openai"] == 4
    assert page["hotshot_service_seconds_sum", "openai"] == pytest.approx(700.45)


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@given(ANY_TEXT, ANY_TEXT)
def test_page__takes_any_text_as_a_label(name: str, reason: str) -> None:
    """Whatever a label holds, the page stays one that can be read."""
    bot = make_bot(name, items={("x", reason): 1})
    page = write_page(Shown("1", True, (bot,), {name: Timing((1,) * 12, 1.0)}, {reason: 1})).decode()
    line = next(line for line in page.split("\n") if line.startswith("hotshot_items_done_total{"))
    assert line.endswith(" 1.0")


def _row(service: str, *counts: int) -> dict[str, Any]:
    return {"service": service, "counts": list(counts), "seconds": float(sum(counts))}


def test_lives__add_up_over_restarts() -> None:
    """Each life of the quota process counts from nothing; the sum goes on, also for a service not asked again."""
    lives = Lives()
    lives.take([_row("a", 1, 2), _row("b", 1, 0)], life=1)
    lives.take([_row("a", 2, 2), _row("b", 1, 0)], life=1)
    lives.take([_row("a", 9, 9)], life=None)
    lives.take([], life=2)
    assert lives.add_up()["a"] == Timing((2, 2), 4.0)
    lives.take([_row("a", 1, 0), _row("c", 0, 1)], life=2)
    assert lives.add_up() == {"a": Timing((3, 2), 5.0), "b": Timing((1, 0), 1.0), "c": Timing((0, 1), 1.0)}


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_lives__never_go_backwards(steps: list[tuple[int, bool]]) -> None:
    """Whenever the process dies, and whatever was asked when."""
    lives, life, counted, last = Lives(), 1, 0, 0
    for more, dies in steps:
        counted += more
        lives.take([_row("a", counted)] if counted else [], life=life)
        now = sum(timing.counts[0] for timing in lives.add_up().values())
        assert now >= last
        last = now
        if dies:
            life, counted = life + 1, 0
    assert last == sum(more for more, _ in steps)


def test_totals__take_what_workers_tell() -> None:
    """Increments of any worker, with or without ends."""
    totals = Totals()
    totals.add({"add": {"posts": 1}})
    totals.add({"add": {"posts": 2}, "ends": [["item.done", "replied", "mention", 2], ["post.done", "failed", "x", 1]]})
    totals.add({"add": {}, "ends": [["item.done", "replied", "mention", 1]]})
    assert totals.counts["posts"] == 3
    assert totals.list_ends("item.done") == {("replied", "mention"): 3}
    assert totals.list_ends("post.done") == {("failed", "x"): 1}
