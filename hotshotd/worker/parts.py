"""What a worker is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from hotshotd.brain.pipeline import Answering
from hotshotd.brain.ports import BrainClock
from hotshotd.brain.posting import Posting
from hotshotd.brain.writing import Writer
from hotshotd.config.schema import BotConfig
from hotshotd.platform import Platform
from hotshotd.worker.calls import Calls
from hotshotd.worker.link import Link


class Gate(Protocol):
    """What a pause closes: no request leaves for a service while it is closed."""

    def close_gate(self, *, timeout_seconds: float) -> bool: ...

    def open_gate(self) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; `entry` puts it together."""

    config: BotConfig
    zone: ZoneInfo
    platform: Platform
    leave: Callable[[str], None]
    requests_per_poll: int
    gate: Gate
    clock: BrainClock
    calls: Calls
    link: Link
    writer: Writer
    posting: Posting | None
    answering: Answering | None
