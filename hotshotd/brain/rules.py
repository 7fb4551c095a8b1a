"""A bot's reply rules, ready for use: keywords compiled, names folded, every duration in seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hotshotd.brain.keywords import Keywords, default_keywords
from hotshotd.config.schema import BotConfig
from hotshotd.platform import Item, Kind

#: Words so long, and so Latin, that hardly anything looks like them by chance.
_DISGUISABLE = re.compile(r"\*?[A-Za-z][A-Za-z' -]{3,}\*?")

#: Accounts that no bot answers, casefolded.
IGNORED_AUTHORS = frozenset({"automoderator", "reddit", "[deleted]"})


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """What decides, before any request is made, whether a thing is answered.

    `own_key` is the account's name, casefolded. Counts are whole numbers, `*_seconds` are seconds,
    `max_per_day` is None for no cap. `negative` counts for what is read. `homes` are the casefolded places where the
    bot may answer; empty: anywhere.
    """

    own_key: str
    followup_only: bool = True
    linkpost_only: bool = False
    force_link_posts: bool = False
    force_top_level: bool = True
    chance: float = 0.1
    keyword_boost: float = 0.1
    max_levels: int = 6
    max_per_thread: int = 10
    max_per_author_hour: int = 10
    max_per_day: int | None = 200
    lookback_seconds: float = 900.0
    inbox_lookback_seconds: float = 86400.0
    inbox_comments: bool = True
    inbox_mentions: bool = True
    inbox_messages: bool = False
    positive: Keywords = field(default_factory=Keywords)
    negative: Keywords = field(default_factory=Keywords)
    homes: frozenset[str] = frozenset()
    ignored_authors: frozenset[str] = IGNORED_AUTHORS

    @classmethod
    def from_config(cls, config: BotConfig) -> ReplyRules:
        """Make the rules of a bot that replies.

        Raises:
            ValueError: If the bot has no `reply:` section, or a `re:` keyword is no good pattern.
        """
        reply = config.reply
        if reply is None:
            raise ValueError(f"{config.name} is post-only: it has no `reply:` section")
        return cls(
            own_key=config.reddit.username.casefold(),
            followup_only=reply.followup_only,
            linkpost_only=bool(reply.linkpost_only),
            force_link_posts=reply.linkpost_only == "force",
            force_top_level=reply.force_top_level,
            chance=reply.chance,
            keyword_boost=reply.keyword_boost,
            max_levels=reply.max_levels,
            max_per_thread=reply.max_per_thread,
            max_per_author_hour=reply.max_per_author_hour,
            max_per_day=reply.max_per_day,
            lookback_seconds=config.poll.lookback,
            inbox_lookback_seconds=config.poll.inbox_lookback,
            inbox_comments=reply.inbox.comments,
            inbox_mentions=reply.inbox.mentions,
            inbox_messages=reply.inbox.messages,
            positive=Keywords.compile(reply.positive_keywords),
            negative=negative_keywords(config) if config.safety.check_incoming else Keywords(),
            homes=frozenset(name.casefold() for name in _list_homes(config)),
        )


def _list_homes(config: BotConfig) -> tuple[str, ...]:
    own_profile = f"u_{config.reddit.username}"
    posts_in = config.post.subreddit if config.post else None
    return (*config.reddit.subreddits, own_profile, *((posts_in,) if posts_in else ()))


def negative_keywords(config: BotConfig) -> Keywords:
    """Give what a bot neither answers nor writes: the built-in list, where it is on, and its own words.

    A word of its own that is long enough is found in disguise as well: a model can be asked to spell around a list.
    """
    words = config.safety.negative_keywords
    disguised = Keywords.compile((word for word in words if _DISGUISABLE.fullmatch(word)), hardened=True)
    own = Keywords.compile(words) + disguised
    return default_keywords() + own if config.safety.default_keywords else own


def level_of(item: Item) -> int | None:
    """Give an item's comment level as far as it tells itself: 0 a submission, 1 top-level, None deeper or unknown."""
    if item.kind is Kind.SUBMISSION:
        return 0
    if item.level is not None:
        return item.level
    return 1 if item.parent is not None and item.parent == item.submission else None


def is_link_post(item: Item) -> bool:
    """Tell whether an item is a submission that shows a link or a picture rather than a text."""
    return item.kind is Kind.SUBMISSION and (item.link is not None or item.is_picture)
