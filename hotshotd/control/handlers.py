"""From a request's JSON to a call on the daemon: one small function a command, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hotshotd.control.protocol import Daemon, Drop, Failure, Reply, StepTaker
from hotshotd.errors import HotshotError, ProtocolError
from hotshotd.log import get_logger
from hotshotd.wire import Json

_log = get_logger()

#: The longest address that `try` takes, in characters.
MAX_URL_CHARS = 2000
#: The longest refresh token, in characters.
MAX_TOKEN_CHARS = 4096


def _no_step(_step: Json) -> None:
    """Show no step: nobody looks."""


def _never(_drop: Drop) -> None:
    """Never drop: whoever asked stays."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the two ways to answer it; a long command's steps go to `step` before.

    `when_gone` takes what is to be called if the operator leaves before the reply.
    """

    request: Json
    reply: Reply
    fail: Failure
    step: StepTaker = _no_step
    when_gone: Callable[[Drop], None] = _never

    def get_name(self) -> str | None:
        """Give the one bot named, or None.

        Raises:
            ProtocolError: If it is no text.
        """
        name = self.request.get("bot")
        if name is not None and not isinstance(name, str):
            raise ProtocolError("`bot` must be a text")
        return name

    def require_name(self) -> str:
        name = self.get_name()
        if name is None:
            raise ProtocolError("`bot` is missing")
        return name

    def require_text(self, key: str, *, longest: int) -> str:
        """Give a text that must be there. Raises ProtocolError when it is not, is empty, or is longer than allowed."""
        text = self.request.get(key)
        if not isinstance(text, str) or not text.strip():
            raise ProtocolError(f"`{key}` must be a text")
        if len(text) > longest:
            raise ProtocolError(f"`{key}` is longer than {longest} characters")
        return text

    def get_flag(self, key: str) -> bool:
        """Give a yes or no, no where it is missing. Raises ProtocolError when it is neither."""
        flag = self.request.get(key, False)
        if not isinstance(flag, bool):
            raise ProtocolError(f"`{key}` must be true or false")
        return flag

    def get_names(self) -> list[str] | None:
        """Give the bots named, or None for all. Raises ProtocolError as `get_name` does."""
        names = self.request.get("bots")
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProtocolError("`bots` must be a list of texts")
        return names

    def get_until(self) -> datetime | None:
        """Give the end of a pause. Raises ProtocolError when it is no aware time."""
        text = self.request.get("until")
        if text is None:
            return None
        try:
            until = datetime.fromisoformat(str(text))
        except ValueError as exc:
            raise ProtocolError("`until` must be an ISO 8601 time") from exc
        if until.tzinfo is None:
            raise ProtocolError("`until` must name its zone")
        return until


def _status(daemon: Daemon, exchange: Exchange) -> None:
    daemon.status(exchange.get_names() or [], reply=exchange.reply)


def _quota(daemon: Daemon, exchange: Exchange) -> None:
    daemon.quota(exchange.get_name(), reply=exchange.reply)


def _reload(daemon: Daemon, exchange: Exchange) -> None:
    daemon.reload(exchange.get_name(), reply=exchange.reply, fail=exchange.fail)


def _pause(daemon: Daemon, exchange: Exchange) -> None:
    daemon.pause(
        exchange.get_names(),
        until=exchange.get_until(),
        reason=str(exchange.request.get("reason") or "")[:200],
        reply=exchange.reply,
        fail=exchange.fail,
    )


def _resume(daemon: Daemon, exchange: Exchange) -> None:
    daemon.resume(exchange.get_names(), reply=exchange.reply, fail=exchange.fail)


def _restart(daemon: Daemon, exchange: Exchange) -> None:
    daemon.restart(exchange.require_name(), reply=exchange.reply, fail=exchange.fail)


def _try(daemon: Daemon, exchange: Exchange) -> None:
    url = exchange.require_text("url", longest=MAX_URL_CHARS)
    exchange.when_gone(
        daemon.try_thing(exchange.require_name(), url=url, step=exchange.step, reply=exchange.reply, fail=exchange.fail)
    )


def _post(daemon: Daemon, exchange: Exchange) -> None:
    dry_run = exchange.get_flag("dry_run")
    exchange.when_gone(
        daemon.make_post(
            exchange.require_name(), dry_run=dry_run, step=exchange.step, reply=exchange.reply, fail=exchange.fail
        )
    )


def _token(daemon: Daemon, exchange: Exchange) -> None:
    token = exchange.require_text("token", longest=MAX_TOKEN_CHARS)
    daemon.token(exchange.require_name(), token=token, reply=exchange.reply, fail=exchange.fail)


COMMANDS: dict[str, Callable[[Daemon, Exchange], None]] = {
    "status": _status,
    "quota": _quota,
    "reload": _reload,
    "pause": _pause,
    "resume": _resume,
    "restart": _restart,
    "try": _try,
    "post": _post,
    "token": _token,
}


def handle(daemon: Daemon, exchange: Exchange) -> None:
    """Carry out one request; whatever goes wrong becomes an error reply."""
    op = exchange.request.get("op")
    command = COMMANDS.get(op) if isinstance(op, str) else None
    if command is None:
        exchange.fail("unknown_command", f"no such command; known are {', '.join(sorted(COMMANDS))}")
        return
    try:
        command(daemon, exchange)
    except HotshotError as exc:
        exchange.fail(exc.code, str(exc))
    except Exception as exc:  # noqa: BLE001 - one of the four boundaries: a command must not end the daemon
        _log.exception("control.failed", op=op)
        exchange.fail("internal", f"the command failed inside: {type(exc).__name__}; the daemon's log has the details")
