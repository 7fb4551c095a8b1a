"""The reckoning: what the servers hold, against the schedules; what the ledger says; what processes have become."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from chaoslib.cast import BotSpec
from chaoslib.measure import Gauge
from chaoslib.promises import Breaches
from chaoslib.records import Records

from hotshotd.sandbox.forum import Forum
from soaklib.night import Night
from soaklib.timetables import EVERY, CalmCast, Slot, list_slots

#: How late a post may be: it is written, moderated and painted first, on a machine on which a second is a minute.
LATE = timedelta(minutes=10)

#: How long before the first slot that counts, and after the last, posts may be made for others.
_MARGIN = timedelta(hours=1)

#: Memory that a process may have gained since its first two hours.
MAX_GROWTH_KB = 2 * 1024

#: A thread that nobody needed before keeps a connection to each of the servers, for the next request.
MAX_MORE_CONNECTIONS = 4

#: Around midnight: a request granted before may arrive after.
_EDGE_SECONDS = 60.0


@dataclass(slots=True)
class Diary:
    """What became of the slots."""

    made: int = 0
    around_change: list[str] = field(default_factory=list)
    latest: timedelta = timedelta(0)


def check_slots(forum: Forum, calm: CalmCast, night: Night, breaches: Breaches) -> Diary:
    """Each slot has exactly one post, made when it was due, and there is no other post."""
    diary = Diary()
    for bot in calm.bots:
        posts = [datetime.fromtimestamp(post.made_at, UTC) for post in reversed(forum.submissions(author=bot.name))]
        if bot.every_seconds:
            _check_distances(bot.name, posts, night, breaches, diary)
        elif timetable := calm.timetables.get(bot.name):
            # The daemon lives before the beginning, and on after the end.
            slots = list_slots(timetable, night.begin - _MARGIN, night.end + _MARGIN, night.zone)
            made = _assign(bot.name, slots, [at for at in posts if at >= night.begin], night, breaches)
            for slot in slots:
                if night.begin <= slot.due < night.end:
                    _check_slot(bot.name, slot, made[slot.due], night, breaches, diary)
    return diary


def _assign(
    name: str, slots: Sequence[Slot], posts: Sequence[datetime], night: Night, breaches: Breaches
) -> Mapping[datetime, list[datetime]]:
    """Give each post to the newest slot before it."""
    made: dict[datetime, list[datetime]] = defaultdict(list)
    for at in posts:
        due = max((slot.due for slot in slots if slot.due <= at), default=None)
        if due is None or at - due > LATE:
            breaches.add("posts without a slot", f"{name} at {_show(at, night)}")
        else:
            made[due].append(at)
    return made


def _check_slot(
    name: str, slot: Slot, times: Sequence[datetime], night: Night, breaches: Breaches, diary: Diary
) -> None:
    shown = ", ".join(_show(at, night) for at in times) or "nothing"
    what = f"{name}, {' and '.join(slot.names)}, due {_show(slot.due, night)}: {shown}"
    if not times:
        breaches.add("slots without a post", what)
        return
    if len(times) > 1:
        breaches.add("slots with two posts", what, count=len(times) - 1)
    diary.made += 1
    diary.latest = max(diary.latest, times[0] - slot.due)
    if abs(slot.due - night.change) <= timedelta(hours=1):
        diary.around_change.append(what)


def _check_distances(name: str, posts: Sequence[datetime], night: Night, breaches: Breaches, diary: Diary) -> None:
    """Of `every`, that none came too soon is asked elsewhere: here, that none came too late."""
    for earlier, later in pairwise([*(posts or [night.begin]), night.end + LATE]):
        if later - earlier > EVERY + 2 * LATE:
            breaches.add("slots without a post", f"{name}: none for {later - earlier} after {_show(earlier, night)}")
        elif later in posts:
            diary.made += 1
            diary.latest = max(diary.latest, later - earlier - EVERY)


def _show(moment: datetime, night: Night) -> str:
    return f"{moment.astimezone(night.zone):%a %H:%M:%S %Z}"


# --- money ------------------------------------------------------------------------------------------


def check_days(
    records: Records, bots: Iterable[BotSpec], *, date_of: Callable[[float], date], breaches: Breaches
) -> dict[tuple[str, date], int]:
    """On no day came more characters with a bot's key than it may spend; give what came."""
    received: Counter[tuple[str, date]] = Counter()
    budgets = {bot.name: bot.budget for bot in bots}
    for sent in records.sent:
        day, before = date_of(sent.at), date_of(sent.at - _EDGE_SECONDS)
        has_room = received[sent.bot, before] + sent.chars <= budgets[sent.bot]
        received[sent.bot, before if has_room else day] += sent.chars
    for (bot, day), chars in received.items():
        if chars > budgets[bot]:
            breaches.add(
                "characters over budget", f"{bot}, {day}: {chars} of {budgets[bot]}", count=chars - budgets[bot]
            )
    return dict(received)


def check_ledger(
    records: Records, spent: Mapping[str, int], *, date_of: Callable[[float], date], today: date, breaches: Breaches
) -> None:
    """What the daemon says was spent on this day is what came on it, from nothing at midnight on."""
    for bot, said in spent.items():
        mine = [sent for sent in records.sent if sent.bot == bot and date_of(sent.at) == today]
        came = sum(sent.chars for sent in mine)
        of_the_edge = sum(sent.chars for sent in mine if date_of(sent.at - _EDGE_SECONDS) != today)
        if not came - of_the_edge <= said <= came:
            breaches.add("ledgers that differ from what came", f"{bot}: {came} came on {today}, the ledger has {said}")


# --- processes --------------------------------------------------------------------------------------


def check_processes(gauge: Gauge, roles: Sequence[str], breaches: Breaches, *, is_whole: bool) -> list[str]:
    """Nobody was replaced; with `is_whole` nobody grew. Give what was measured."""
    facts = []
    lives = Counter(role for role, _ in gauge.looks)
    for role in roles:
        if lives[role] != 1:
            breaches.add("processes that were replaced", f"{role}: {lives[role]} processes")
    growths = {growth.role: growth for growth in gauge.compute_growth()}
    for role in roles if is_whole else ():
        growth = growths.get(role)
        if growth is None:
            breaches.add("processes that were replaced", f"{role}: did not live long enough to be measured")
            continue
        pss, descriptors, connections = growth.pss_kb, growth.descriptors, growth.connections
        facts.append(
            f"{role}: PSS {pss[0]:,} -> {pss[1]:,} kB, descriptors {descriptors[0]} -> {descriptors[1]},"
            f" connections {connections[0]} -> {connections[1]}"
        )
        if pss[1] - pss[0] > MAX_GROWTH_KB:
            breaches.add("processes that grew by more than 2 MB", facts[-1])
        if descriptors[1] > descriptors[0] or connections[1] > connections[0] + MAX_MORE_CONNECTIONS:
            breaches.add("processes with more descriptors", facts[-1])
    return facts


def read_spent(status: Mapping[str, Any]) -> dict[str, int]:
    """Give what the daemon says was spent today, by bot."""
    return {bot["name"]: int(bot["spend"]["characters"]) for bot in status["bots"]}
