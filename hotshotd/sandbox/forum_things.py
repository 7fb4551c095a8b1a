"""What there is on the local Reddit, as frozen values; its refusals; and what it checks before it takes a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from hotshotd.errors import HotshotError

#: Reddit's limits, in characters.
MAX_TITLE, MAX_BODY, MAX_COMMENT = 300, 40_000, 10_000


class Refusal(HotshotError):
    """Reddit would not do it. `error_type` is Reddit's word for it.

    `status` 200 is an error inside a JSON answer; 400, 403 and 404 are answers of their own.
    `fieldname` is the part of the form at fault.
    """

    code = "sandbox_refusal"

    def __init__(self, error_type: str, text: str, *, fieldname: str = "", status: int = 200) -> None:
        super().__init__(f"{error_type}: {text}")
        self.error_type = error_type
        self.text = text
        self.fieldname = fieldname
        self.status = status


def not_found() -> Refusal:
    """Make the refusal for something that is not there."""
    return Refusal("NOT_FOUND", "Not Found", status=404)


def forbidden(reason: str = "") -> Refusal:
    """Make the refusal for something that this account may not do."""
    return Refusal(reason, "Forbidden", status=403)


@dataclass(frozen=True, slots=True)
class Account:
    """Someone who reads and writes. Without a password nobody can sign in as them."""

    name: str
    id: str
    created_utc: float
    password: str = field(default="", repr=False)
    is_suspended: bool = False
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Flair:
    """A link flair that a subreddit offers."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Subreddit:
    """A place. `banned` holds folded names of accounts."""

    name: str
    id: str
    created_utc: float
    is_private: bool = False
    over_18: bool = False
    flair_required: bool = False
    flairs: tuple[Flair, ...] = ()
    banned: frozenset[str] = frozenset()

    @property
    def fullname(self) -> str:
        return f"t5_{self.id}"


@dataclass(frozen=True, slots=True)
class Submission:
    """A post. `made_at` is the exact time in Unix seconds; `created_utc` is whole and never runs back."""

    id: str
    author: str
    subreddit: str
    title: str
    created_utc: float
    made_at: float
    text: str = ""
    url: str | None = None
    is_picture: bool = False
    flair: Flair | None = None
    over_18: bool = False
    spoiler: bool = False
    sends_replies: bool = True
    score: int = 1
    locked: bool = False
    archived: bool = False
    removed: bool = False
    deleted: bool = False
    edited_utc: float | None = None

    @property
    def fullname(self) -> str:
        return f"t3_{self.id}"

    @property
    def slug(self) -> str:
        """The readable end of the permalink."""
        return re.sub(r"[^a-z0-9]+", "_", self.title.casefold()).strip("_")[:50] or "_"

    @property
    def permalink(self) -> str:
        return f"/r/{self.subreddit}/comments/{self.id}/{self.slug}/"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; `parent` and `link` are fullnames, `level` is 1 right under the post."""

    id: str
    author: str
    subreddit: str
    parent: str
    link: str
    text: str
    level: int
    created_utc: float
    made_at: float
    score: int = 1
    locked: bool = False
    removed: bool = False
    deleted: bool = False
    edited_utc: float | None = None

    @property
    def fullname(self) -> str:
        return f"t1_{self.id}"


@dataclass(frozen=True, slots=True)
class Message:
    """A private message; `parent` is the fullname of the one it answers."""

    id: str
    author: str
    to: str
    subject: str
    text: str
    created_utc: float
    made_at: float
    parent: str | None = None

    @property
    def fullname(self) -> str:
        return f"t4_{self.id}"


Thing = Submission | Comment | Message
Written = TypeVar("Written", Submission, Comment)
NoticeKind = Literal["comment_reply", "post_reply", "username_mention", "unknown"]


@dataclass(frozen=True, slots=True)
class Notice:
    """An entry of someone's inbox; `kind` is Reddit's `type`, `unknown` for a private message."""

    thing: str
    kind: NoticeKind
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened. `what` is the name of the method that did it; `to` is who was spoken to."""

    number: int
    what: str
    thing: str = ""
    author: str = ""
    to: str = ""
    subreddit: str = ""
    title: str = ""
    text: str = ""
    at: float = 0.0


def base36(number: int) -> str:
    """Write a number as Reddit writes ids."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"


def check_title(title: str) -> None:
    """Refuse an empty or too long title."""
    if not title.strip():
        raise Refusal("NO_TEXT", "we need something here", fieldname="title")
    if len(title) > MAX_TITLE:
        raise Refusal("TOO_LONG", f"this is too long (max: {MAX_TITLE})", fieldname="title")


def check_text(text: str, *, limit: int, required: bool) -> None:
    """Refuse a text that is too long, or empty where there must be one."""
    if required and not text.strip():
        raise Refusal("NO_TEXT", "we need something here", fieldname="text")
    if len(text) > limit:
        raise Refusal("TOO_LONG", f"this is too long (max: {limit})", fieldname="text")


def check_open(above: Submission | Comment, link: Submission) -> None:
    """Refuse an answer to what is deleted, removed, locked or archived."""
    if link.deleted:
        raise Refusal("DELETED_LINK", "the link you are commenting on has been deleted", fieldname="parent")
    if isinstance(above, Comment) and (above.deleted or above.removed):
        raise Refusal("DELETED_COMMENT", "that comment has been deleted", fieldname="parent")
    if link.locked or above.locked:
        raise Refusal("THREAD_LOCKED", "Comments are locked.", fieldname="parent")
    if link.archived:
        raise Refusal("TOO_OLD", "that's a piece of history now; it's too late to reply to it", fieldname="parent")


def chosen_flair(place: Subreddit, flair_id: str | None) -> Flair | None:
    """Give the flair that a post asks for, and refuse one that is not offered."""
    if flair_id:
        for flair in place.flairs:
            if flair.id == flair_id:
                return flair
        raise Refusal("BAD_FLAIR_TEMPLATE_ID", "this flair template doesn't exist", fieldname="flair_id")
    if place.flair_required:
        raise Refusal(
            "SUBMIT_VALIDATION_FLAIR_REQUIRED", "Your post must contain post flair.", fieldname="flair", status=400
        )
    return None
