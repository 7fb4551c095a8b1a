"""News to the supervisor stay whole lines, even where it reads slowly."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hotshotd.wire import LineBuffer
from hotshotd.worker.link import MAX_UNSENT_BYTES, Link


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


def test_send_surely__waits_for_a_supervisor_that_reads_slowly() -> None:
    """More than the socket takes at once arrives whole and in order, with a beat that came meanwhile lost or whole."""

    async def act(link: Link, theirs: socket.socket) -> list[int]:
        loop, buffer = asyncio.get_running_loop(), LineBuffer()
        for number in range(15):
            link.send_surely({"event": "step", "number": number, "text": "x" * 50_000})
            link.send({"event": "beat"})
        link.send_surely({"event": "errand_done"})
        messages: list[dict[str, object]] = []
        while not messages or messages[-1]["event"] != "errand_done":
            messages += buffer.feed(await loop.sock_recv(theirs, 1000_000))
        link.send({"event": "beat"})
        assert buffer.feed(await loop.sock_recv(theirs, 1000_000)) == [{"event": "beat"}]
        return [message["number"] for message in messages if "number" in message]  # type: ignore[misc]

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        assert asyncio.run(act(Link(ours), theirs)) == list(range(15))


def test_send_surely__is_bounded() -> None:
    """A supervisor that never reads does not fill the worker's memory."""

    async def act(link: Link) -> None:
        for _ in range(100):
            link.send_surely({"event": "step", "text": "x" * 100_000})
        assert len(link._unsent) < MAX_UNSENT_BYTES + 200_000

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        asyncio.run(act(Link(ours)))


def test_send_surely__to_a_supervisor_that_is_gone_is_let_go() -> None:
    """The loop learns it from reading; nothing is raised here, and nothing is kept."""

    async def act(link: Link) -> None:
        link.send_surely({"event": "step", "text": "x"})
        assert not link._unsent

    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.setblocking(False)
        asyncio.run(act(Link(ours)))


def test_event__ends_are_counted_by_outcome_and_reason() -> None:
    """They go with the counters, as increments; a second message holds only what came since."""

    async def act(link: Link) -> None:
        for reason in ("mention", "mention", "chance"):
            link.event("item.done", thing="t1_a", outcome="replied", reason=reason)
        link.event("item.deferred", thing="t1_b", reason="pace")
        link.count("comments")
        link.flush()
        link.event("post.done", slot="x", outcome="failed", reason="error", thing=None)
        link.flush()

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        asyncio.run(act(Link(ours)))
        messages = LineBuffer().feed(theirs.recv(65536))
    assert messages == [
        {
            "event": "counts",
            "add": {"comments": 1},
            "ends": [["item.done", "replied", "mention", 2], ["item.done", "replied", "chance", 1]],
        },
        {"event": "counts", "add": {}, "ends": [["post.done", "failed", "error", 1]]},
    ]


def test_flush__counts_that_were_not_taken_are_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that does not read for a while misses no number."""
    monkeypatch.setattr("hotshotd.worker.link.RETRY_SECONDS", 0.01)

    async def act(link: Link, theirs: socket.socket) -> list[dict[str, object]]:
        loop, buffer = asyncio.get_running_loop(), LineBuffer()
        while link.send({"event": "report", "padding": "x" * 50_000}):
            pass
        for _ in range(3):
            link.count("comments")
            link.flush()
        while True:
            for message in buffer.feed(await loop.sock_recv(theirs, 1000_000)):
                if message["event"] == "counts":
                    return [message]

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        (message,) = asyncio.run(act(Link(ours), theirs))
    assert message["add"] == {"comments": 3}
