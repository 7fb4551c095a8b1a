"""`hotshotctl status --watch`: the same answer again and again, drawn over itself so that nothing flickers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from hotshotd.cli.terminal import Screen, find_screen
from hotshotd.errors import ControlError, DaemonNotRunning

# A screen of its own, so that what stood there before comes back (xterm's control sequences, DECSET 1049 and 25).
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

#: Gives the lines to be shown; raises what asking the daemon raises.
Look = Callable[[Screen], Sequence[str]]


def watch(look: Look, *, seconds: float) -> None:
    """Look every so many `seconds` and show, until Ctrl-C; on a terminal at once again when its size changes.

    A daemon that goes away once it was seen is waited for on a terminal, and told of.

    Raises:
        ControlError: At the first look; in a pipe at any.
    """
    try:
        lines = look(find_screen())
        if find_screen().width is None:
            _repeat(look, lines, seconds)
        with _own_screen():
            lines = _redraw(look, lines, seconds)
        # The last state stays, as if it had been asked for once.
        click.echo("\n".join(lines))
    except KeyboardInterrupt:
        # The way to end it, whether it waits for the clock or for the daemon.
        return


def _repeat(look: Look, lines: Sequence[str], seconds: float) -> NoReturn:
    while True:
        click.echo("\n".join(lines))
        _wait(seconds)
        lines = look(find_screen())


def _redraw(look: Look, lines: Sequence[str], seconds: float) -> Sequence[str]:
    try:
        while True:
            _draw(lines)
            _wait(seconds)
            lines = _look_again(look)
    except KeyboardInterrupt:
        return lines


def _look_again(look: Look) -> Sequence[str]:
    screen = find_screen()
    try:
        return look(screen)
    except DaemonNotRunning as exc:
        return [*screen.wrap(str(exc)), *screen.wrap("Waiting for it; Ctrl-C ends this.")]
    except ControlError as exc:
        return screen.wrap(str(exc))


def fit_height(lines: Sequence[str], screen: Screen) -> Sequence[str]:
    """Give as many lines as the screen has rows, the last of which tells how many are missing."""
    if screen.height is None or len(lines) <= screen.height:
        return lines
    shown = max(1, screen.height) - 1
    missing = f"{len(lines) - shown} more lines: name the bots that matter, or use a higher window"
    return [*lines[:shown], screen.cut(missing, screen.width or len(missing))]


def _draw(lines: Sequence[str]) -> None:
    # One write, each line cleared behind what is new: the eye never meets an empty screen.
    body = "\n".join(line + _CLEAR_LINE for line in fit_height(lines, find_screen()))
    sys.stdout.write(f"{_HOME}{body}{_CLEAR_BELOW}")
    sys.stdout.flush()


def _wait(seconds: float) -> None:
    """Block so long, or until the window's size changes where that signal is blocked.

    Raises:
        KeyboardInterrupt: Somebody wants it to end.
    """
    ending = {number for number in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(number))}
    # Blocked before the wait begins: a Ctrl-C that came just then would be noticed only after it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        came = signal.sigtimedwait({signal.SIGWINCH, *ending}, seconds)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if came is not None and came.si_signo in ending:
        raise KeyboardInterrupt


@contextmanager
def _own_screen() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    # Blocked, it can be waited for (sigtimedwait(2)), and comes at no other time.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    sys.stdout.write(_ENTER)
    try:
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)
