"""A small file that is whole and there after a power cut, for its user alone; and a folder of such files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, text: str, *, check: Callable[[], None] = lambda: None) -> None:
    """Put a new file of ASCII text in the place of another. All or nothing, durable when it returns; blocks so long.

    `check` is called last, and keeps the old file by raising.

    Raises:
        OSError: The disk did not take it; the old file is untouched.
    """
    fresh = path.parent / f".{path.name}.{os.getpid()}.new"
    try:
        _write_durably(fresh, text)
        check()
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_private(folder: Path) -> None:
    """Make a folder that nobody else may enter, or shut one that is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: fsync(2) of a file, and rename(2), say nothing of its directory entry."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _write_durably(path: Path, text: str) -> None:
    # One that a killed process left: NOFOLLOW and EXCL would stumble over it.
    path.unlink(missing_ok=True)
    # The mode at its birth, not by a later chmod: there is no moment in which others can open it.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
