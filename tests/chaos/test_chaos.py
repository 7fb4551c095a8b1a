"""The real daemon under fire for a while: every promise holds, and enough was done to it for that to mean something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Seconds for a run of a minute, its settling and its reckoning, on a machine that is busy with other things.
LIMIT_SECONDS = 400


@pytest.mark.timeout(LIMIT_SECONDS + 20)
def test_chaos__breaks_no_promise(tmp_path: Path) -> None:
    """Ten bots, faults on every service, kills, stops, reloads, pauses, a full disk: exit 0, and zeros in the table."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "chaos"), "--minutes", "1", "--seed", "1", "--hasty",
         "--keep", str(tmp_path / "chaos")],
        capture_output=True, text=True, timeout=LIMIT_SECONDS,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    counts = {name: int(count) for name, count in re.findall(r"^\| (.*?) *\| +(\d+) \|$", run.stdout, re.MULTILINE)}
    assert counts["faults injected, all"] >= 60
    assert counts["kills, all"] >= 6
    assert counts["must-reply items answered"] >= 10
