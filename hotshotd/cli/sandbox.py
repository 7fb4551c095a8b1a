"""`hotshotd sandbox`: hands the sandbox a way to ask the daemon that it starts."""

from __future__ import annotations

import sys
from pathlib import Path

from hotshotd.control.client import ControlClient
from hotshotd.sandbox.run import run_sandbox
from hotshotd.wire import Json

#: Seconds the daemon has to answer while the screen waits.
STATUS_SECONDS = 3.0


def run(*, port: int | None, bots: int, duration: float | None, faults: Path | None) -> int:
    """Run the sandbox on this terminal; give its exit code."""
    return run_sandbox(port=port, bots=bots, duration=duration, faults=faults, out=sys.stdout, ask_status=_ask_status)


def _ask_status(socket: Path) -> Json:
    return ControlClient(socket).request({"op": "status", "bots": []}, timeout_seconds=STATUS_SECONDS)
