"""The words of the cleaner: what is allowed, what came of a candidate, and why one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Why a candidate can't be published."""

    EMPTY = "empty"
    SPEAKS_AS_AI = "speaks_as_ai"
    REASONING = "reasoning"
    LINK = "link"
    TOO_LONG = "too_long"
    REPETITION = "repetition"
    UNFINISHED = "unfinished"
    UNSTABLE = "unstable"
    RECITES = "recites"


@dataclass(frozen=True, slots=True)
class CleanRules:
    """What counts as publishable.

    `own_names` are what the bot is called (its prefix is taken off), `other_names` those it talks to (the text
    ends where it starts to speak for them). `told` is what the model was told and may not recite, such as the
    backstory. `max_*` are in characters; the caller takes off a footer's before.
    """

    own_names: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    allow_links: bool = False
    allow_mentions: bool = False
    max_title_chars: int = 300
    max_comment_chars: int = 10_000
    max_body_chars: int = 40_000


@dataclass(frozen=True, slots=True)
class Clean:
    """A publishable text, or None and why not (a `Fault`)."""

    text: str | None
    refused: str | None = None


class Unpublishable(Exception):
    """A step's way out of the cleaner's table; never leaves `hotshotd.brain.clean`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


#: Shortens a text (an escape of Markdown may lengthen it), leaves it, or raises `Unpublishable`.
Step = Callable[[str, CleanRules], str]
