"""How long `hotshotctl status` takes, beside `python -c 'import click'`, in turn. Limit: 3 times, medians of 20."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from stage import ROOT, run_daemon, wait_running

LIMIT, RUNS = 3.0, 20


def time_command(words: list[str]) -> float:
    """Give the seconds that one run of a Python program takes."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return time.perf_counter() - begun


def main() -> int:
    with run_daemon(3) as daemon:
        wait_running(daemon)
        words = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes().split(b"\0")
        socket = Path(words[-2].decode()).parent / "run" / "control.sock"
        status = ["-c", "from hotshotd.cli.ctl import main; main()", "--socket", str(socket), "status"]
        times = [(time_command(status), time_command(["-c", "import click"])) for _ in range(RUNS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"hotshotctl status: {ours * 1000:.0f} ms; import click: {theirs * 1000:.0f} ms; medians of {RUNS}")
    print(f"ratio {ours / theirs:.2f} (limit {LIMIT:g})")
    return 0 if ours <= LIMIT * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
