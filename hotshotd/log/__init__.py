"""Structured logs: one event, one JSON object, one journal entry, or one line on a terminal.

`configure` is called once a process, and again by each forked child with its bot's name. From then
on everything goes the same way and is redacted on it: our events, the standard library's logging
(PRAW, urllib3, APScheduler), warnings, and exceptions that nobody caught. Logging never raises: what
can't be written within a second is lost, and the bot goes on.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TextIO

import structlog
from structlog.contextvars import get_contextvars
from structlog.typing import FilteringBoundLogger

from hotshotd.clock import Clock, SystemClock
from hotshotd.log import hooks
from hotshotd.log.events import Event, complete_event
from hotshotd.log.keys import KEYS
from hotshotd.log.redaction import Redactor, excerpt, holds_secret, redact, redact_all, register_secret
from hotshotd.log.sinks import Format, Sink, choose_format, open_sink

__all__ = [
    "KEYS",
    "Format",
    "Redactor",
    "configure",
    "excerpt",
    "get_logger",
    "holds_secret",
    "redact",
    "redact_all",
    "register_secret",
    "restore",
    "speak_for",
]

_LEVELS: Final[Mapping[str, int]] = MappingProxyType(
    {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
)
_CLOCK: Final = SystemClock()


def get_logger(**bound: Any) -> FilteringBoundLogger:
    """Give a logger for `area.past_verb` events with their data in keys (`KEYS`).

    Cheap, and good at module level across `configure` and fork. What is bound *before* the first
    `configure` keeps structlog's own output, which is standard output: bind later.
    """
    logger: FilteringBoundLogger = structlog.get_logger(**bound)
    return logger


def configure(
    *,
    level: str = "info",
    format: Format = "auto",
    stream: TextIO | None = None,
    bot: str | None = None,
    clock: Clock = _CLOCK,
) -> None:
    """Send every log of this process to `stream` (standard error) or the journal.

    Takes the hooks for uncaught exceptions and warnings as well; `restore` gives them back. Call it
    again at any time, and in each child after a fork. Libraries speak at warning and above, or at
    info and above where `level` is debug: their debug lines hold whole requests.

    Args:
        level: The least level that is written: debug, info, warning or error.
        format: As in `log.format` of the main configuration file.
        stream: Where lines go, and what `auto` looks at.
        bot: The name that each event of this process carries; null in the daemon's own.
        clock: Where timestamps come from.
    """
    target = sys.stderr if stream is None else stream
    _current.speaker = _Speaker(bot=bot, clock=clock, sink=open_sink(choose_format(format, stream=target), target))
    structlog.configure(
        processors=[structlog.processors.add_log_level, _emit],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    hooks.take(_say, library_level=logging.INFO if level == "debug" else max(logging.WARNING, _LEVELS[level]))


def speak_for(bot: str) -> None:
    """Let each event of this process carry a bot's name, and change nothing else: for a child after a fork.

    Cheaper than `configure`, which writes into much that a child shares with its parent.
    """
    if _current.speaker is not None:
        _current.speaker = _current.speaker.for_bot(bot)


def restore() -> None:
    """Give back what `configure` took; nothing is logged from then on, and structlog has its defaults."""
    hooks.give_back()
    _current.speaker = None
    structlog.reset_defaults()


class _Speaker:
    """Who speaks in this process, and where it goes."""

    def __init__(self, *, bot: str | None, clock: Clock, sink: Sink) -> None:
        self._bot = bot
        self._clock = clock
        self._sink = sink

    def for_bot(self, bot: str) -> _Speaker:
        """Give the same speaker under another name."""
        return _Speaker(bot=bot, clock=self._clock, sink=self._sink)

    def say(self, event: Event) -> None:
        """Complete, clean and write one event; swallows whatever fails, for nobody could be told."""
        try:
            whole = {"bot": self._bot, **get_contextvars(), **event}
            self._sink(complete_event(whole, now=self._clock.now()))
        except Exception:  # nosec B110  # noqa: BLE001, S110 - a bot must not die of its log
            pass


class _Current:
    speaker: _Speaker | None = None


_current = _Current()


def _say(event: Event) -> None:
    if _current.speaker is not None:
        _current.speaker.say(event)


def _emit(_logger: Any, _method: str, event: Event) -> Any:
    # The speaker is looked up for each event: loggers that were bound before a fork speak for the child.
    _say(event)
    raise structlog.DropEvent
