"""The refresh tokens that the daemon keeps: one small file a bot, for its user alone.

Two write it: the supervisor, when `hotshotctl auth` brings a token, and the bot's worker, when Reddit sends a new one
in place of the one it was given.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hotshotd.errors import ConfigError

#: Names that make a file of their own in the folder and nothing else; what bots may be called.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: What a token may be made of: it goes into a form, and a line break in it would be no part of it.
_TOKEN = re.compile(r"[!-~]{4,4096}")


class TokenRefused(ConfigError):
    """Nothing was stored, for a reason that the disk has no part in; the message says which."""

    code = "token"


class Superseded(TokenRefused):
    """The file holds another token than the one to be replaced: a newer one, which stays."""

    code = "superseded"


def write_token(state_dir: Path, bot: str, token: str, *, replaces: str | None = None) -> Path:
    """Store a bot's refresh token, and give the file. All or nothing, durable when it returns.

    With `replaces` the file must hold that token, or nothing is stored: a worker must not put its own, older token in
    the place of one that `auth` brought meanwhile. Between that look and the rename lie some microseconds that
    nothing guards.

    Raises:
        Superseded: It holds another one.
        TokenRefused: The bot's name or the token can't be one.
        OSError: The disk did not take it; the old token is untouched.
    """
    if not _NAME.fullmatch(bot):
        raise TokenRefused("the bot's name can't be a file's: use letters, digits, _, . and -")
    if not _TOKEN.fullmatch(token):
        raise TokenRefused("this is no refresh token: it holds blanks, or is too short or too long")
    folder = _make_folder(state_dir / "tokens")
    path, fresh = folder / bot, folder / f".{bot}.{os.getpid()}.new"
    try:
        _write_durably(fresh, token)
        if replaces is not None and _read(path) != replaces:
            raise Superseded(f"{path} holds another token than the one that was replaced; it stays")
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    return path


def _make_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def _write_durably(path: Path, text: str) -> None:
    # One that a killed process left: NOFOLLOW and EXCL would stumble over it.
    path.unlink(missing_ok=True)
    # The mode at its birth, not by a later chmod: there is no moment in which others can open it.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _sync_folder(folder: Path) -> None:
    # rename(2) alone is not durable after a power cut.
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
