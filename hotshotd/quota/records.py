"""What passes between the ledger and its store: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Row:
    """One bot's day on disk.

    `high_water` is at least what was granted: after a crash it counts as spent. `open_mark` is at least
    what is open at any time until the row is written again: it is what a crash near midnight carries over.
    """

    day: date
    bot: str
    high_water: int
    open_mark: int = 0
    requests: int = 0
    received: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """One durable write: all or nothing.

    `month_total` is what the rows of the month of `day` add up to once this is written, `carried` included.
    `carried` is what the month had spent on days whose rows are lost.
    """

    day: date
    rows: tuple[Row, ...]
    month_total: int
    carried: int = 0
    unclean: int = 0
    clean: bool = False
    damaged_on: date | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store knows at a start.

    `day` is None in a new ledger. `rows` are those of `day`, `month_before` sums its month's earlier days by
    bot. `clean`: the last life ended orderly, the rows are exact. `damage` says what is wrong with the files,
    None if nothing is. `epoch` is larger than in every earlier life.
    """

    epoch: int = 1
    day: date | None = None
    rows: tuple[Row, ...] = ()
    month_before: Mapping[str, int] = field(default_factory=dict)
    carried: int = 0
    unclean: int = 0
    clean: bool = True
    damage: str | None = None
    damaged_on: date | None = None
