"""How an item ended, and why: the one list of reasons that logs, `status` and `try` use.

A reason is a short stable word (contract: `item.done`, `post.done`). Its usual outcome stands in
`OUTCOMES`, so that nobody has to remember whether a word means skipped, rejected or failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hotshotd._types import Outcome


class Why(StrEnum):
    """Every reason that an item or a post can end with. Values are added, never renamed."""

    # Reasons to answer; `chance` and `score` serve both ways.
    MENTION = "mention"
    MESSAGE = "message"
    TOP_LEVEL = "top_level"
    LINK_POST = "link_post"
    CHANCE = "chance"
    SCORE = "score"
    ALWAYS = "always"
    ASKED = "asked"
    SCHEDULED = "scheduled"
    #: Not final: the decision waits for the ranker.
    NEEDS_SCORE = "needs_score"

    # Skipped: nothing wrong with it, the bot does not answer.
    OWN = "own"
    DELETED = "deleted"
    REMOVED = "removed"
    LOCKED = "locked"
    ARCHIVED = "archived"
    IGNORED_AUTHOR = "ignored_author"
    OPTED_OUT = "opted_out"
    TOO_OLD = "too_old"
    ALREADY_ANSWERED = "already_answered"
    INBOX_OFF = "inbox_off"
    FOREIGN_SUBREDDIT = "foreign_subreddit"
    LINKPOST_ONLY = "linkpost_only"
    FOLLOWUP_ONLY = "followup_only"
    MAX_LEVELS = "max_levels"
    EMPTY = "empty"
    OFF_TOPIC = "off_topic"
    AVOIDED_TOPIC = "avoided_topic"
    LOW_SCORE = "low_score"
    RANKER_UNAVAILABLE = "ranker_unavailable"
    TOPIC_UNAVAILABLE = "topic_unavailable"
    MAX_PER_THREAD = "max_per_thread"
    MAX_PER_AUTHOR_HOUR = "max_per_author_hour"
    MAX_PER_DAY = "max_per_day"
    OVER_BUDGET = "over_budget"
    PACE = "pace"
    DRY_RUN = "dry_run"
    BANNED = "banned"
    REPLY_OFF = "reply_off"
    POST_OFF = "post_off"

    # Rejected: a keyword, a moderator or the cleaner refused it.
    KEYWORD = "keyword"
    MODERATION = "moderation"
    UNPUBLISHABLE = "unpublishable"
    DUPLICATE = "duplicate"

    # Failed: no verdict, no answer, no time left.
    MODERATION_UNAVAILABLE = "moderation_unavailable"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_GONE = "model_gone"
    MODEL_REFUSED = "model_refused"
    PICTURE_UNAVAILABLE = "picture_unavailable"
    QUOTA_UNAVAILABLE = "quota_unavailable"
    TOO_LONG = "too_long"
    DEADLINE = "deadline"
    REFUSED = "refused"
    UNKNOWN_OUTCOME = "unknown_outcome"
    RATE_LIMITED = "rate_limited"
    PLATFORM_DOWN = "platform_down"
    ERROR = "error"


_REJECTED = (Why.KEYWORD, Why.MODERATION, Why.UNPUBLISHABLE, Why.DUPLICATE)
_FAILED = (
    Why.MODERATION_UNAVAILABLE,
    Why.MODEL_UNAVAILABLE,
    Why.MODEL_GONE,
    Why.MODEL_REFUSED,
    Why.PICTURE_UNAVAILABLE,
    Why.QUOTA_UNAVAILABLE,
    Why.TOO_LONG,
    Why.DEADLINE,
    Why.REFUSED,
    Why.UNKNOWN_OUTCOME,
    Why.RATE_LIMITED,
    Why.PLATFORM_DOWN,
    Why.ERROR,
)

#: What each reason means when nothing was published.
OUTCOMES: dict[Why, Outcome] = (
    dict.fromkeys(Why, Outcome.SKIPPED)
    | dict.fromkeys(_REJECTED, Outcome.REJECTED)
    | dict.fromkeys(_FAILED, Outcome.FAILED)
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of one item. `detail` is for the operator (the keyword, the moderator's score), never a secret."""

    outcome: Outcome
    why: Why
    detail: str = ""

    @classmethod
    def of(cls, why: Why, *, detail: str = "") -> Verdict:
        """Give the verdict that a reason stands for when nothing was published."""
        return cls(OUTCOMES[why], why, detail)
