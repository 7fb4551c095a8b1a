"""The free checks of an item, in order: the first that refuses names the reason.

Two tables: `BEFORE_THREAD` needs only what a listing tells; `AFTER_THREAD` needs the submission and
the comments above. A filter that cannot tell yet lets the item pass: the later table asks again.
None of them makes a request or reads a clock.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from hotshotd.brain.rules import ReplyRules, is_link_post, level_of
from hotshotd.brain.verdict import Why
from hotshotd.platform import Author, Item, Kind, Notice, Reason, Ref, Thread

#: A user's name in running text: it may hold any word and says nothing about the text (ssi-bot#41).
_USER_NAME = re.compile(r"(?<![\w/])/?u/[\w-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item and what is known about it.

    `now` is aware. `reason` is None for an item of a listing. `answered` holds what the bot's own
    newest comments answer, `own` the names of what it wrote itself. `ignored` are further authors
    (casefolded) that asked to be left alone, `banned` places (casefolded) that want the bot gone. `thread` is
    None until it was fetched.
    """

    item: Item
    now: datetime
    reason: Reason | None = None
    answered: Collection[Ref] = ()
    own: Collection[Ref] = ()
    ignored: Collection[str] = ()
    banned: Collection[str] = ()
    thread: Thread | None = None

    @classmethod
    def of_notice(cls, notice: Notice, *, now: datetime) -> ItemView:
        """View what an inbox entry is about."""
        return cls(notice.item, now, notice.reason)

    def with_thread(self, thread: Thread) -> ItemView:
        """Give the view with what stands above the item, and with the item as it is now."""
        now = thread.item
        if now is None:
            return replace(self, thread=thread)
        fresh = replace(
            self.item, author=now.author, text=now.text, locked=now.locked, removed=now.removed, archived=now.archived
        )
        return replace(self, item=fresh, thread=thread)


Filter = Callable[[ItemView, ReplyRules], Why | None]


def is_own(author: Author | None, rules: ReplyRules) -> bool:
    """Tell whether the bot's account wrote something."""
    return author is not None and author.key == rules.own_key


def find_refusals(view: ItemView, rules: ReplyRules, *, table: tuple[Filter, ...]) -> Iterator[Why]:
    """Give the reasons of the filters that refuse the item, as they are asked; none: go on."""
    return (why for check in table if (why := check(view, rules)) is not None)


def on_own_post(view: ItemView, rules: ReplyRules) -> bool:
    """Tell whether the item is a comment under one of the bot's submissions, as far as is known."""
    item = view.item
    if view.thread is not None:
        return is_own(view.thread.submission.author, rules)
    # The inbox says so of a post that was made a moment ago, whose name nobody here has noted yet.
    if view.reason is Reason.POST_REPLY:
        return True
    return is_own(item.submission_author, rules) or (item.submission is not None and item.submission in view.own)


def found_keyword(view: ItemView, rules: ReplyRules) -> str | None:
    """Give the negative keyword that stands in what is read: the item, and what is known above it."""
    for text in _texts_read(view, rules):
        word = rules.negative.find(_USER_NAME.sub(" ", text))
        if word is not None:
            return word
    return None


def _texts_read(view: ItemView, rules: ReplyRules) -> Iterator[str]:
    above = () if view.thread is None else (view.thread.submission, *view.thread.levels[-rules.max_levels :])
    for item in (view.item, *above):
        if item is view.item or not is_own(item.author, rules):
            yield f"{item.title}\n{item.text}"


def has_words(text: str) -> bool:
    """Tell whether a text holds anything to be seen: no-width characters alone do not count."""
    return any(not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc") for char in text)


def _refuse_own(view: ItemView, rules: ReplyRules) -> Why | None:
    own = is_own(view.item.author, rules) or view.item.ref in view.own
    return Why.OWN if own else None


def _refuse_deleted(view: ItemView, _: ReplyRules) -> Why | None:
    gone = view.item.author is None or view.item.text.strip() == "[deleted]"
    return Why.DELETED if gone else None


def _refuse_removed(view: ItemView, _: ReplyRules) -> Why | None:
    # What its author deleted is marked as removed as well, and what a moderator removed has lost its author.
    text = view.item.text.strip()
    gone = text == "[removed]" or (view.item.removed and text != "[deleted]")
    return Why.REMOVED if gone else None


def _refuse_locked(view: ItemView, _: ReplyRules) -> Why | None:
    return Why.LOCKED if view.item.locked else None


def _refuse_archived(view: ItemView, _: ReplyRules) -> Why | None:
    return Why.ARCHIVED if view.item.archived else None


def _refuse_ignored(view: ItemView, rules: ReplyRules) -> Why | None:
    author = view.item.author
    if author is None:
        return None
    if author.key in rules.ignored_authors:
        return Why.IGNORED_AUTHOR
    return Why.OPTED_OUT if author.key in view.ignored else None


def _refuse_inbox_off(view: ItemView, rules: ReplyRules) -> Why | None:
    if view.reason is None:
        return None
    wanted = {
        Reason.COMMENT_REPLY: rules.inbox_comments,
        Reason.POST_REPLY: rules.inbox_comments,
        Reason.MENTION: rules.inbox_mentions,
        Reason.MESSAGE: rules.inbox_messages,
    }
    return None if wanted[view.reason] else Why.INBOX_OFF


def _refuse_foreign(view: ItemView, rules: ReplyRules) -> Why | None:
    # A mention may come from anywhere; only the operator knows which places welcome a bot.
    place = view.item.place.casefold()
    return Why.FOREIGN_SUBREDDIT if place and rules.homes and place not in rules.homes else None


def _refuse_banned(view: ItemView, _: ReplyRules) -> Why | None:
    return Why.BANNED if view.item.place.casefold() in view.banned else None


def _refuse_old(view: ItemView, rules: ReplyRules) -> Why | None:
    limit = rules.lookback_seconds if view.reason is None else rules.inbox_lookback_seconds
    age = (view.now - view.item.created_at).total_seconds()
    return Why.TOO_OLD if age > limit else None


def _refuse_answered(view: ItemView, _: ReplyRules) -> Why | None:
    return Why.ALREADY_ANSWERED if view.item.ref in view.answered else None


def _refuse_strangers(view: ItemView, rules: ReplyRules) -> Why | None:
    item = view.item
    # `linkpost_only: force` asks for every link post, strangers' too.
    if not rules.followup_only or view.reason is not None or (rules.force_link_posts and is_link_post(item)):
        return None
    spoke_to_us = item.parent is not None and item.parent in view.own
    return None if spoke_to_us or (level_of(item) == 1 and on_own_post(view, rules)) else Why.FOLLOWUP_ONLY


def _refuse_text_post(view: ItemView, rules: ReplyRules) -> Why | None:
    if not rules.linkpost_only or view.item.kind is Kind.MESSAGE:
        return None
    top = view.item if view.item.kind is Kind.SUBMISSION else view.thread.submission if view.thread else None
    return None if top is None or is_link_post(top) else Why.LINKPOST_ONLY


def _refuse_deep(view: ItemView, rules: ReplyRules) -> Why | None:
    level = level_of(view.item)
    if level is None and view.thread is not None:
        level = len(view.thread.levels) + 1
    if view.item.kind is not Kind.COMMENT or level is None:
        return None
    return Why.MAX_LEVELS if level > rules.max_levels else None


def _refuse_empty(view: ItemView, _: ReplyRules) -> Why | None:
    item = view.item
    return None if has_words(item.text) or has_words(item.title) or item.link else Why.EMPTY


def _refuse_keyword(view: ItemView, rules: ReplyRules) -> Why | None:
    return Why.KEYWORD if found_keyword(view, rules) is not None else None


def _refuse_closed_thread(view: ItemView, _: ReplyRules) -> Why | None:
    if view.thread is None:
        return None
    top = view.thread.submission
    closed = ((top.removed, Why.REMOVED), (top.locked, Why.LOCKED), (top.archived, Why.ARCHIVED))
    return next((why for is_so, why in closed if is_so), None)


#: With what the listing told. Facts first, then the operator's wishes; keywords last: they cost most.
BEFORE_THREAD: tuple[Filter, ...] = (
    _refuse_own,
    _refuse_removed,
    _refuse_deleted,
    _refuse_locked,
    _refuse_archived,
    _refuse_ignored,
    _refuse_inbox_off,
    _refuse_foreign,
    _refuse_banned,
    _refuse_old,
    _refuse_answered,
    _refuse_strangers,
    _refuse_text_post,
    _refuse_deep,
    _refuse_empty,
    _refuse_keyword,
)

#: Once the submission and the comments above are known.
AFTER_THREAD: tuple[Filter, ...] = (
    _refuse_removed,
    _refuse_deleted,
    _refuse_locked,
    _refuse_closed_thread,
    _refuse_text_post,
    _refuse_deep,
    _refuse_keyword,
)
