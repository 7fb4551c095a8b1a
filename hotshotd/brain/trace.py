"""What `try` and `post` show of a decision: a step each, in the order in which it was taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a decision: its name, what came of it, and the characters it was charged."""

    name: str
    text: str
    cost: int = 0


#: Takes each step as it is taken.
Tell = Callable[[Step], None]


def tell_nobody(_: Step) -> None:
    """Show nothing: the bot is at work, and nobody looks."""
