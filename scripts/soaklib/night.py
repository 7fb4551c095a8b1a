"""Which night: the options of a run, the change of clocks it goes across, and the times of its beginning and end."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

#: How every process is told of faster time (swift/sitecustomize.py).
MARK = "HOTSHOT_SWIFT"

#: Seconds, not made shorter, for the daemon to start: so many, and so many for each bot.
_START_SECONDS, _START_BOT_SECONDS = 5.0, 0.6
#: Seconds of faster time after the last scheduled hour in which everything may settle.
SETTLE_SECONDS = 900.0
#: The longest time before the change of clocks.
_EVENING = timedelta(hours=9)
#: Where the search for a change of clocks begins.
_NOT_BEFORE = datetime(2026, 9, 1, tzinfo=UTC)
_STEP = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Night:
    """One run. `change` is the moment at which the clocks are changed, `begin` when its first slot may be."""

    options: argparse.Namespace
    zone: ZoneInfo
    change: datetime

    @property
    def hours(self) -> timedelta:
        return timedelta(hours=self.options.hours)

    @property
    def begin(self) -> datetime:
        return (self.change - min(_EVENING, self.hours * 0.4)).replace(second=0, microsecond=0)

    @property
    def end(self) -> datetime:
        return self.begin + self.hours

    def make_environ(self, swift: Path) -> Mapping[str, str]:
        """Give the variables of every process of the run; its time begins to run faster when the daemon has started."""
        start = _START_SECONDS + _START_BOT_SECONDS * self.options.bots
        begin = time.monotonic() + start
        end = begin + (self.hours.total_seconds() + SETTLE_SECONDS) / self.options.speed
        shift = self.begin.timestamp() - (time.time() + start)
        path = os.pathsep.join(filter(None, (str(swift), os.environ.get("PYTHONPATH"))))
        return {MARK: f"{self.options.speed} {begin} {end} {shift}", "PYTHONPATH": path}


def parse_night(arguments: Sequence[str]) -> Night:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="soak", description="A day of the real daemon, on faster time.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=40.0, help="how many times as fast; 1 hour of 24 needs 24")
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--change", choices=("autumn", "spring"), default="autumn")
    parser.add_argument("--zone", type=ZoneInfo, default=ZoneInfo("Europe/Berlin"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for files and log, kept whatever happens")
    options = parser.parse_args(arguments)
    return Night(options, options.zone, _find_change(options.zone, is_forward=options.change == "spring"))


def _find_change(zone: ZoneInfo, *, is_forward: bool) -> datetime:
    moment = _NOT_BEFORE
    for _ in range(2 * 24 * 366):
        before, moment = moment, moment + _STEP
        gained = _offset(moment, zone) - _offset(before, zone)
        if gained and (gained > timedelta(0)) is is_forward:
            return moment
    raise SystemExit(f"soak: the clocks are not changed in {zone}")


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
