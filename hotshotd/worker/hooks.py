"""What the Reddit adapter tells beside its answers, in its own thread: a new refresh token, places it can't read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hotshotd.log import get_logger, register_secret
from hotshotd.worker.tokens import Superseded, TokenRefused, write_token

_log = get_logger()


class Told(Protocol):
    """Whom the hooks tell; lives in the worker's loop."""

    def report(self, **facts: Any) -> None: ...

    def trouble(self, message: str) -> None: ...


def call_in_loop(loop: asyncio.AbstractEventLoop) -> Callable[..., None]:
    """Give a function that has another called in `loop`, from any thread; lost once the loop has ended."""

    def call(function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(function, *arguments)

    return call


class TokenKeeper:
    """Stores each refresh token that Reddit sends in place of the last one.

    `current` is the token that the bot signed in with. `is_ours` says that it came from the daemon's own file; one
    that the operator keeps elsewhere can't be replaced there, and the operator is told.
    """

    def __init__(
        self, state_dir: Path, bot: str, *, current: str | None, is_ours: bool, link: Told, call: Callable[..., None]
    ) -> None:
        self._state_dir = state_dir
        self._bot = bot
        self._current = current
        self._is_ours = is_ours
        self._link = link
        self._call = call

    def keep(self, token: str) -> None:
        """Store a new token. Called in the adapter's thread; writes to the disk, and never raises."""
        register_secret(token)
        try:
            path = write_token(self._state_dir, self._bot, token, replaces=self._current if self._is_ours else None)
        except Superseded as exc:
            # `auth` brought a newer one, and this worker is about to be replaced.
            _log.warning("token.superseded", reason=str(exc))
        except (OSError, TokenRefused) as exc:
            self._fail(exc)
        else:
            self._current = token
            _log.info("token.stored", path=str(path))
            if not self._is_ours:
                self._tell(
                    f"Reddit sent a new refresh token, and the one in the bot's file is worth nothing any more: remove "
                    f"reddit.refresh_token_env (or _file) from it, and the new one in {path} is used"
                )

    def _fail(self, exc: OSError | TokenRefused) -> None:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        remedy = f"run `hotshotctl auth {self._bot}` once the cause is mended, and before the next restart"
        _log.error("token.not_stored", error=str(why), remedy=remedy)
        self._tell(f"Reddit sent a new refresh token, and it can't be stored ({why}): {remedy}")

    def _tell(self, message: str) -> None:
        self._call(self._link.trouble, message)


class UnreadablePlaces:
    """Keeps for `status` which subreddits can't be read now, and why."""

    def __init__(self, *, link: Told, call: Callable[..., None]) -> None:
        self._link = link
        self._call = call
        self._places: dict[str, str] = {}

    def note(self, place: str, why: str | None) -> None:
        """Take note of a place that can't be read, or with None of one that can again; in the adapter's thread."""
        if why is None:
            self._places.pop(place, None)
        else:
            self._places[place] = why
        shown = [{"subreddit": name, "reason": reason} for name, reason in sorted(self._places.items())]
        self._call(lambda: self._link.report(unreadable=shown))
