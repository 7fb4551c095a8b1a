"""Everything else that speaks in a process: libraries, warnings, exceptions that nobody caught."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from hotshotd.log.events import Event

Say = Callable[[Event], None]


class LibraryHandler(logging.Handler):
    """Turns records of the standard library's logging into `library.logged` events."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(
            {
                "event": "library.logged",
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": _get_message(record).rstrip(),
                "exc_info": record.exc_info,
            }
        )


def _get_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or somebody else's __str__
        return f"{record.msg!r} (its arguments do not fit)"


class _Taken:
    handler: LibraryHandler | None = None


_taken = _Taken()


def take(say: Say, *, library_level: int) -> None:
    """Lead everything to `say`. May be called again; `give_back` undoes it."""
    give_back()
    _taken.handler = LibraryHandler(say)
    logging.root.addHandler(_taken.handler)
    logging.root.setLevel(library_level)
    logging.captureWarnings(True)
    _take_exceptions(say)


def give_back() -> None:
    """Leave the interpreter's own hooks in place, and the root logger as it is from the start."""
    if _taken.handler is None:
        return
    logging.root.removeHandler(_taken.handler)
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(False)
    sys.excepthook = sys.__excepthook__
    threading.excepthook = threading.__excepthook__
    sys.unraisablehook = sys.__unraisablehook__
    _taken.handler = None


def _take_exceptions(say: Say) -> None:
    def log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            say({"event": "process.interrupted", "level": "info"})
        else:
            say({"event": "process.crashed", "level": "critical", "exc_info": (kind, error, trace)})

    def log_thread_crash(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else None
            info = (args.exc_type, args.exc_value, args.exc_traceback)
            say({"event": "process.crashed", "level": "critical", "thread": name, "exc_info": info})

    def log_unraisable(args: sys.UnraisableHookArgs) -> None:
        info = (args.exc_type, args.exc_value, args.exc_traceback)
        message = args.err_msg or "an exception nobody could catch"
        say({"event": "process.error_ignored", "level": "error", "message": message, "exc_info": info})

    sys.excepthook = log_crash
    threading.excepthook = log_thread_crash
    sys.unraisablehook = log_unraisable
