"""The bots' READ/WRITE/SPEND lines at the bottom of a terminal, below the log: what `hotshotd run` shows.

The log keeps scrolling in the rows above (DECSTBM, the scroll region); nothing is drawn where there is no terminal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TextIO

from hotshotd.cli.table import format_counters
from hotshotd.loop import Loop
from hotshotd.wire import Json

#: Seconds between two drawings.
REDRAW_SECONDS = 1.0

_SAVE, _RESTORE, _CLEAR = "\x1b7", "\x1b8", "\x1b[2K"

#: Gives the bots of `status`, at once.
Describe = Callable[[], list[Json]]


class BottomLines:
    """Lines that stay. `close` gives the terminal back."""

    def __init__(self, loop: Loop, out: TextIO, describe: Describe) -> None:
        self._loop = loop
        self._out = out
        self._describe = describe
        self._shape = (0, 0, 0)
        loop.on_signal(signal.SIGWINCH, self._draw)
        self._tick()

    def close(self) -> None:
        """Let the whole screen scroll again, with the last lines left where they are."""
        rows, _, height = self._shape
        if height:
            self._write(f"\x1b[r\x1b[{rows};1H\n")

    def _tick(self) -> None:
        self._draw()
        self._loop.call_later(REDRAW_SECONDS, self._tick)

    def _draw(self) -> None:
        size = os.get_terminal_size(self._out.fileno())
        bots = self._describe()[: max(0, size.lines - 3)]
        if not bots:
            return
        shape = (size.lines, size.columns, len(bots))
        text = ""
        if shape != self._shape:
            text, self._shape = self._make_room(shape), shape
        longest = max([0, *(len(bot["name"]) for bot in bots)])
        for place, bot in enumerate(bots):
            line = f"{bot['name'].ljust(longest)}  {bot['state'].ljust(8)}  {format_counters(bot)}"
            text += f"\x1b[{size.lines - len(bots) + 1 + place};1H{_CLEAR}{line[: size.columns]}"
        self._write(f"{_SAVE}{text}{_RESTORE}")

    def _make_room(self, shape: tuple[int, int, int]) -> str:
        """Scroll the log up by the lines that are ours, and keep it out of them."""
        rows, _, height = shape
        # Setting the region moves the cursor home; it is saved first, where the log goes on.
        return f"{_RESTORE}\x1b[r" + "\n" * height + f"\x1b[{height}A{_SAVE}\x1b[1;{rows - height}r"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
