"""The loop: timers by the clock that is given, sockets, signals, and callbacks that let others go."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest
from virtual import HandClock

from hotshotd.loop import Loop


@pytest.fixture
def clock() -> HandClock:
    return HandClock(seconds=100.0)


@pytest.fixture
def loop(clock: HandClock) -> Iterator[Loop]:
    loop = Loop(clock)
    yield loop
    loop.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Two connected pairs, each with something to read at its first end."""
    made = [socket.socketpair() for _ in range(2)]
    for ours, theirs in made:
        ours.setblocking(False)
        theirs.send(b"x")
    yield made
    for pair in made:
        for end in pair:
            end.close()


# -- timers ------------------------------------------------------------------------------------


def test_timer__is_called_once_when_due(loop: Loop, clock: HandClock) -> None:
    """Not before, at the moment itself, and never again."""
    calls: list[float] = []
    loop.call_later(5, lambda: calls.append(clock.seconds))
    clock.seconds = 104.9
    loop.turn(0)
    assert calls == []
    clock.seconds = 105.0
    loop.turn(0)
    clock.seconds = 300.0
    loop.turn(0)
    assert calls == [105.0]


def test_timers__run_by_time_then_by_order(loop: Loop, clock: HandClock) -> None:
    """Equal times run in the order in which they were set."""
    calls: list[str] = []
    for name, seconds in (("late", 3), ("first", 1), ("second", 1)):
        loop.call_later(seconds, lambda name=name: calls.append(name))  # type: ignore[misc]
    clock.seconds += 10
    loop.turn(0)
    assert calls == ["first", "second", "late"]


def test_timer__of_the_past_runs_in_the_next_turn(loop: Loop) -> None:
    """`call_at` with a time gone by calls at once, and does not block."""
    calls: list[int] = []
    loop.call_at(1.0, lambda: calls.append(1))
    loop.turn()
    assert calls == [1]


def test_timer__cancelled_is_not_called(loop: Loop, clock: HandClock) -> None:
    """Also when the one who cancels is a timer of the same turn."""
    calls: list[str] = []
    second = loop.call_later(2, lambda: calls.append("second"))
    loop.call_later(1, second.cancel)
    clock.seconds += 5
    loop.turn(0)
    assert calls == []


def test_timer__may_set_another_that_is_due_later(loop: Loop, clock: HandClock) -> None:
    """A timer that sets itself anew runs once a turn."""
    calls: list[float] = []

    def again() -> None:
        calls.append(clock.seconds)
        loop.call_later(10, again)

    loop.call_later(10, again)
    for _ in range(3):
        clock.seconds += 10
        loop.turn(0)
    assert calls == [110.0, 120.0, 130.0]


@pytest.mark.parametrize(
    ("longest", "due", "wait"), [(None, 4.0, 4.0), (1.0, 4.0, 1.0), (9.0, 4.0, 4.0), (None, -3.0, 0.0)]
)
def test_wait__ends_at_the_nearest_timer(loop: Loop, longest: float | None, due: float, wait: float) -> None:
    """It sleeps until the nearest timer, or as long as it was told if that is shorter; never a negative time."""
    loop.call_later(due, lambda: None)
    loop.call_later(due + 1, lambda: None)
    assert loop._compute_wait(longest) == pytest.approx(wait)


def test_wait__has_no_end_without_timers(loop: Loop) -> None:
    """Nothing ticks: with cancelled timers only, it sleeps until a socket is ready."""
    loop.call_later(1, lambda: None).cancel()
    assert loop._compute_wait(None) is None


def test_run__ends_at_stop(loop: Loop) -> None:
    """`stop` from a callback ends `run` after that turn."""
    loop.call_later(0, loop.stop)
    loop.run()


# -- sockets -----------------------------------------------------------------------------------


def test_watch__calls_back_while_readable(loop: Loop, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Until what is there has been read."""
    ours, _ = pairs[0]
    got: list[bytes] = []
    loop.watch(ours, readable=lambda: got.append(ours.recv(10)))
    loop.turn(0)
    loop.turn(0)
    assert got == [b"x"]


def test_watch__replaces_an_earlier_one(loop: Loop, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Writable is asked for only where it is wanted now."""
    ours, _ = pairs[0]
    calls: list[str] = []
    loop.watch(ours, readable=lambda: calls.append("old"), writable=lambda: calls.append("write"))
    loop.turn(0)
    loop.watch(ours, readable=lambda: calls.append("new"))
    loop.turn(0)
    assert calls == ["old", "write", "new"]


def test_forget__is_harmless_for_what_is_not_watched(
    loop: Loop, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """Twice, without a watch, or once it is closed."""
    ours, _ = pairs[0]
    calls: list[str] = []
    loop.watch(ours, readable=lambda: calls.append("read"))
    loop.forget(ours)
    loop.forget(ours)
    ours.close()
    loop.forget(ours)
    loop.turn(0)
    assert calls == []


def test_forget__holds_within_the_batch(loop: Loop, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Of two sockets that are ready together, the first to be served lets the other go: it is not called."""
    (one, _), (two, _) = pairs
    calls: list[str] = []

    def serve(name: str, other: socket.socket) -> None:
        calls.append(name)
        loop.forget(other)
        other.close()

    loop.watch(one, readable=lambda: serve("one", two))
    loop.watch(two, readable=lambda: serve("two", one))
    loop.turn(0)
    assert len(calls) == 1


def test_close_in_readable__keeps_writable_from_being_called(
    loop: Loop, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """A socket that was closed while it was read is not written."""
    ours, _ = pairs[0]
    calls: list[str] = []

    def close() -> None:
        calls.append("read")
        loop.forget(ours)
        ours.close()

    loop.watch(ours, readable=close, writable=lambda: calls.append("write"))
    loop.turn(0)
    assert calls == ["read"]


def test_close__lets_watched_sockets_go(clock: HandClock, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """A forked child gives back what its parent watched."""
    loop = Loop(clock)
    ours, _ = pairs[0]
    loop.watch(ours, readable=lambda: None)
    loop.close()
    assert ours.fileno() == -1
    assert loop._signal_reader.fileno() == loop._signal_writer.fileno() == -1


# -- signals -----------------------------------------------------------------------------------


@pytest.fixture
def signals() -> Iterator[None]:
    """Give the process its own handlers back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_signal__is_acted_on_in_the_loop_once(loop: Loop) -> None:
    """Not in the handler; and several of one kind before the turn are one."""
    calls: list[str] = []
    loop.on_signal(signal.SIGUSR1, lambda: calls.append("one"))
    loop.on_signal(signal.SIGUSR2, lambda: calls.append("two"))
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    assert calls == []
    loop.turn(0)
    loop.turn(0)
    assert calls == ["one", "two"]


@pytest.mark.usefixtures("signals")
def test_signal__without_a_callback_is_passed_over(loop: Loop) -> None:
    """The wake-up descriptor also tells of signals that others handle."""
    loop.on_signal(signal.SIGUSR1, lambda: None)
    signal.signal(signal.SIGUSR2, lambda _number, _frame: None)
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.turn(0)
