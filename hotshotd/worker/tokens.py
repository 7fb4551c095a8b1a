"""The refresh tokens that the daemon keeps: one small file a bot, for its user alone.

Two write it: the supervisor, when `hotshotctl auth` brings a token, and the bot's worker, when Reddit sends a new one
in place of the one it was given.
"""

from __future__ import annotations

import re
from pathlib import Path

from hotshotd.durable import make_private, replace_file
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
    path = state_dir / "tokens" / bot

    def check() -> None:
        if replaces is not None and _read(path) != replaces:
            raise Superseded(f"{path} holds another token than the one that was replaced; it stays")

    make_private(path.parent)
    replace_file(path, token + "\n", check=check)
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
