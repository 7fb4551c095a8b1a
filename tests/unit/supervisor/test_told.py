"""What was told once is not told again: over flapping, restarts, jumping clocks and damaged files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hotshotd.supervisor.told import WELL_SECONDS, Subject, Told

DAY = timedelta(days=1)
DUCK, GOOSE = Subject("failed", "duck"), Subject("failed", "goose")


@pytest.fixture
def told(clock: Any, tmp_path: Path) -> Told:
    return Told(tmp_path / "alerts.json", clock)


def test_take__once_in_a_period(told: Told, clock: Any) -> None:
    """A subject is told, then not before its period is over; others are their own."""
    assert told.take(DUCK, period=DAY)
    clock.advance(86_399)
    assert not told.take(DUCK, period=DAY)
    assert told.take(GOOSE, period=DAY)
    assert told.take(Subject("banned", "duck"), period=DAY)
    clock.advance(1)
    assert told.take(DUCK, period=DAY)


def test_take__sooner_when_it_was_well_in_between(told: Told, clock: Any) -> None:
    """Trouble after ten good minutes is news; trouble that comes and goes is not."""
    told.take(DUCK, period=DAY)
    for _ in range(20):
        told.note_well(DUCK)
        clock.advance(WELL_SECONDS - 1)
        assert not told.take(DUCK, period=DAY)
    told.note_well(DUCK)
    clock.advance(WELL_SECONDS / 2)
    told.note_well(DUCK)
    clock.advance(WELL_SECONDS / 2)
    assert told.take(DUCK, period=DAY)
    assert not told.take(DUCK, period=DAY)


def test_take__survives_a_restart_once_it_has_arrived(told: Told, clock: Any) -> None:
    """The next daemon knows what arrived, and not what was still on its way."""
    told.take(DUCK, period=DAY)
    told.take(GOOSE, period=DAY)
    told.note_arrived(DUCK)
    again = Told(told.path, clock)
    assert not again.take(DUCK, period=DAY)
    assert again.take(GOOSE, period=DAY)
    clock.advance(9 * 86_400)
    again.take(GOOSE, period=DAY)
    again.note_arrived(GOOSE)
    assert "duck" not in told.path.read_text(), "old entries are dropped"


def test_take__after_the_clock_was_set_back(told: Told, clock: Any) -> None:
    """What was told in the future does not silence a cause for ever."""
    told.take(DUCK, period=DAY)
    clock.start = datetime(2020, 1, 1, tzinfo=UTC)
    assert told.take(DUCK, period=DAY)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', '[["failed", "duck", "2026-11-24"]]', "\0", "[[1, 2]]"])
def test_load__of_a_damaged_file_forgets(text: str, clock: Any, tmp_path: Path) -> None:
    """The worst is an alert that comes twice; a time without a zone counts as damage."""
    path = tmp_path / "alerts.json"
    path.write_text(text)
    assert Told(path, clock).take(DUCK, period=DAY)


def test_note_arrived__on_a_full_disk_is_no_error(clock: Any, tmp_path: Path) -> None:
    """It is just then that alerts must work; what was told is known as long as the daemon lives."""
    told = Told(tmp_path / "no-such-folder" / "alerts.json", clock)
    told.take(DUCK, period=DAY)
    told.note_arrived(DUCK)
    assert not told.take(DUCK, period=DAY)


def test_forget__makes_it_news_again(told: Told) -> None:
    """What never arrived was not told."""
    told.take(DUCK, period=DAY)
    told.forget(DUCK)
    assert told.take(DUCK, period=DAY)
