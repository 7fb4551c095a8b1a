"""A glance at a file: its bytes for a moment, and nothing of them afterwards."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from hotshotd.config.files import Unreadable, glance


def test_glance__gives_the_bytes_and_overwrites_them(tmp_path: Path) -> None:
    """The buffer itself, not a copy, is empty once the block is over, also when it ends badly."""
    path = tmp_path / "s"
    path.write_bytes(b"A=hunter2\n")
    path.chmod(0o640)
    with glance(path, limit_bytes=100) as seen:
        data = seen.data
        assert (bytes(data), seen.mode) == (b"A=hunter2\n", 0o640)
    assert bytes(data) == bytes(10)
    assert "hunter2" not in repr(seen)
    with suppress(KeyError), glance(path, limit_bytes=100) as seen:
        data = seen.data
        raise KeyError
    assert bytes(data) == bytes(10)


def test_glance__leaves_no_descriptor_behind(tmp_path: Path) -> None:
    """Also where there is nothing to be seen."""
    (tmp_path / "s").write_bytes(b"x" * 101)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Unreadable, match="is larger than"), glance(tmp_path / "s", limit_bytes=100):
        pass
    with pytest.raises(Unreadable, match="does not exist"), glance(tmp_path / "none", limit_bytes=100):
        pass
    with pytest.raises(Unreadable, match="is a directory"), glance(tmp_path, limit_bytes=100):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_glance__at_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    """No bytes, and no error."""
    (tmp_path / "s").touch()
    with glance(tmp_path / "s", limit_bytes=100) as seen:
        assert bytes(seen.data) == b""
