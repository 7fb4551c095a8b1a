"""What the operator wished and a restart must not forget: which bots are paused, until when, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hotshotd._types import BotName
from hotshotd.durable import replace_file
from hotshotd.errors import name_remedy
from hotshotd.log import get_logger

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Pause:
    """A wish that a bot be quiet; `until` is an aware datetime, None for good."""

    until: datetime | None = None
    reason: str = ""


class Wishes:
    """The pauses, in one small file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pauses = _load(path)

    def get_pause(self, bot: BotName, now: datetime) -> Pause | None:
        """Give the pause that holds for a bot now."""
        pause = self._pauses.get(bot)
        if pause is None or (pause.until is not None and pause.until <= now):
            return None
        return pause

    def pause(self, bot: BotName, pause: Pause) -> None:
        """Remember a pause; durable when it returns.

        Raises:
            OSError: If the file can't be written; the pause then does not hold.
        """
        self._replace({**self._pauses, bot: pause})

    def resume(self, bot: BotName) -> None:
        """Forget a pause; durable when it returns. Raises OSError as `pause` does."""
        self._replace({name: pause for name, pause in self._pauses.items() if name != bot})

    def _replace(self, pauses: dict[BotName, Pause]) -> None:
        if pauses == self._pauses:
            return
        text = json.dumps({name: _to_json(pause) for name, pause in pauses.items()}, indent=1)
        replace_file(self._path, text)
        self._pauses = pauses


def _to_json(pause: Pause) -> dict[str, Any]:
    return {"until": pause.until.isoformat() if pause.until else None, "reason": pause.reason}


def _load(path: Path) -> dict[BotName, Pause]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {BotName(name): _from_json(entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as exc:
        # A damaged wish must not keep every bot from starting; the operator is told to look.
        remedy = "pause the bots again that should be quiet"
        if isinstance(exc, OSError):
            remedy = f"{name_remedy(exc)}; then {remedy}"
        _log.error("wishes.unreadable", path=str(path), error=str(exc), remedy=remedy)
        return {}


def _from_json(entry: dict[str, Any]) -> Pause:
    until = datetime.fromisoformat(entry["until"]) if entry["until"] else None
    if until is not None and until.tzinfo is None:
        raise ValueError(f"{entry['until']} names no zone")
    return Pause(until=until, reason=str(entry["reason"]))
