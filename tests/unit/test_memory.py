"""Pools that are full before a fork stay shared after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from hotshotd.memory import fill_pools

SIZES = [1 + n % 450 for n in range(40_000)]


def leave_holes() -> list[bytes]:
    """Give every other one of many small objects: what was between them is free."""
    return [bytes(size) for size in SIZES][::2]


def count_copied_kb(prepare: Callable[[], object]) -> int:
    """Fork, and give how much of the shared memory the child copies when it makes a thousand objects."""
    kept = [leave_holes(), prepare()]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        before = _read_copied_kb()
        new = [bytes(size) for size in SIZES[:1000]]
        os.write(write, str(_read_copied_kb() - before).encode())
        os._exit(0 if kept and new else 1)
    os.waitpid(pid, 0)
    copied = int(os.read(read, 100))
    os.close(read)
    os.close(write)
    return copied


def _read_copied_kb() -> int:
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))


def test_fill_pools__children_copy_less() -> None:
    """A thousand new objects of mixed sizes cost their own size, and not a page each."""
    assert count_copied_kb(fill_pools) < count_copied_kb(list) / 2


@pytest.mark.parametrize("allocator", ["malloc", "pymalloc_debug"])
def test_fill_pools__takes_nothing_with_another_allocator(allocator: str) -> None:
    """It does not look for the end of holes for ever."""
    code = "from hotshotd.memory import fill_pools; print(len(fill_pools()))"
    environ = {**os.environ, "PYTHONMALLOC": allocator}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=environ)
    assert run.stdout.strip() == "0", run.stderr
