"""A memory of made slots that lasts over a restart: a small file, written a few times a day."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hotshotd.brain.posting import Sent, SlotMemory
from hotshotd.durable import make_private, replace_file
from hotshotd.log import get_logger
from hotshotd.platform import Ref

_log = get_logger()


class KeptSlots(SlotMemory):
    """`SlotMemory` in a file of the bot's own. What it is told is on the disk when it returns, and it blocks so long.

    Where the file is lost or can't be written, the time of the bot's newest submission alone tells what was made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(*_load(path))
        self._path = path

    def _save(self) -> None:
        entry = {"made": self.made, "sent": asdict(self.sent) if self.sent else None}
        try:
            make_private(self._path.parent)
            replace_file(self._path, json.dumps(entry) + "\n")
        except OSError as exc:
            # The worst that follows is a post that comes twice, if the clock is set as well.
            _log.warning("slots.not_kept", path=str(self._path), error=str(exc))


def _load(path: Path) -> tuple[list[str], Sent | None]:
    try:
        entry = json.loads(path.read_text(encoding="ascii"))
        return [str(slot) for slot in entry["made"]], _parse_sent(entry["sent"])
    except (OSError, ValueError, LookupError, TypeError):
        # None yet, or damaged.
        return [], None


def _parse_sent(entry: Any) -> Sent | None:
    if entry is None:
        return None
    newest = entry["newest"]
    return Sent(str(entry["slot"]), str(entry["title"]), None if newest is None else Ref(str(newest)))
