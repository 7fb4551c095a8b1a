"""Read a small regular file, and nothing else: never waits for a pipe, a device or the rest of an endless file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hotshotd.errors import ConfigError

#: Permission bits of everybody who is neither the owner nor in the group.
OTHERS = stat.S_IRWXO


class Unreadable(ConfigError):
    """A file can't be read; the message says why, without the file's name."""

    code = "unreadable"


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes and its permission bits, as of one moment."""

    data: bytes = field(repr=False)
    mode: int


def read_small_file(path: Path, *, limit_bytes: int) -> Content:
    """Read a regular file of at most `limit_bytes`. Follows links.

    Raises:
        Unreadable: If it is missing, of another kind, too large, or not ours to read.
    """
    try:
        # Looked at before it is opened: opening some devices does something.
        require_regular(path)
        # NONBLOCK, because somebody may put a pipe there between the look and this.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            info = os.fstat(descriptor)
            _require_regular_mode(info.st_mode)
            data = file.read(limit_bytes + 1)
    except (OSError, ValueError) as exc:
        raise Unreadable(_describe(path, exc)) from exc
    if len(data) > limit_bytes:
        raise Unreadable(f"is larger than {limit_bytes // 1024} KiB")
    return Content(data, stat.S_IMODE(info.st_mode))


@dataclass(frozen=True, slots=True)
class Glance:
    """A file's bytes for a moment, and its permission bits; look, and make no copy of what is not yours."""

    data: bytearray = field(repr=False)
    mode: int


@contextmanager
def glance(path: Path, *, limit_bytes: int) -> Iterator[Glance]:
    """Give a small file's bytes as long as the block lasts; nothing of them stays in this process's memory.

    Raises:
        Unreadable: As `read_small_file`.
    """
    try:
        require_regular(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as exc:
        raise Unreadable(_describe(path, exc)) from exc
    try:
        info = os.fstat(descriptor)
        _require_regular_mode(info.st_mode)
        if info.st_size > limit_bytes:
            raise Unreadable(f"is larger than {limit_bytes // 1024} KiB")
        data = bytearray(info.st_size)
        try:
            # Straight into our buffer: a `bytes` object can't be overwritten.
            length = os.readv(descriptor, [data]) if data else 0
            data[length:] = bytes(len(data) - length)
            yield Glance(data, stat.S_IMODE(info.st_mode))
        finally:
            data[:] = bytes(len(data))
    except OSError as exc:
        raise Unreadable(_describe(path, exc)) from exc
    finally:
        os.close(descriptor)


def require_regular(path: Path | str) -> os.stat_result:
    """Look at a file without opening it, and give what the look told.

    Raises:
        Unreadable: If it is no regular file.
        OSError: If it can't be looked at.
    """
    info = os.stat(path)
    _require_regular_mode(info.st_mode)
    return info


def is_filled(path: Path | str) -> bool:
    """Tell whether we could read something from a regular file, without reading it."""
    try:
        return require_regular(path).st_size > 0 and os.access(path, os.R_OK)
    except (OSError, ValueError, Unreadable):
        return False


def _require_regular_mode(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Unreadable("is a directory, not a file")
    if not stat.S_ISREG(mode):
        raise Unreadable("is not a regular file (a pipe, socket or device)")


def _describe(path: Path, exc: OSError | ValueError) -> str:
    if isinstance(exc, FileNotFoundError):
        return "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
    if isinstance(exc, PermissionError):
        return "may not be read by this user: change its owner or mode"
    return f"can't be read: {exc.strerror if isinstance(exc, OSError) else exc}"
