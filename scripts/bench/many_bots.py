"""Memory and start of many idle bots: PSS of each additional one, and seconds until all run.

usage: many_bots.py [BOTS]      limits: 10 MB for each additional bot after its first polls, 10 s until all are running.
The baseline is one Python process a bot with the same imports, measured in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from stage import Daemon, run_daemon, wait_running, wait_until

PSS_LIMIT_MB, START_LIMIT_SECONDS = 10.0, 10.0
#: One round: bots that share a client id share its rate, so that forty of them poll about once a minute.
POLLS = 1
BASELINE_PROCESSES = 8
IMPORTS = "import praw, requests, yaml, structlog, pydantic, apscheduler.schedulers.asyncio; praw.Reddit(client_id='x', client_secret='y', user_agent='linux:bench:1 (by u/x)', check_for_updates=False)"  # noqa: E501


def read_pss_mb(pid: int) -> float:
    """Give a process's proportional set size, in megabytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError as exc:
        raise SystemExit("run it as root: hotshotd shows its memory to no other process of its user") from exc
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measure(bots: int) -> tuple[float, float]:
    """Give the PSS of a whole daemon after its bots' first polls, and the seconds until all ran."""
    begun = time.monotonic()
    with run_daemon(bots) as daemon:
        wait_running(daemon)
        seconds = time.monotonic() - begun
        wait_polled(daemon, bots)
        status = daemon.status()
        pids = [status["daemon"]["pid"], status["daemon"]["quota"]["pid"], *(bot["pid"] for bot in status["bots"])]
        return sum(map(read_pss_mb, pids)), seconds


def wait_polled(daemon: Daemon, bots: int) -> None:
    """Wait until every bot has read its inbox a few times."""

    def polled() -> bool:
        return daemon.count_requests().get("/message/unread/", 0) >= bots * POLLS

    wait_until(polled, seconds=120)


def measure_baseline() -> float:
    """Give the PSS of one separate process with the same imports."""
    children = [
        subprocess.Popen([sys.executable, "-c", f"{IMPORTS}; print('ready', flush=True); input()"], stdin=-1, stdout=-1)
        for _ in range(BASELINE_PROCESSES)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        return sum(read_pss_mb(child.pid) for child in children) / len(children)
    finally:
        for child in children:
            child.communicate(b"\n")


def main() -> int:
    bots = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    few = max(1, bots // 4)
    small, _ = measure(few)
    large, seconds = measure(bots)
    each = (large - small) / (bots - few)
    baseline = measure_baseline()
    print(f"{bots} bots running after {seconds:.2f} s (limit {START_LIMIT_SECONDS:g} s)")
    print(f"PSS of the whole daemon: {small:.1f} MB with {few} bots, {large:.1f} MB with {bots}")
    print(f"PSS for each additional bot after the first polls: {each:.2f} MB (limit {PSS_LIMIT_MB:g} MB)")
    print(
        f"one separate process with the same imports, before any request: {baseline:.2f} MB; "
        f"ratio {each / baseline:.2f}"
    )
    return 0 if each <= PSS_LIMIT_MB and seconds <= START_LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
