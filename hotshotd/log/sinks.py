"""Where events go: JSON lines, a console for people, or the journal's native protocol."""

from __future__ import annotations

import json
import os
import re
import select
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TextIO

import structlog

from hotshotd.log.events import FIRST_KEYS, Event
from hotshotd.log.journal import Journal, find_code, is_journal

Format = Literal["auto", "journald", "json", "console"]
Sink = Callable[[Event], None]

#: How long a full pipe or a stopped terminal may hold up one line, in seconds.
STREAM_TIMEOUT_SECONDS = 1.0

#: syslog(3) priorities.
_PRIORITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
)
#: Control characters, and those that turn the direction of a text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_NOT_FIELD = re.compile(r"[^A-Z0-9_]+")
#: The longest name of a journal field (systemd.journal-fields(7)).
_MAX_FIELD_CHARS = 64


def choose_format(format: Format, *, stream: TextIO) -> Format:
    """Settle `auto`: the journal where `stream` leads there, a console on a terminal, else JSON."""
    if format != "auto":
        return format
    fd = _get_fd(stream)
    if fd is not None and is_journal(fd, journal_stream=os.environ.get("JOURNAL_STREAM")):
        return "journald"
    return "console" if stream.isatty() else "json"


def open_sink(format: Format, stream: TextIO) -> Sink:
    """Give what writes an event in `format`; `stream` also takes what the journal does not."""
    lines = Lines(stream)
    if format == "journald":
        return make_journal_sink(Journal(), fallback=make_json_sink(lines))
    if format == "console":
        return make_console_sink(lines, colors=stream.isatty() and not os.environ.get("NO_COLOR"))
    return make_json_sink(lines)


def make_json_sink(lines: Lines) -> Sink:
    """Write one JSON object a line, in ASCII."""
    return lambda event: lines.write(json.dumps(event, default=str))


def make_console_sink(lines: Lines, *, colors: bool) -> Sink:
    """Write lines for people."""
    render = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)

    def write(event: Event) -> None:
        shown = {key: _escape(key, value) for key, value in event.items() if key != "pid" and value is not None}
        lines.write(str(render(None, "", shown)))

    return write


def make_journal_sink(journal: Journal, *, fallback: Sink) -> Sink:
    """Write journal entries; where the journal fails, to `fallback`."""

    def write(event: Event) -> None:
        try:
            journal.send({**make_entry(event), **find_code()})
        except OSError:
            fallback(event)

    return write


def make_entry(event: Event) -> dict[str, str]:
    """Make the journal's fields: each key as HOTSHOT_KEY, and a MESSAGE for people."""
    known = {key: value for key, value in event.items() if value is not None}
    fields = {_NOT_FIELD.sub("_", f"HOTSHOT_{key.upper()}")[:_MAX_FIELD_CHARS]: _to_text(known[key]) for key in known}
    return {
        "MESSAGE": _make_message(known),
        "PRIORITY": str(_PRIORITIES.get(str(event.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "hotshotd",
        **fields,
    }


def _make_message(event: Event) -> str:
    speaker = [f"{event['bot']}:"] if "bot" in event else []
    data = [f"{key}={_to_text(value)}" for key, value in event.items() if key not in (*FIRST_KEYS, "exception")]
    line = " ".join([*speaker, str(event.get("event")), *data])
    return f"{line}\n{event['exception']}" if "exception" in event else line


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _escape(key: str, value: Any) -> Any:
    """Keep strangers' texts from steering the operator's terminal."""
    if isinstance(value, bool | int | float):
        return value
    text = _to_text(value)
    if key == "exception":
        return "\n".join(_CONTROL.sub(_show_control, line) for line in text.split("\n"))
    return _CONTROL.sub(_show_control, text)


def _show_control(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _get_fd(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


class Lines:
    """Whole lines to a stream, one write(2) each where it has a descriptor, so that processes don't mix theirs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Reentrant: a collected object may have something to say in the middle of a line.
        self._lock = threading.RLock()

    def write(self, line: str) -> None:
        """Write one line; it is lost where nobody takes it within `STREAM_TIMEOUT_SECONDS`."""
        with self._lock:
            self._stream.flush()
            fd = _get_fd(self._stream)
            if fd is None:
                self._stream.write(line + "\n")
            else:
                _write_all(fd, line.encode(errors="backslashreplace") + b"\n")


def _write_all(fd: int, data: bytes) -> None:
    # Asked first, also of a blocking descriptor: a reader that stands still must not stop the bot's heart.
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while data and poll.poll(STREAM_TIMEOUT_SECONDS * 1000):
        data = data[os.write(fd, data) :]
