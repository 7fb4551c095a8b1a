"""The process's memory: the C library's heap, where it is glibc (elsewhere nothing is done), and who may look at it."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_M_ARENA_MAX = -8
_PR_SET_DUMPABLE = 4

# Looked up once, before any fork, and not by each child anew.
_libc = ctypes.CDLL(None)


def use_one_heap() -> None:
    """Let all threads of this process and its children share one heap (mallopt(3)).

    A heap a thread is for threads that run at once; ours wait for the network.
    """
    try:
        _libc.mallopt(_M_ARENA_MAX, 1)
    except (AttributeError, OSError):
        return


def trim() -> None:
    """Give freed memory back to the system (malloc_trim(3)). Takes about a millisecond."""
    try:
        _libc.malloc_trim(0)
    except (AttributeError, OSError):
        return


def keep_private() -> None:
    """Keep this process's memory out of core files and from other processes of the same user; children inherit it.

    Not the limit alone: the kernel does not hold it against a program that takes cores (core(5)). The price: only root
    can debug us, and the files in /proc/PID are root's.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def opened_up() -> Iterator[None]:
    """Make our own files in /proc ours again for a moment; not while a secret is in memory."""
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    try:
        yield
    finally:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
