"""Tell the service manager how we are (sd_notify(3)); a no-op where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import sdnotify

from hotshotd.clock import read_monotonic_microseconds

#: Taken out of the environment, so that no child speaks in the daemon's name.
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The daemon's line to systemd. Each call sends one datagram; none raises.

    Made once, in the main process: it reads NOTIFY_SOCKET and WATCHDOG_* and takes them out of the
    environment. A forked child calls `close` before anything else. The unit says `NotifyAccess=main`,
    which is the other lock on the same door.
    """

    #: Seconds between two `watchdog` calls, half of what the unit allows; None where nobody watches.
    watchdog_interval_seconds: float | None

    def __init__(self, *, monotonic_microseconds: Callable[[], int] = read_monotonic_microseconds) -> None:
        self._monotonic_microseconds = monotonic_microseconds
        self.watchdog_interval_seconds = _read_watchdog()
        self._sender = _connect()
        for name in _VARIABLES:
            os.environ.pop(name, None)

    @property
    def is_connected(self) -> bool:
        """Whether a service manager listens."""
        return self._sender is not None

    def ready(self, status: str = "") -> None:
        """All is up, or a reload is over."""
        self._send("READY=1", *_make_status(status))

    def reloading(self) -> None:
        """A reload begins; `ready` must follow."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_microseconds()}")

    def stopping(self, status: str = "") -> None:
        """The end has begun."""
        self._send("STOPPING=1", *_make_status(status))

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(*_make_status(text))

    def watchdog(self) -> None:
        """We are alive; due every `watchdog_interval_seconds`."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting, reloading or stopping takes up to `seconds` more, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def close(self) -> None:
        """Fall silent for good: the socket is given back, and every later call does nothing."""
        sender, self._sender = self._sender, None
        if sender is not None:
            # A forked child has closed every descriptor already.
            with suppress(OSError):
                sender.socket.close()

    def _send(self, *assignments: str) -> None:
        if self._sender is not None and assignments:
            # sdnotify encodes as Latin-1 and swallows what does not fit: hand it UTF-8 in that guise.
            self._sender.notify("\n".join(assignments).encode(errors="replace").decode("latin-1"))


def _make_status(text: str) -> list[str]:
    # A line break would begin another assignment.
    line = " ".join(text.split())
    return [f"STATUS={line}"] if line else []


def _connect() -> sdnotify.SystemdNotifier | None:
    # Without the variable sdnotify would leave a socket open behind it.
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    sender = sdnotify.SystemdNotifier()
    return sender if sender.socket is not None else None


def _read_watchdog() -> float | None:
    """Read what sd_watchdog_enabled(3) reads: a time, and whose time it is."""
    period, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not period.isdecimal() or int(period) == 0 or (pid is not None and pid != str(os.getpid())):
        return None
    return int(period) / 2 / 1_000_000
