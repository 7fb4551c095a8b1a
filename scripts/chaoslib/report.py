"""The table at the end of a run, and what is below it; for chaos and soak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from chaoslib.daemon import ROOT
from chaoslib.promises import Breaches

#: Details of one broken promise that are shown.
_DETAILS = 20


def print_report(rows: Sequence[tuple[str, int]], facts: Sequence[str], breaches: Breaches) -> None:
    """Print what was counted, what is worth knowing, and each broken promise with its details."""
    width = max(len(name) for name, _ in rows)
    print(f"| {'what':{width}} | {'count':>7} |\n|-{'-' * width}-|-{'-' * 7}:|")
    for name, count in rows:
        print(f"| {name:{width}} | {count:>7} |")
    print(*facts, sep="\n")
    for promise, details in breaches.details.items():
        print(f"\nBROKEN: {promise}", *(f"  {detail}" for detail in details[:_DETAILS]), sep="\n")
    sys.stdout.flush()


def find_commit() -> str:
    """Name the commit that runs; "unknown" in a copy without git."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    except FileNotFoundError:
        return "unknown"
