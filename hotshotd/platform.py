"""The platform port: all that the bot's mind knows of Reddit, or of whatever comes next.

Eleven calls over frozen values, and five errors (`hotshotd.errors.PlatformError`). Nothing here
touches a network. An adapter behind it may block in its own thread; the port is asynchronous, so
that a worker goes on beating while a call is under way. No call sleeps, repeats a write, or
outlives its time limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol

#: Clocks that differ by less count as one, in seconds: an answer may take that long, and so seem to be of another time.
CLOCK_TOLERANCE_SECONDS = 30.0

#: The platform's own name of a thing (on Reddit a fullname such as `t1_abc`); opaque to the mind.
Ref = NewType("Ref", str)


class Kind(StrEnum):
    """What a thing is."""

    SUBMISSION = "submission"
    COMMENT = "comment"
    MESSAGE = "message"


class Reason(StrEnum):
    """Why an unread notice is in the inbox."""

    COMMENT_REPLY = "comment_reply"
    POST_REPLY = "post_reply"
    MENTION = "mention"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a thing. Compare by `key`: names differ in case only for show."""

    name: str

    @property
    def key(self) -> str:
        return self.name.casefold()


@dataclass(frozen=True, slots=True)
class Item:
    """A submission, a comment or a private message, as it was when it was read.

    `created_at` is told by this machine's clock, however far that is from the platform's, to `CLOCK_TOLERANCE_SECONDS`.
    `author` is None where the platform says deleted. `level` is 1 for a top-level comment, 0 for a
    submission, None where a listing does not say. `text` is the body; a submission also has a
    `title`, and a `link` where it is a link post. `link_*` describe the submission that a comment
    stands under, as far as the listing tells.
    """

    ref: Ref
    kind: Kind
    author: Author | None
    text: str
    place: str
    created_at: datetime
    permalink: str = ""
    title: str = ""
    link: str | None = None
    is_picture: bool = False
    parent: Ref | None = None
    submission: Ref | None = None
    submission_author: Author | None = None
    level: int | None = None
    score: int | None = None
    locked: bool = False
    removed: bool = False
    archived: bool = False
    over_18: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """An unread entry of the bot's inbox: the work queue. `done` takes it off."""

    ref: Ref
    reason: Reason
    item: Item


@dataclass(frozen=True, slots=True)
class Thread:
    """A submission and the comments from the top level down to (not including) an item.

    `item` is the comment itself as it is now, where the platform shows it: it may have been edited or locked.
    """

    submission: Item
    levels: tuple[Item, ...]
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is signed in as."""

    name: str
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission to be made. `picture` holds image bytes, never a path or a borrowed address."""

    place: str
    title: str
    text: str = ""
    flair_id: str | None = None
    picture: bytes | None = field(default=None, repr=False)
    picture_name: str = "picture.png"


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest texts the platform takes, in characters."""

    title: int = 300
    submission: int = 40_000
    comment: int = 10_000


class Platform(Protocol):
    """What a bot can do on a platform. Every call may raise `PlatformError`.

    `Retry`: nothing was done, call again after its seconds. `Unknown`: a write's outcome is not
    known. `Refused`: this one thing is refused for good. `AuthDead`: no call will work any more.
    `Down`: the platform is away; reads may be repeated, and nothing was written.
    """

    @property
    def limits(self) -> Limits: ...

    async def whoami(self) -> Identity:
        """Sign in and tell who we are, past every cache."""
        ...

    async def feed(self) -> tuple[Item, ...]:
        """Give what is new in the bot's places since the last call, oldest first.

        The first call gives what the newest page holds. What was given once is not given again;
        when `Retry` or `Down` is raised, nothing is lost for the next call.
        """
        ...

    async def inbox(self) -> tuple[Notice, ...]:
        """Give the unread notices, oldest first; marks nothing."""
        ...

    async def done(self, notices: Sequence[Ref]) -> None:
        """Take notices off the inbox. Harmless when repeated."""
        ...

    async def thread(self, item: Item) -> Thread:
        """Give the submission of a comment and the comments above it, nearest last."""
        ...

    async def own(self, kind: Kind, *, since: datetime | None = None) -> tuple[Item, ...]:
        """Give the bot's own newest comments or submissions, newest first: a hundred, or all since a moment.

        `since` costs a request for each hundred; a thousand is the most.
        """
        ...

    async def reply(self, parent: Item, text: str) -> Ref:
        """Answer a thing. Sent at most once; `Unknown` when nobody can tell whether it arrived."""
        ...

    async def post(self, draft: Draft) -> Ref:
        """Make a submission. Sent at most once, like `reply`."""
        ...

    async def delete(self, ref: Ref) -> None:
        """Delete an own comment or submission. Harmless when repeated."""
        ...

    async def block(self, author: Author) -> None:
        """Never hear from this person again; the platform remembers it. Harmless when repeated."""
        ...

    async def resolve(self, url: str) -> Item:
        """Give the thing that a web address points to; `Refused` when there is none."""
        ...

    def close(self) -> None:
        """Give back sockets and threads; blocks no longer than the call under way."""
        ...
