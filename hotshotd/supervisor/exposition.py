"""The figures as Prometheus' text. The only importer of prometheus-client; imported where metrics are on.

The names are the contract's: people's dashboards rest on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hotshotd.quota.timings import BOUNDS_SECONDS
from hotshotd.supervisor.figures import Shown, ShownBot, Timing
from hotshotd.supervisor.states import State


def write_page(shown: Shown) -> bytes:
    """Write the page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(shown))
    return generate_latest(registry)


class _Figures(Collector):
    """The figures of one moment, for a registry of their own."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        shown = self._shown
        yield _gauge("hotshot_info", "The running version.", ("version",), [((shown.version,), 1)])
        yield _gauge(
            "hotshot_quota_granting", "1 while the ledger grants characters, 0 while no bot can write.", (),
            [((), int(shown.grants))],
        )  # fmt: skip
        yield from _collect_work(shown.bots)
        yield from _collect_money(shown.bots)
        yield from _collect_health(shown.bots)
        yield _make_seconds(shown.timings.items())
        yield _gauge(
            "hotshot_reddit_rate_remaining",
            "Requests left in Reddit's window of ten minutes, by a short hash of the app's client id.",
            ("client",),
            [((client,), left) for client, left in sorted(shown.reddit_left.items())],
        )


Rows = Iterable[tuple[tuple[str, ...], float]]


def _collect_work(bots: Iterable[ShownBot]) -> Iterator[Metric]:
    bots = tuple(bots)
    yield _counter(
        "hotshot_items_read", "Things read to their end, by kind: submissions, comments.", ("bot", "kind"),
        [((bot.name, kind), count) for bot in bots for kind, count in bot.read.items()],
    )  # fmt: skip
    yield _counter(
        "hotshot_items_done", "Things read, by how they ended and why (the log's item.done).",
        ("bot", "outcome", "reason"),
        [((bot.name, *end), count) for bot in bots for end, count in sorted(bot.items.items())],
    )  # fmt: skip
    yield _counter(
        "hotshot_posts_done", "Posts that were due, by how they ended and why (the log's post.done).",
        ("bot", "outcome", "reason"),
        [((bot.name, *end), count) for bot in bots for end, count in sorted(bot.posts.items())],
    )  # fmt: skip
    yield _counter(
        "hotshot_writes", "What was published, by kind: posts, replies.", ("bot", "kind"),
        [((bot.name, kind), count) for bot in bots for kind, count in bot.written.items()],
    )  # fmt: skip


def _collect_money(bots: Iterable[ShownBot]) -> Iterator[Metric]:
    bots = tuple(bots)
    yield _gauge(
        "hotshot_spend_characters", "Characters charged today; starts anew at midnight in the daemon's zone.", ("bot",),
        [((bot.name,), bot.spent) for bot in bots if bot.spent is not None],
    )  # fmt: skip
    yield _gauge(
        "hotshot_budget_characters", "Characters that may be charged in a day; +Inf without a budget.", ("bot",),
        [((bot.name,), math.inf if bot.budget is None else bot.budget) for bot in bots],
    )  # fmt: skip


def _collect_health(bots: Iterable[ShownBot]) -> Iterator[Metric]:
    bots = tuple(bots)
    yield _counter(
        "hotshot_restarts", "Failures of a bot's worker after which it was started anew.", ("bot",),
        [((bot.name,), bot.restarts) for bot in bots],
    )  # fmt: skip
    yield _gauge(
        "hotshot_bot_state", "1 for the state that hotshotctl status shows, 0 for every other one.", ("bot", "state"),
        [((bot.name, state.value), int(bot.state is state)) for bot in bots for state in State],
    )  # fmt: skip
    yield _gauge(
        "hotshot_bot_degraded", "1 for each role that a bot goes without now.", ("bot", "role"),
        [((bot.name, role), 1) for bot in bots for role in bot.degraded],
    )  # fmt: skip


def _make_seconds(timings: Iterable[tuple[str, Timing]]) -> Metric:
    family = HistogramMetricFamily(
        "hotshot_service_seconds",
        "Seconds that requests to a service waited for their answer, refusals and time-outs included.",
        labels=("service",),
    )
    bounds = [*(str(bound) for bound in BOUNDS_SECONDS), "+Inf"]
    for service, timing in sorted(timings):
        buckets = list(zip(bounds, accumulate(timing.counts), strict=True))
        family.add_metric((_clean(service),), buckets=buckets, sum_value=timing.seconds)
    return family


def _gauge(name: str, what: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    return _fill(GaugeMetricFamily(name, what, labels=labels), rows)


def _counter(name: str, what: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    return _fill(CounterMetricFamily(name, what, labels=labels), rows)


def _fill(family: CounterMetricFamily | GaugeMetricFamily, rows: Rows) -> Metric:
    for values, value in rows:
        family.add_metric([_clean(label) for label in values], value)
    return family


def _clean(label: str) -> str:
    # A half character, which JSON can carry, would break the whole page.
    return label.encode("utf-8", "replace").decode()
