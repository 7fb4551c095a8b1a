"""The reckoning: what the servers received and hold, against what is promised."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chaoslib.cast import BotSpec
from chaoslib.deeds import Quiet
from chaoslib.records import Published, Records, Sent
from chaoslib.world import STEP_SECONDS, Step
from hotshotd.sandbox.forum import Comment, Forum, Submission
from hotshotd.sandbox.textmodels import is_rude

#: Why an item that must be answered may end without an answer, by the figure that it is counted in.
EXCEPTIONS: Mapping[str, frozenset[str]] = {
    "opted out": frozenset({"opted_out"}),
    "refused by keyword, moderator or cleaner": frozenset({"keyword", "moderation", "unpublishable", "duplicate"}),
    "over budget": frozenset({"over_budget"}),
    "banned": frozenset({"banned", "refused"}),
    "deadline": frozenset({"deadline", "unknown_outcome"}),
}

#: Answers that are none, in every round, end an item: they may have been paid for, and seldom get better.
_NONSENSE = "a model or moderator answered nonsense, again and again"
_NONSENSE_REASONS = frozenset({"model_unavailable", "moderation_unavailable"})
_NONSENSE_DETAIL = re.compile(r"answered (?:200 )?with(?:out)?\b")

#: Seconds in which a request that left before a pause began may still be on its way to a server's thread.
_TRAVEL_SECONDS = 1.5

_UNMODERATED = "unmoderated or rejected texts published"

_MENTION = re.compile(r"(?<![\w/-])/?u/([A-Za-z0-9_-]{2,20})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Due:
    """Something that a bot must answer."""

    bot: str
    thing: str
    made_at: float


@dataclass(slots=True)
class Breaches:
    """What broke, by promise: how much, and details to find the cause."""

    counts: Counter[str] = field(default_factory=Counter)
    details: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, promise: str, detail: str, *, count: int = 1) -> None:
        self.counts[promise] += count
        self.details[promise].append(detail)


@dataclass(slots=True)
class Answers:
    """What became of everything that must be answered."""

    replied: int = 0
    excepted: Counter[str] = field(default_factory=Counter)
    open: list[Due] = field(default_factory=list)


def find_dues(forum: Forum, cast: Sequence[BotSpec]) -> list[Due]:
    """Give all that must be answered: top-level comments of people on bots' posts, and mentions where the bot lives."""
    bots = {bot.name.casefold(): bot for bot in cast}
    found = []
    for comment in forum.comments():
        if comment.author.casefold() in bots:
            continue
        found += [Due(bot.name, comment.fullname, comment.made_at) for bot in _whom_it_calls(forum, comment, bots)]
    return found


def _whom_it_calls(forum: Forum, comment: Comment, bots: Mapping[str, BotSpec]) -> Iterator[BotSpec]:
    post = forum.thing(comment.link)
    owner = bots.get(post.author.casefold()) if isinstance(post, Submission) else None
    if comment.level == 1 and owner is not None:
        yield owner
    for name in dict.fromkeys(name.casefold() for name in _MENTION.findall(comment.text)):
        bot = bots.get(name)
        if bot is not None and bot is not owner and comment.subreddit in bot.homes:
            yield bot


def settle_answers(
    forum: Forum, cast: Sequence[BotSpec], ends: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
) -> Answers:
    """Say of each due thing whether it was answered, ended for a documented reason, or is open."""
    answered = {(comment.author, comment.parent) for bot in cast for comment in forum.comments(author=bot.name)}
    result = Answers()
    for due in find_dues(forum, cast):
        why = _find_exception(ends.get((due.bot, due.thing), ()))
        if (due.bot, due.thing) in answered:
            result.replied += 1
        elif why is not None:
            result.excepted[why] += 1
        else:
            result.open.append(due)
    return result


def _find_exception(ends: Sequence[Mapping[str, Any]]) -> str | None:
    # The last word counts: an earlier worker's end may have been lost with it before anything was marked. But where the
    # clock was stepped meanwhile, a thing that had its end may seem too old when a new worker reads it once more.
    told = [end for end in ends if end["reason"] != "too_old"]
    if not told:
        return None
    last = told[-1]
    if last["reason"] in _NONSENSE_REASONS and _NONSENSE_DETAIL.search(str(last.get("detail"))):
        return _NONSENSE
    return next((name for name, reasons in EXCEPTIONS.items() if last["reason"] in reasons), None)


# --- money ------------------------------------------------------------------------------------------


def check_money(records: Records, cast: Sequence[BotSpec], steps: Sequence[Step], breaches: Breaches) -> dict[str, int]:
    """Compare what came with each key on each day of the daemon with the bot's budget; give what came in all."""
    budgets = {bot.name: bot.budget for bot in cast}
    received: Counter[tuple[str, int]] = Counter()
    days = _find_days(steps)
    for sent in records.sent:
        received[sent.bot, _find_day(days, sent, allow=received, budgets=budgets)] += sent.chars
    for (bot, day), chars in received.items():
        if chars > budgets[bot]:
            breaches.add(
                "characters over budget", f"{bot}, day {day}: {chars} of {budgets[bot]}", count=chars - budgets[bot]
            )
    totals: Counter[str] = Counter()
    for (bot, _), chars in received.items():
        totals[bot] += chars
    return dict(totals)


def _find_days(steps: Sequence[Step]) -> list[tuple[float, int]]:
    """Give when each day of the ledger began: a day that was left does not come back."""
    days, newest = [], -1
    for step in steps:
        day = int((step.offset + 12 * 3600) // 86_400)
        if day > newest:
            newest = day
            days.append((step.at, day))
    return days


def _find_day(
    days: Sequence[tuple[float, int]], sent: Sent, *, allow: Counter[tuple[str, int]], budgets: Mapping[str, int]
) -> int:
    bot, chars, at = sent.bot, sent.chars, sent.at
    day = max(day for begin, day in days if begin <= at or day == days[0][1])
    begin = next(begin for begin, other in days if other == day)
    # Around the step itself a request belongs to the day in which there was room for it.
    is_at_the_edge = day != days[0][1] and at - begin <= STEP_SECONDS + _TRAVEL_SECONDS
    return day - 1 if is_at_the_edge and allow[bot, day - 1] + chars <= budgets[bot] else day


# --- what was published -----------------------------------------------------------------------------


def check_repeats(forum: Forum, cast: Sequence[BotSpec], steps: Sequence[Step], breaches: Breaches) -> None:
    """Nothing is answered twice, no post is made twice, and no slot of a schedule twice."""
    for bot in cast:
        replies = Counter(comment.parent for comment in forum.comments(author=bot.name))
        for parent, times in replies.items():
            if times > 1:
                breaches.add(
                    "duplicate replies and posts", f"{bot.name} answered {parent} {times} times", count=times - 1
                )
        posts = list(reversed(forum.submissions(author=bot.name)))
        titles = Counter(post.title for post in posts)
        for title, times in titles.items():
            if times > 1:
                breaches.add(
                    "duplicate replies and posts", f"{bot.name} posted {title!r} {times} times", count=times - 1
                )
        _check_slots(bot, posts, steps, breaches)


def _check_slots(bot: BotSpec, posts: Sequence[Submission], steps: Sequence[Step], breaches: Breaches) -> None:
    if bot.every_seconds is None or len(steps) > 1:
        return
    for earlier, later in pairwise(posts):
        gap = later.made_at - earlier.made_at
        # The platform tells whole seconds.
        if gap < bot.every_seconds - 1.1:
            breaches.add(
                "duplicate replies and posts", f"{bot.name}: {later.fullname} {gap:.1f} s after {earlier.fullname}"
            )


def check_moderation(records: Records, cast: Sequence[BotSpec], breaches: Breaches) -> None:
    """Every published text was let pass before by every moderator of its bot, and none is rude."""
    bots = {bot.name: bot for bot in cast}
    for published in tuple(records.published):
        bot = bots[published.bot]
        text = _as_judged(published, bot)
        for moderator in bot.moderators:
            if not records.was_passed(moderator, text, before=published.at):
                breaches.add(_UNMODERATED, f"{bot.name} {published.thing}: no pass of {moderator}: {text[:200]!r}")
        if is_rude(text) or "crypto" in text.casefold():
            breaches.add(_UNMODERATED, f"{bot.name} {published.thing}: {text[:200]!r}")


def _as_judged(published: Published, bot: BotSpec) -> str:
    if published.what == "submit":
        return f"{published.title}\n\n{published.text}".strip()
    return published.text.removesuffix(bot.footer).strip() if bot.footer else published.text


def check_quiet(records: Records, quiet: Sequence[Quiet], breaches: Breaches) -> None:
    """A paused bot writes nothing and spends nothing, from when its operator was told so."""
    for pause in quiet:
        begin = pause.begin + _TRAVEL_SECONDS
        sent = sum(sent.chars for sent in records.sent if sent.bot == pause.bot and begin < sent.at < pause.end)
        if sent:
            breaches.add("done while paused", f"{pause.bot} sent {sent} characters")
        for published in records.published:
            if published.bot == pause.bot and begin < published.at < pause.end:
                breaches.add("done while paused", f"{pause.bot} wrote {published.thing}")
