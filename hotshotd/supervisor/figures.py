"""The figures of one moment, as plain values: what `metrics` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from hotshotd import __version__
from hotshotd.supervisor.bot import Bot
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.wire import Json

#: The kinds of things read and written; the words of `status --json`.
READ_KINDS = ("submissions", "comments")
WRITE_KINDS = ("posts", "replies")


@dataclass(frozen=True, slots=True)
class Timing:
    """A service's answers: how many in each bucket of `hotshotd.quota.timings` and past the last, and all seconds."""

    counts: tuple[int, ...]
    seconds: float

    def add(self, other: Timing) -> Timing:
        counts = tuple(ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True))
        return Timing(counts, self.seconds + other.seconds)


@dataclass(slots=True)
class Lives:
    """Timings over all lives of the quota process, which counts anew in each: a counter never goes backwards."""

    _past: dict[str, Timing] = field(default_factory=dict)
    _now: dict[str, Timing] = field(default_factory=dict)
    _life: int | None = None

    def take(self, timings: Iterable[Json], *, life: int | None) -> None:
        """Take over what was counted in this life, a pid; one that has no process now says nothing new."""
        if life is None:
            return
        if life != self._life:
            self._past, self._now, self._life = self.add_up(), {}, life
        fresh = {str(row["service"]): Timing(tuple(row["counts"]), float(row["seconds"])) for row in timings}
        # An answer that a dead one gave is not one of this life: it can only be more than what is known.
        self._now = {**self._now, **fresh}

    def add_up(self) -> dict[str, Timing]:
        """Give all of it by service."""
        return {name: past.add(self._now[name]) if name in self._now else past for name, past in self._past.items()} | {
            name: now for name, now in self._now.items() if name not in self._past
        }


@dataclass(frozen=True, slots=True)
class ShownBot:
    """One bot. `spent` is None as long as the quota process has told nothing, `budget` where it is unlimited."""

    name: str
    state: State
    read: Mapping[str, int]
    written: Mapping[str, int]
    items: Mapping[tuple[str, str], int]
    posts: Mapping[tuple[str, str], int]
    restarts: int
    spent: int | None
    budget: int | None
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything on one page."""

    version: str
    grants: bool
    bots: tuple[ShownBot, ...]
    timings: Mapping[str, Timing]
    reddit_left: Mapping[str, int]

    @classmethod
    def of(cls, supervisor: Supervisor, lives: Lives) -> Self:
        """Gather what is known now; asks nobody."""
        snapshot = supervisor.quota.snapshot
        rows = snapshot.get("quota", {}).get("bots", ())
        spent = {str(row["name"]): int(row["characters"]) for row in rows}
        return cls(
            version=__version__,
            grants=supervisor.quota.state == "ok",
            bots=tuple(_show(bot, spent.get(bot.name)) for _, bot in sorted(supervisor.bots.items())),
            timings=lives.add_up(),
            reddit_left=snapshot.get("reddit_left", {}),
        )


def _show(bot: Bot, spent: int | None) -> ShownBot:
    totals = bot.totals
    return ShownBot(
        name=bot.name,
        state=bot.shown,
        read={kind: totals.counts[kind] for kind in READ_KINDS},
        written={kind: totals.counts[kind] for kind in WRITE_KINDS},
        items=totals.list_ends("item.done"),
        posts=totals.list_ends("post.done"),
        restarts=totals.restarts,
        spent=spent,
        budget=bot.config.character_budget,
        degraded=tuple(str(role) for role in bot.report.get("degraded", ())),
    )
