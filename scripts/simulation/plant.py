"""scripts/plant: see that the simulator finds each planted fault, and by which seed first."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulation.planted import PLANTED, Planted

ROOT = Path(__file__).resolve().parents[2]

_SEED = re.compile(r"^seed (\d+) ", re.MULTILINE)
_BROKEN = re.compile(r"^BROKEN: (.*?) \(", re.MULTILINE)
#: What ends a run that never ends by itself: a fault may be a busy loop.
_LIMIT_SECONDS = 600


def main(arguments: list[str]) -> int:
    """Be scripts/plant; give 1 when a fault was not found."""
    parser = argparse.ArgumentParser(prog="plant", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name holds this")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=1000, help="tried at most, from 1 on")
    options = parser.parse_args(arguments)
    lost = 0
    print("| fault | seed | seconds | promise |\n|---|--:|--:|---|", flush=True)
    for planted in PLANTED:
        if options.only in planted.name:
            begun = time.monotonic()
            seed, promise = find(planted, days=options.days, seeds=options.seeds)
            print(f"| {planted.name} | {seed or '-'} | {time.monotonic() - begun:.0f} | {promise} |", flush=True)
            lost += seed is None
    return int(lost > 0)


def find(planted: Planted, *, days: float, seeds: int) -> tuple[int | None, str]:
    """Run a copy with the fault; give the first seed that fails, if one does, and how."""
    with tempfile.TemporaryDirectory(prefix="hotshot-plant-") as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "hotshotd", copy / "hotshotd", ignore=shutil.ignore_patterns("__pycache__"))
        plant(planted, copy / "hotshotd")
        command = [sys.executable, "-m", "simulation", "--days", f"{days:g}", "--runs", f"{seeds}"]
        environ = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": f"{copy}:{ROOT / 'scripts'}"}
        try:
            run = subprocess.run(
                command, cwd=copy, env=environ, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return None, f"nothing in {_LIMIT_SECONDS} s"
    seed, broken = _SEED.search(run.stdout), _BROKEN.search(run.stdout)
    if run.returncode == 0 or seed is None or broken is None:
        return None, run.stderr.strip().splitlines()[-1] if run.returncode and run.stderr.strip() else "all hold"
    return int(seed[1]), broken[1]


def plant(planted: Planted, package: Path) -> None:
    """Put a fault into a copy of the package.

    Raises:
        ValueError: If what it changes does not stand there once.
    """
    for edit in planted.edits:
        path = package / edit.file
        text = path.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{planted.name}: {edit.file} has {edit.old!r} {text.count(edit.old)} times, not once")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
