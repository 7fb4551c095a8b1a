"""The gate that a pause closes: whoever is about to spend passes it, and a pause waits until nobody is inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hotshotd.errors import BotPaused


class Gate:
    """Open at first. Thread-safe; any number may be inside at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._inside = 0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Be inside for the length of a `with`.

        Raises:
            BotPaused: The gate is closed.
        """
        with self._changed:
            if self._closed:
                raise BotPaused("the bot is paused; `hotshotctl resume` ends that")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, *, timeout_seconds: float) -> bool:
        """Let nobody in from now on, and wait until nobody is inside; False if somebody still is after that time."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._inside == 0, timeout=timeout_seconds)

    def open(self) -> None:
        """Let everybody in again."""
        with self._changed:
            self._closed = False
