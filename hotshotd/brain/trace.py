"""What `try` and `post` show of a decision: a step each, in the order in which it was taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hotshotd.admission import read_bill


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a decision: its name, what came of it, and the characters it was charged."""

    name: str
    text: str
    cost: int = 0


#: Takes each step as it is taken.
Tell = Callable[[Step], None]

#: Shows a step by name and text; what it cost is found out.
Show = Callable[[str, str], None]


def tell_nobody(_: Step) -> None:
    """Show nothing: the bot is at work, and nobody looks."""


def show_nothing(_name: str, _text: str) -> None:
    """Show nothing: the bot is at work, and nobody looks."""


def make_show(tell: Tell) -> Show:
    """Give what shows steps with their cost: what the bill of this context grew by since the step before."""
    last = read_bill()

    def show(name: str, text: str) -> None:
        nonlocal last
        before, last = last, read_bill()
        tell(Step(name, text, last - before))

    return show
