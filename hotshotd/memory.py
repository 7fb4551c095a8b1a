"""The C library's heap, where it is glibc; elsewhere these do nothing."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8


def use_one_heap() -> None:
    """Let all threads of this process and its children share one heap (mallopt(3)).

    A heap a thread is for threads that run at once; ours wait for the network.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except (AttributeError, OSError):
        return


def trim() -> None:
    """Give freed memory back to the system (malloc_trim(3)). Takes about a millisecond."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
