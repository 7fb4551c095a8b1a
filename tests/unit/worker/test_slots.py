"""Made slots are remembered over a restart, and a file that is lost or can't be written costs nothing but that."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hotshotd.brain.posting import SLOTS_KEPT, Sent
from hotshotd.platform import Ref
from hotshotd.worker.slots import KeptSlots

SENT = Sent("2026-11-24T12:00", "Größe 🦆\n", Ref("t3_a"))


def test_kept__slots_and_what_was_sent_last_over_a_restart(tmp_path: Path) -> None:
    """In a file for the daemon's user alone."""
    path = tmp_path / "slots" / "iama"
    before = KeptSlots(path)
    before.add("2026-11-24T09:00")
    before.begin(SENT)
    after = KeptSlots(path)
    assert "2026-11-24T09:00" in after
    assert (SENT.slot in after, after.sent) == (False, SENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["iama"]


def test_kept__the_newest_slots_and_what_was_sent_also_when_it_was_made(tmp_path: Path) -> None:
    """A listing may not show it yet to a worker that starts now."""
    path = tmp_path / "iama"
    slots = KeptSlots(path)
    slots.begin(SENT)
    for slot in ("another", SENT.slot, *map(str, range(SLOTS_KEPT - 1))):
        slots.add(slot)
    after = KeptSlots(path)
    assert (after.sent, SENT.slot in after, "another" in after) == (SENT, True, False)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "é", '{"made": []}', '{"made": 3, "sent": null}', '{"made": [], "sent": {"slot": "x"}}'],
)
def test_kept__damaged_is_empty(tmp_path: Path, text: str) -> None:
    """A bot starts all the same, and its file is mended by the next post."""
    path = tmp_path / "iama"
    path.write_text(text, encoding="utf-8")
    slots = KeptSlots(path)
    assert (slots.made, slots.sent) == ([], None)
    slots.add("2026-11-24T09:00")
    assert "2026-11-24T09:00" in KeptSlots(path)


def test_kept__where_nothing_can_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    """The bot posts on."""
    (tmp_path / "slots").write_text("a file")
    slots = KeptSlots(tmp_path / "slots" / "iama")
    slots.begin(SENT)
    slots.add(SENT.slot)
    assert (SENT.slot in slots, slots.sent) == (True, SENT)
