"""Own comments that people want gone: those that fell to a score are deleted, one listing for a hundred of them."""

from __future__ import annotations

from collections.abc import Sequence

from hotshotd.brain.ports import News
from hotshotd.brain.writing import Writer
from hotshotd.errors import Refused, Unknown
from hotshotd.platform import Item, Kind, Platform, Ref


def list_unwanted(own: Sequence[Item], *, at_or_under: int) -> list[Item]:
    """Give the own comments whose score fell to a limit; one whose score is not told stays."""
    return [item for item in own if item.score is not None and item.score <= at_or_under]


async def delete_unwanted(
    platform: Platform, writer: Writer, *, at_or_under: int, deadline: float, news: News
) -> list[Ref]:
    """Read the newest hundred own comments, delete those that fell to the limit, and give their names.

    A deletion whose outcome is unknown, or that is refused, is taken up again by the next call.

    Raises:
        Retry, Down, AuthDead, BotPaused, DeadlinePassed: As `Writer.delete`; what was deleted before it stays so.
    """
    deleted: list[Ref] = []
    for item in list_unwanted(await platform.own(Kind.COMMENT), at_or_under=at_or_under):
        try:
            await writer.delete(item.ref, deadline=deadline)
        except (Refused, Unknown) as exc:
            news.trouble(f"deleting {item.ref}, which fell to {item.score}: {exc}")
            continue
        news.event("comment.deleted", thing=item.ref, score=item.score, place=item.place)
        deleted.append(item.ref)
    return deleted
