"""The process's memory: the C library's heap, where it is glibc (elsewhere nothing is done), and who may look at it."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_M_ARENA_MAX = -8
_PR_SET_DUMPABLE = 4

#: Of Python's allocator: bytes of a pool, sizes of which there are pools (those of numbers and bare objects left out).
_POOL_BYTES = 16 * 1024
_POOLED_SIZES = range(48, 513, 16)
#: What a bytes object takes beside its bytes.
_BYTES_OVERHEAD = sys.getsizeof(b"")
#: Holes of one size that would fill more than this are none: it is another allocator.
_MOST_FILLING_BYTES = 512 * 1024

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


def fill_pools() -> list[bytes]:
    """Fill the half-empty pools of Python's allocator; give what fills them, to be kept. Takes some 10 ms.

    For who is about to fork: the first objects of each child would be spread over pools that it shares, and every page
    of them copied. Filled, the pools stay shared (0.7 MB once spares each worker 0.3 MB). Finds nothing to fill, and
    takes nothing, where the allocator is not CPython's (Objects/obmalloc.c).
    """
    return [filling for size in _POOLED_SIZES for filling in _fill_pools_of(size)]


def _fill_pools_of(size: int) -> list[bytes]:
    filling: list[bytes] = []
    run = 0
    while len(filling) * size < _MOST_FILLING_BYTES:
        filling.append(bytes(size - _BYTES_OVERHEAD))
        # A pool without holes hands its blocks out in a row: where one has done so from end to end, it was a new one.
        is_next = len(filling) > 1 and id(filling[-1]) - id(filling[-2]) == size
        run = run + 1 if is_next else 0
        if run * size > _POOL_BYTES - 3 * size:
            return filling[: -run - 1]
    return []


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
