"""What the operator was told already, so that nothing is told twice: in memory, and in a small file for the next start.

A cause is told again after its period, or sooner if it was away for a while in between (`WELL_SECONDS`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hotshotd.clock import Clock
from hotshotd.log import get_logger

_log = get_logger()

#: How long something must have been well before its next trouble is news within the period, in seconds.
WELL_SECONDS = 600.0
#: Nothing has a longer period: older entries are dropped.
KEPT = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: its cause, and the bot (or `bot r/place`, or service) that it concerns."""

    cause: str
    what: str


@dataclass(slots=True)
class _Entry:
    at: datetime
    has_arrived: bool = False
    well_since: float | None = None


@dataclass(slots=True)
class Told:
    """Who was told what, and when. Nothing here raises: a full disk is just what has to be told."""

    path: Path
    clock: Clock
    _entries: dict[Subject, _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._entries = {subject: _Entry(at, has_arrived=True) for subject, at in _load(self.path).items()}

    def take(self, subject: Subject, *, period: timedelta) -> bool:
        """Tell whether to speak of this now, and if so take it as told."""
        now = self.clock.now()
        entry = self._entries.get(subject)
        if entry is not None and timedelta(0) <= now - entry.at < period and not self._was_well(entry):
            return False
        self._entries[subject] = _Entry(now)
        return True

    def note_well(self, subject: Subject) -> None:
        """Take note that this is no trouble now; harmless for what was never told."""
        entry = self._entries.get(subject)
        if entry is not None and entry.well_since is None:
            entry.well_since = self.clock.monotonic()

    def forget(self, subject: Subject) -> bool:
        """Take it back, for the alert never arrived, or is over; False where it was not told."""
        return self._entries.pop(subject, None) is not None

    def note_arrived(self, subject: Subject) -> None:
        """Remember over the next start that this was told. Writes a small file."""
        entry = self._entries.get(subject)
        if entry is not None:
            entry.has_arrived = True
        self._save()

    def _save(self) -> None:
        now = self.clock.now()
        self._entries = {subject: entry for subject, entry in self._entries.items() if now - entry.at < KEPT}
        rows = [
            [subject.cause, subject.what, entry.at.isoformat()]
            for subject, entry in self._entries.items()
            if entry.has_arrived
        ]
        fresh = self.path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            os.replace(fresh, self.path)
        except OSError as exc:
            # The worst that follows is an alert that comes twice.
            _log.warning("alert.not_remembered", path=str(self.path), error=str(exc))

    def _was_well(self, entry: _Entry) -> bool:
        since, entry.well_since = entry.well_since, None
        return since is not None and self.clock.monotonic() - since >= WELL_SECONDS


def _load(path: Path) -> dict[Subject, datetime]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = {Subject(str(cause), str(what)): datetime.fromisoformat(at) for cause, what, at in rows}
    except (OSError, ValueError, TypeError):
        # None yet, or damaged: nothing but a second alert depends on it.
        return {}
    return {subject: at for subject, at in found.items() if at.tzinfo is not None}
