"""The worker's end of the channel to the supervisor: commands in, news out.

Beats come from the loop that does the work, so a loop that hangs falls silent.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from hotshotd._types import Role
from hotshotd.log import excerpt, get_logger, redact_all
from hotshotd.wire import Json, LineBuffer, encode, receive, send_some

_log = get_logger()

#: Seconds between two signs of life; the supervisor waits three times as long.
BEAT_SECONDS = 10.0
#: Seconds that news are gathered before they are sent, so that a burst is one message.
GATHER_SECONDS = 0.1
#: Seconds before gathered counts are offered again that a supervisor which does not read could not take.
RETRY_SECONDS = 1.0
#: Events that are counted by outcome and reason.
ENDS = ("item.done", "post.done")
#: Unsent bytes past which even what should arrive surely is lost: the supervisor does not read.
MAX_UNSENT_BYTES = 1024 * 1024


class Link:
    """News and commands over one socket. Lives in the worker's loop; no method blocks."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = LineBuffer()
        self._unsent = bytearray()
        self._counts: Counter[str] = Counter()
        self._ends: Counter[tuple[str, str, str]] = Counter()
        self._report: Json = {}
        self._gathering = False
        self._degraded: dict[Role, str] = {}
        self._on_forbidden: Callable[[str], None] | None = None

    def open(
        self, *, on_command: Callable[[Json], None], on_end: Callable[[], None], on_forbidden: Callable[[str], None]
    ) -> None:
        """Start to read commands.

        `on_end` is called when the supervisor is gone, `on_forbidden` with a place that answered a write with 403.
        """
        self._on_forbidden = on_forbidden
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._read, on_command, on_end)

    def send(self, message: Json) -> bool:
        """Send at once. What a supervisor that does not read can't take is lost, and False is given.

        Such a supervisor will be killed or die itself.
        """
        # A stream may take half a line: the other half goes first, or both lines are spoilt.
        self._write()
        if self._unsent:
            _log.debug("link.lost", message_event=message.get("event"))
            return False
        try:
            data = encode(redact_all(message))
            self._unsent += data[self._channel.send(data) :]
        except OSError:
            _log.debug("link.lost", message_event=message.get("event"))
            return False
        return True

    def send_surely(self, message: Json) -> None:
        """Send at once, or as soon as the supervisor reads again; for what somebody waits for."""
        if len(self._unsent) > MAX_UNSENT_BYTES:
            _log.debug("link.lost", message_event=message.get("event"))
            return
        self._unsent += encode(redact_all(message))
        self._write()
        if self._unsent:
            asyncio.get_running_loop().add_writer(self._channel, self._write_on)

    def report(self, **facts: Any) -> None:
        """Pass on facts for `status`, such as `next_post_at`; gathered for a moment."""
        self._report.update(facts)
        self._gather()

    def flush(self) -> None:
        """Send what was gathered."""
        self._gathering = False
        if self._counts or self._ends:
            self._flush_counts()
        if self._report:
            self.send({"event": "report", "report": self._report})
            self._report = {}

    # -- `hotshotd.brain.ports.News` -----------------------------------------------------------

    def count(self, what: str) -> None:
        self._counts[what] += 1
        self._gather()

    def trouble(self, message: str) -> None:
        self.report(last_error=excerpt(message, longest=500))

    def degraded(self, role: Role, *, why: str | None) -> None:
        if why is None and role not in self._degraded:
            return
        if why is not None and role not in self._degraded:
            # Said once, not for every item that goes without.
            _log.warning("role.degraded", role=role.value, reason=why)
        if why is None:
            del self._degraded[role]
            _log.info("role.restored", role=role.value)
        else:
            self._degraded[role] = why
        self.report(degraded=sorted(role.value for role in self._degraded))

    def forbidden(self, place: str) -> None:
        if self._on_forbidden is not None:
            self._on_forbidden(place)

    def event(self, event: str, **facts: object) -> None:
        _log.info(event, **facts)
        if event in ENDS:
            self._ends[event, str(facts["outcome"]), str(facts["reason"])] += 1
            self._gather()

    # -- inside --------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            send_some(self._channel, self._unsent)
        except OSError:
            # Nobody is there any more; the loop learns it from reading.
            self._unsent.clear()

    def _write_on(self) -> None:
        self._write()
        if not self._unsent:
            asyncio.get_running_loop().remove_writer(self._channel)

    def _flush_counts(self) -> None:
        ends = [[*end, count] for end, count in self._ends.items()]
        if self.send({"event": "counts", "add": dict(self._counts), "ends": ends}):
            self._counts.clear()
            self._ends.clear()
        else:
            # Nothing else tells them again: a counter must not miss what was done.
            self._gather(RETRY_SECONDS)

    def _gather(self, seconds: float = GATHER_SECONDS) -> None:
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(seconds, self.flush)

    def _read(self, on_command: Callable[[Json], None], on_end: Callable[[], None]) -> None:
        data = receive(self._channel)
        if data is None:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._channel)
            on_end()
            return
        for command in self._buffer.feed(data):
            on_command(command)
