"""Names shared by every layer. Imports nothing of ours."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

#: The name of a bot, as in its file: the key of everything that is kept per bot.
BotName = NewType("BotName", str)

#: A number of Unicode code points, the unit of every budget.
Chars = NewType("Chars", int)


class Outcome(StrEnum):
    """How an item read, or a post due, ended (contract: `item.done`, `post.done`)."""

    REPLIED = "replied"
    PUBLISHED = "published"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"


class Role(StrEnum):
    """What a service is used for."""

    TEXT = "text"
    RANK = "rank"
    MODERATION = "moderation"
    CAPTION = "caption"
    PICTURE = "picture"
    UPSCALE = "upscale"
    TOPIC = "topic"
