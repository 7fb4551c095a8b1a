"""Refresh tokens on the disk: private, whole or not at all, and never an older one over a newer."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hotshotd.worker.tokens import Superseded, TokenRefused, write_token


def test_write__is_private_whatever_was_there(tmp_path: Path) -> None:
    """File and folder are for the daemon's user alone, also where the folder was open before."""
    (tmp_path / "tokens").mkdir(mode=0o755)
    path = write_token(tmp_path, "iama", "token-1")
    assert path.read_text() == "token-1\n"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_write__replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    """The second token takes the place of the first, and no other file is left."""
    write_token(tmp_path, "iama", "token-1")
    path = write_token(tmp_path, "iama", "token-2", replaces="token-1")
    assert [(entry.name, entry.read_text()) for entry in path.parent.iterdir()] == [("iama", "token-2\n")]


def test_write__never_over_a_newer_one(tmp_path: Path) -> None:
    """A worker's token stays away where the file holds another than the worker knew, or none any more."""
    write_token(tmp_path, "iama", "from-auth")
    for bot in ("iama", "gone"):
        with pytest.raises(Superseded):
            write_token(tmp_path, bot, "rotated", replaces="older")
    assert [(entry.name, entry.read_text()) for entry in (tmp_path / "tokens").iterdir()] == [("iama", "from-auth\n")]


@pytest.mark.parametrize("bot", ["", ".", "..", "../iama", "a/b", "a\n", "a b", ".hidden", "x" * 65])
def test_write__refuses_names_that_leave_the_folder(tmp_path: Path, bot: str) -> None:
    """A name that is no plain file name writes nothing anywhere."""
    with pytest.raises(TokenRefused):
        write_token(tmp_path, bot, "token-1")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("token", ["", "abc", "two words", "line\nbreak", "tok\0en", "é" * 10, "x" * 4097])
def test_write__refuses_what_is_no_token(tmp_path: Path, token: str) -> None:
    """A token is one printable word of sane length."""
    with pytest.raises(TokenRefused) as caught:
        write_token(tmp_path, "iama", token)
    assert not token or token not in str(caught.value)


def test_write__follows_no_link_and_survives_a_leftover(tmp_path: Path) -> None:
    """A link in the token's place is replaced, not written through."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "iama").symlink_to(elsewhere)
    path = write_token(tmp_path, "iama", "token-1")
    assert (elsewhere.read_text(), path.is_symlink()) == ("mine", False)


def test_write__tells_of_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    """What the disk refuses is an OSError, and the old state stays."""
    (tmp_path / "tokens").write_text("a file")
    with pytest.raises(OSError, match="exists"):
        write_token(tmp_path, "iama", "token-1")
