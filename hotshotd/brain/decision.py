"""Whether a thing is answered: certainly, by chance, or by what the ranker thinks of it.

Decisions repeat: the draw for a thing comes from a hash of the bot's name and the thing's own
name, so that a restarted bot, or one asked with `try`, decides as it did before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from hotshotd.brain.rules import ReplyRules, is_link_post, level_of
from hotshotd.brain.verdict import Why
from hotshotd.platform import Item, Kind, Reason

WhenUnavailable = Literal["chance", "skip", "always"]

#: Denominator of a draw: a float holds 53 bits exactly, so a draw is never rounded up to 1.
_STEPS = 1 << 53


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to answer, why, and how likely it was before the draw.

    `answer` is None while the ranker has to be asked; then `chance` is what counts without it.
    """

    answer: bool | None
    reason: Why
    chance: float


def unit_draw(bot: str, ref: str) -> float:
    """Give the number in [0, 1) that this bot draws for this thing, always the same one."""
    digest = hashlib.sha256(f"{bot}\0{ref}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / _STEPS


def compute_chance(chance: float, boost: float, hits: int) -> float:
    """Give the chance of an answer: the base, and the boost once per distinct keyword, at most 1."""
    return min(1.0, chance + boost * hits)


def decide(
    item: Item, *, bot: str, rules: ReplyRules, reason: Reason | None = None, on_own_post: bool = False
) -> Decision:
    """Decide as far as it costs nothing.

    Args:
        item: What may be answered.
        bot: The bot's name in its file, not the account's.
        rules: The bot's own.
        reason: Why it is in the inbox; None where it came from a listing.
        on_own_post: Whether the submission above a comment is the bot's.
    """
    forced = _why_forced(item, rules=rules, reason=reason, on_own_post=on_own_post)
    if forced is not None:
        return Decision(True, forced, 1.0)
    chance = compute_chance(rules.chance, rules.keyword_boost, rules.positive.count(f"{item.title}\n{item.text}"))
    if item.kind is Kind.COMMENT and level_of(item) != 1:
        return Decision(None, Why.NEEDS_SCORE, chance)
    return decide_by_chance(chance, draw=unit_draw(bot, item.ref))


def decide_by_chance(chance: float, *, draw: float) -> Decision:
    """Answer where the draw falls below the chance: never at 0, always at 1."""
    return Decision(draw < chance, Why.CHANCE, chance)


def decide_by_score(score: float, min_score: float) -> Decision:
    """Answer what the ranker finds worth it; exactly the least score is enough."""
    if score >= min_score:
        return Decision(True, Why.SCORE, score)
    return Decision(False, Why.LOW_SCORE, score)


def decide_without_score(when: WhenUnavailable, *, chance: float, draw: float) -> Decision:
    """Decide as `when_unavailable` says, for a ranker that is away or not configured."""
    if when == "chance":
        return decide_by_chance(chance, draw=draw)
    if when == "always":
        return Decision(True, Why.ALWAYS, 1.0)
    return Decision(False, Why.RANKER_UNAVAILABLE, 0.0)


def _why_forced(item: Item, *, rules: ReplyRules, reason: Reason | None, on_own_post: bool) -> Why | None:
    if reason is Reason.MENTION:
        return Why.MENTION
    if item.kind is Kind.MESSAGE:
        return Why.MESSAGE
    if rules.force_top_level and on_own_post and item.kind is Kind.COMMENT and level_of(item) == 1:
        return Why.TOP_LEVEL
    if rules.force_link_posts and is_link_post(item):
        return Why.LINK_POST
    return None
