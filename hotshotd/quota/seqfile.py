"""The second file beside the ledger: how far the ledger must have come.

SQLite opens a database that was restored, emptied, cut or robbed of its -wal without a word. This file is written
after each commit and before any answer, so a ledger that is behind it is older than it should be.
Two slots are written in turn: a cut in the middle of a write leaves the other one.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hotshotd.durable import sync_folder

#: Bytes of a slot; no disk block holds two.
SLOT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Mark:
    """The last durable write: its number, its day, and what the day's month had spent by then."""

    sequence: int
    day: date
    month_total: int


class SequenceFile:
    """Owns `path` while it is open. Every call blocks for a write to the disk at most; all raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def has_begun(self) -> bool:
        """Whether a first mark was ever written, legible now or not: a full disk or a power cut leaves less."""
        try:
            return self._path.stat().st_size >= SLOT_BYTES
        except FileNotFoundError:
            return False

    def load(self) -> Mark | None:
        """Read the newest mark; None if there is none that is whole."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        marks = [_parse_slot(data[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES)]
        return max((mark for mark in marks if mark is not None), key=lambda mark: mark.sequence, default=None)

    def write(self, mark: Mark) -> None:
        """Make `mark` durable."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            sync_folder(self._path.parent)
        slot = _format_slot(mark)
        if os.pwrite(self._fd, slot, mark.sequence % 2 * SLOT_BYTES) != len(slot):
            raise OSError(f"{self._path}: a write was cut short")
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file; it is opened again at need."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _format_slot(mark: Mark) -> bytes:
    text = f"{mark.sequence} {mark.day.isoformat()} {mark.month_total}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode().ljust(SLOT_BYTES, b" ")


def _parse_slot(slot: bytes) -> Mark | None:
    text, _, crc = slot.strip().rpartition(b" ")
    try:
        if zlib.crc32(text) != int(crc, 16):
            return None
        sequence, day, month_total = text.decode("ascii").split(" ")
        return Mark(sequence=int(sequence), day=date.fromisoformat(day), month_total=int(month_total))
    except ValueError:
        return None
