"""News to the supervisor stay whole lines, even where it reads slowly."""

from __future__ import annotations

import socket

from hotshotd.wire import LineBuffer
from hotshotd.worker.link import Link


def test_send__half_a_line_is_ended_before_the_next_one() -> None:
    """A stream that is full cuts a message; what is lost after it is whole messages."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        link = Link(ours)
        for number in range(50):
            link.send({"event": "report", "number": number, "padding": "x" * 50_000})
        first = theirs.recv(1 << 24)
        link.send({"event": "beat"})
        received = LineBuffer().feed(first + theirs.recv(1 << 24))
    numbers = [message["number"] for message in received if "number" in message]
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 50
    assert received[-1] == {"event": "beat"}
