"""What the kernel knows of processes: who lives, whose child, how much memory, which descriptors."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc. A zombie (state Z) is dead, but nobody has asked for its end yet."""

    pid: int
    parent: int
    session: int
    state: str

    @property
    def is_alive(self) -> bool:
        return self.state not in ("Z", "X")


def adopt_orphans() -> None:
    """Become the parent of every process below us whose own parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read_process(pid: int) -> Process | None:
    """Look at one process; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(pid, int(fields[1]), int(fields[3]), fields[0])


def list_sessions(sessions: frozenset[int]) -> list[Process]:
    """Give the living processes of some sessions."""
    found = (read_process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process and process.is_alive and process.session in sessions]


def reap_adopted(but: frozenset[int]) -> None:
    """Take the adopted dead away; those in `but` are somebody else's to ask for."""
    us = os.getpid()
    for entry in os.listdir("/proc"):
        process = read_process(int(entry)) if entry.isdigit() else None
        if process and process.parent == us and not process.is_alive and process.pid not in but:
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def is_alive(pid: int) -> bool:
    process = read_process(pid)
    return process is not None and process.is_alive


def read_pss(pid: int) -> int | None:
    """Give a process's proportional share of memory in kB; None where it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return None


def count_descriptors(pid: int) -> Counter[str] | None:
    """Count a process's open descriptors by kind; None where it is gone.

    Sockets to servers are a kind of their own: a connection that is kept for the next request is no leak.
    """
    inet = _list_inet_sockets()
    kinds: Counter[str] = Counter()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                kind = target.partition(":")[0] if ":" in target else "file"
                kinds["inet" if target in inet else kind] += 1
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return kinds


def _list_inet_sockets() -> frozenset[str]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return frozenset(f"socket:[{line.split()[9]}]" for line in lines)
