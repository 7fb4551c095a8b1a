"""Whether a reason is true: a thing that must be answered may end without an answer for what was seen, and only so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from hotshotd.brain.verdict import Why
from hotshotd.platform import CLOCK_TOLERANCE_SECONDS, Item, Kind
from simulation.causes import Causes
from simulation.loop import SimClock, SimLoop
from simulation.money import Money
from simulation.seen import KEYWORD, Due, Life, Spoken, is_by, thread_of
from simulation.slots import Slots

#: Reasons with which an item or a post may end without a text, and what must have been seen just before.
_CAUSED: dict[Why, str] = {
    Why.OVER_BUDGET: "over budget",
    Why.KEYWORD: "text with a keyword",
    Why.MODERATION: "text that a moderator refused",
    Why.UNPUBLISHABLE: "text that is none",
    Why.DUPLICATE: "text said before",
    Why.MODEL_REFUSED: "text: refused",
    Why.TOO_LONG: "text: refused",
    Why.REFUSED: "reddit: 403",
}

#: Reasons that may pass, and what must have been seen. For an item there must have been no time for another try, too.
_PASSING: dict[Why, str] = {
    Why.QUOTA_UNAVAILABLE: "quota",
    Why.MODEL_UNAVAILABLE: "text",
    Why.MODEL_GONE: "text",
    Why.PICTURE_UNAVAILABLE: "picture",
    Why.MODERATION_UNAVAILABLE: "moderation",
    Why.RATE_LIMITED: "reddit",
    Why.PLATFORM_DOWN: "reddit",
    Why.UNKNOWN_OUTCOME: "reddit",
}

#: What may eat up the time of an item or a post; it ends with `deadline` where the last of it worked after all.
_SLOW = ("reddit", "text", "moderation", "picture", "rank", "quota")

#: An end for good though it might pass: what was seen, how often at least since the item came, and how many seconds ago
#: at most: after a moderator's refusal another candidate may be judged, by two moderators that take their time.
_HOPELESS = {
    Why.MODEL_UNAVAILABLE: ("text: nonsense", 4, 10.0),
    Why.MODERATION_UNAVAILABLE: ("moderation: refused", 1, 400.0),
}

#: From the cause of an end to that end: what an item or a post may take in all; seconds.
_SAME_ITEM_SECONDS = 1200.0
#: The longest wait for another try: a RATELIMIT of 20 minutes (the scenario's longest); seconds.
_LAST_TRY_SECONDS = 1300.0
#: The text model of every bot.
_TEXT = "hf m"


class Excuses:
    """Judges the reasons that bots give. `above` gives what stands above a thing."""

    def __init__(
        self,
        loop: SimLoop,
        clock: SimClock,
        *,
        zone: str,
        bots: dict[str, Spoken],
        causes: Causes,
        money: Money,
        slots: Slots,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._bots = bots
        self._causes = causes
        self._money = money
        self._slots = slots
        self.above: Callable[[Item], list[Item]] = lambda _item: []

    def count_hopeless(self, bot: str) -> dict[Why, int]:
        """Give how often each cause of an end for good has been seen so far."""
        return {why: self._causes.count(bot, cause) for why, (cause, *_) in _HOPELESS.items()}

    def is_true(self, life: Life, due: Due, why: Why) -> bool:
        """Tell whether a thing may have ended for a reason."""
        if why in _TRUE:
            return _TRUE[why](self, life, due)
        if why in _CAUSED and self._causes.saw(life.bot, _CAUSED[why], within=_SAME_ITEM_SECONDS):
            return True
        if why in _HOPELESS and self._is_hopeless(life, due, why):
            return True
        return self._rest(due) <= _LAST_TRY_SECONDS and self._saw_passing(life.bot, why)

    def _is_hopeless(self, life: Life, due: Due, why: Why) -> bool:
        cause, times, within = _HOPELESS[why]
        seen = self._causes.count(life.bot, cause) - due.before[why]
        return seen >= times and self._causes.saw(life.bot, cause, within=within)

    def _saw_passing(self, bot: str, why: Why) -> bool:
        if why is Why.MODEL_GONE and self._loop.elapsed <= self._causes.gone_until(_TEXT) + _SAME_ITEM_SECONDS:
            return True
        causes = _SLOW if why is Why.DEADLINE else (_PASSING[why],) if why in _PASSING else ()
        return any(self._causes.saw(bot, cause, within=_SAME_ITEM_SECONDS) for cause in causes)

    def _rest(self, due: Due) -> float:
        """Give the seconds that are left for a thing; a clock may be so much ahead that nobody takes note of it."""
        return due.deadline - self._loop.elapsed - CLOCK_TOLERANCE_SECONDS

    def is_true_of_post(self, bot: str, why: Why) -> bool:
        """Tell whether a post may have failed for a reason."""
        if why is Why.MAX_PER_DAY:
            return self._slots.is_full(bot)
        cause = {**_CAUSED, Why.PACE: "pace"}.get(why)
        if cause is not None:
            return self._causes.saw(bot, cause, within=_SAME_ITEM_SECONDS)
        return self._saw_passing(bot, why)

    # -- the truth of reasons ------------------------------------------------------------------------

    def _holds_keyword(self, life: Life, due: Due) -> bool:
        own = self._bots[life.bot].config.reddit.username
        read = [due.item, *(it for it in self.above(due.item) if it.author is None or it.author.name != own)]
        by_model = self._causes.saw(life.bot, _CAUSED[Why.KEYWORD], within=_SAME_ITEM_SECONDS)
        return by_model or any(KEYWORD in f"{it.title} {it.text}" for it in read)

    def _is_old(self, _life: Life, due: Due) -> bool:
        return self._rest(due) <= 0

    def _is_deep(self, life: Life, due: Due) -> bool:
        reply = self._bots[life.bot].config.reply
        assert reply is not None
        return len([it for it in self.above(due.item) if it.kind is Kind.COMMENT]) + 1 > reply.max_levels

    def _is_opted_out(self, life: Life, due: Due) -> bool:
        spoken, author = self._bots[life.bot], due.item.author
        return author is not None and author.key in spoken.opted_out | spoken.said_stop

    def _is_thread_full(self, life: Life, due: Due) -> bool:
        # Answers on their way count as if they were given.
        thread = thread_of(due.item)
        under_way = sum(thread_of(item) == thread for _, item in life.open.values()) - 1
        given = sum(reply.thread == thread for reply in self._bots[life.bot].replies)
        reply = self._bots[life.bot].config.reply
        return reply is not None and given + under_way >= reply.max_per_thread

    def _is_author_full(self, life: Life, due: Due) -> bool:
        author = due.item.author
        if author is None:
            return False
        under_way = sum(is_by(item, author.key) for _, item in life.open.values()) - 1
        # By the machine's clock, which may have been set back since.
        since = self._clock.now() - timedelta(hours=1, minutes=1)
        given = sum(it.author == author.key and it.wall > since for it in self._bots[life.bot].replies)
        reply = self._bots[life.bot].config.reply
        return reply is not None and given + under_way >= reply.max_per_author_hour

    def _is_day_full(self, life: Life, _due: Due) -> bool:
        start = self._clock.now().astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        # By the clock as it was when it was given, or as it is since it was read from Reddit.
        offset = self._clock.offset
        given = sum(max(it.wall, it.true, it.true + offset) >= start for it in self._bots[life.bot].replies)
        reply = self._bots[life.bot].config.reply
        return reply is not None and reply.max_per_day is not None and (given + len(life.open) - 1 >= reply.max_per_day)

    def _is_paced(self, life: Life, due: Due) -> bool:
        """Tell whether a thing's time is over before the pace allows it, which it does when the day ends."""
        midnight = datetime.combine(self._money.note_day() + timedelta(days=1), time(), self._zone)
        seconds = (midnight - self._clock.now()).total_seconds() + 3600.0
        return self._causes.saw(life.bot, "pace", within=_SAME_ITEM_SECONDS) and self._rest(due) <= seconds

    def _is_gone(self, life: Life, due: Due) -> bool:
        """Tell whether a model that refuses for good is not to be asked again in a thing's time."""
        end = self._causes.gone_until(_TEXT) + _SAME_ITEM_SECONDS
        is_last_try = self._rest(due) <= _LAST_TRY_SECONDS and self._saw_passing(life.bot, Why.MODEL_GONE)
        return end >= due.deadline or is_last_try

    def _is_banned(self, life: Life, _due: Due) -> bool:
        return life.forbidden >= 2


#: Reasons that can be told to be true by what is known of a thing. Not among them, for none of them can be true of a
#: thing that is still due here: already_answered (its answer ends that), own, deleted and removed (nobody deletes).
_TRUE: dict[Why, Callable[[Excuses, Life, Due], bool]] = {
    Why.KEYWORD: Excuses._holds_keyword,
    Why.TOO_OLD: Excuses._is_old,
    Why.MAX_LEVELS: Excuses._is_deep,
    Why.OPTED_OUT: Excuses._is_opted_out,
    Why.MAX_PER_THREAD: Excuses._is_thread_full,
    Why.MAX_PER_AUTHOR_HOUR: Excuses._is_author_full,
    Why.MAX_PER_DAY: Excuses._is_day_full,
    Why.PACE: Excuses._is_paced,
    Why.MODEL_GONE: Excuses._is_gone,
    Why.BANNED: Excuses._is_banned,
}
