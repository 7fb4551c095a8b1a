"""A single-threaded loop over sockets, signals and timers: what the supervisor and its control socket live in.

It blocks in one place, until a socket is ready or the nearest timer is due; nothing ticks. A signal
handler only writes a byte to a socket; the loop then acts.
"""

from __future__ import annotations

import heapq
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import FrameType

from hotshotd.clock import Clock

Callback = Callable[[], None]


@dataclass(order=True, slots=True)
class Timer:
    """A call that is due at `when` (monotonic seconds), unless it is cancelled before."""

    when: float
    order: int
    callback: Callback | None = field(compare=False)

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Sockets, signals and timers of one thread."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._order = count()
        self._running = False
        self._signals: dict[int, Callback] = {}
        self._signal_reader, self._signal_writer = socket.socketpair()
        for end in (self._signal_reader, self._signal_writer):
            end.setblocking(False)
        self._selector.register(self._signal_reader, selectors.EVENT_READ, (self._handle_signals, None))

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Call once when the monotonic clock shows `when`, or at once if that is past."""
        timer = Timer(when, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        return self.call_at(self.clock.monotonic() + seconds, callback)

    def watch(self, sock: socket.socket, *, readable: Callback, writable: Callback | None = None) -> None:
        """Call back while the socket can be read, or written where `writable` is given; replaces an earlier watch."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writable else 0)
        if sock.fileno() in self._selector.get_map():
            self._selector.modify(sock, events, (readable, writable))
        else:
            self._selector.register(sock, events, (readable, writable))

    def forget(self, sock: socket.socket) -> None:
        """Watch the socket no more; harmless when it was not watched, or is closed already."""
        if sock.fileno() >= 0 and sock.fileno() in self._selector.get_map():
            self._selector.unregister(sock)

    def on_signal(self, number: int, callback: Callback) -> None:
        """Call back in the loop, not in the handler, after the signal has come."""
        self._signals[number] = callback
        signal.signal(number, _nothing)
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        # One that was held back until somebody listens comes now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self, longest_seconds: float | None = None) -> None:
        """Wait for something to happen, at most until the nearest timer, and act on it."""
        for key, events in self._selector.select(self._compute_wait(longest_seconds)):
            readable, writable = key.data
            # An earlier callback of this batch may have let the socket go, and its number be another's by now.
            if events & selectors.EVENT_READ and self._is_watched(key):
                readable()
            if writable and events & selectors.EVENT_WRITE and self._is_watched(key):
                writable()
        self._run_timers()

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        """Give back every descriptor, and the sockets that are still watched: for a child after a fork."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._signal_writer.close()

    def _is_watched(self, key: selectors.SelectorKey) -> bool:
        current = self._selector.get_map().get(key.fd)
        return current is not None and current.fileobj is key.fileobj

    def _compute_wait(self, longest_seconds: float | None) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return longest_seconds
        wait = max(0.0, self._timers[0].when - self.clock.monotonic())
        return wait if longest_seconds is None else min(wait, longest_seconds)

    def _run_timers(self) -> None:
        now = self.clock.monotonic()
        while self._timers and self._timers[0].when <= now:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                callback()

    def _handle_signals(self) -> None:
        try:
            numbers = self._signal_reader.recv(4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            callback = self._signals.get(number)
            if callback is not None:
                callback()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Exist, so that the interpreter writes the signal's number to the wake-up descriptor."""
