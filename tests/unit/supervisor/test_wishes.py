"""Pauses on disk: durable before they hold, gone when their time is, and no damage keeps the daemon down."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hotshotd._types import BotName
from hotshotd.supervisor.wishes import Pause, Wishes

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEEPER, OTHER = BotName("keeper"), BotName("other")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paused.json"


def test_pause__survives_a_restart(path: Path) -> None:
    """The next daemon reads what this one wrote, reason and end included."""
    wish = Pause(until=NOW + timedelta(hours=2), reason="läuft heiß")
    Wishes(path).pause(KEEPER, wish)
    assert Wishes(path).get_pause(KEEPER, NOW) == wish
    assert Wishes(path).get_pause(OTHER, NOW) is None


def test_pause__without_end_holds_for_good(path: Path) -> None:
    """Ten years later, too."""
    Wishes(path).pause(KEEPER, Pause())
    assert Wishes(path).get_pause(KEEPER, NOW + timedelta(days=3650)) == Pause()


def test_pause__ends_at_its_time(path: Path) -> None:
    """`until` itself is no longer paused."""
    wishes = Wishes(path)
    wishes.pause(KEEPER, Pause(until=NOW))
    assert wishes.get_pause(KEEPER, NOW - timedelta(seconds=1)) is not None
    assert wishes.get_pause(KEEPER, NOW) is None


def test_resume__is_durable_and_leaves_the_others(path: Path) -> None:
    """One wish goes, the other stays, also over a restart."""
    wishes = Wishes(path)
    wishes.pause(KEEPER, Pause())
    wishes.pause(OTHER, Pause(reason="b"))
    wishes.resume(KEEPER)
    for seen in (wishes, Wishes(path)):
        assert seen.get_pause(KEEPER, NOW) is None
        assert seen.get_pause(OTHER, NOW) == Pause(reason="b")


def test_resume__of_an_unpaused_bot_writes_nothing(path: Path) -> None:
    """No change, no write: SD cards."""
    Wishes(path).resume(KEEPER)
    assert not path.exists()


def test_pause__is_synced_before_it_is_renamed_and_the_folder_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut there is the old file or the new one, never half of it, and never less than was promised."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda old, new: (steps.append("rename"), replace(old, new)))
    Wishes(path).pause(KEEPER, Pause())
    assert steps == ["sync", "rename", "sync"]


def test_pause__that_cannot_be_written_does_not_hold(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: the caller is told, and both memory and file are as before."""
    wishes = Wishes(path)
    wishes.pause(OTHER, Pause())

    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        wishes.pause(KEEPER, Pause())
    for seen in (wishes, Wishes(path)):
        assert seen.get_pause(KEEPER, NOW) is None
        assert seen.get_pause(OTHER, NOW) == Pause()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"keeper": null}',
        '{"keeper": {}}',
        '{"keeper": {"until": "soon", "reason": ""}}',
        '{"keeper": {"until": 5, "reason": ""}}',
        '{"keeper": {"until": "2027-01-01T00:00:00", "reason": "no zone"}}',
        "\udcff",
    ],
)
def test_damage__keeps_nobody_from_starting(path: Path, text: str) -> None:
    """An unreadable file counts as no wishes; the next wish mends it."""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    wishes = Wishes(path)
    assert wishes.get_pause(KEEPER, NOW) is None
    wishes.pause(OTHER, Pause())
    assert Wishes(path).get_pause(OTHER, NOW) == Pause()
