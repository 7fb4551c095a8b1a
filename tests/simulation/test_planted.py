"""The list of planted faults fits the code, and a planted fault is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from simulation.plant import ROOT, find, plant
from simulation.planted import PLANTED, Planted


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_planted__can_be_put_in(planted: Planted, tmp_path: Path) -> None:
    """Each edit finds its place, once, and leaves Python that compiles."""
    for edit in planted.edits:
        copy = tmp_path / edit.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "hotshotd" / edit.file, copy)
    plant(planted, tmp_path)
    for edit in planted.edits:
        text = (tmp_path / edit.file).read_text(encoding="utf-8")
        assert text != (ROOT / "hotshotd" / edit.file).read_text(encoding="utf-8")
        compile(text, edit.file, "exec")


def test_find__names_the_seed_and_the_promise() -> None:
    """A fault in a copy of the code is found by its seed; the code itself is untouched."""
    [planted] = [it for it in PLANTED if it.name == "no look before the second try"]
    assert find(planted, days=1.0, seeds=20) == (4, "no slot made twice")


def test_find__says_so_when_all_hold() -> None:
    """Nothing planted, nothing found."""
    assert find(Planted("nothing", ()), days=0.25, seeds=2) == (None, "all hold")
