"""An accountant's view of the ledger, from the design, not from the code: what is sent, what charged, what is left.

It shares no arithmetic with `hotshotd.quota`. Everything is exact but what a kill of the quota process loses: of that
it knows the bounds (`blur`), looks up what it was (`adopt`), and is exact again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

#: As long as TCP repeats what a dead worker has sent, in seconds.
DOUBT = 900.0


@dataclass(frozen=True)
class Rules:
    """What the operator wrote; `budgets` maps a bot to its budget and to whether it is spent evenly."""

    zone: str = "UTC"
    daily: int | None = None
    monthly: int | None = None
    budgets: Mapping[str, tuple[int | None, bool]] = field(default_factory=dict)

    def find_slab(self, bot: str) -> int:
        """The most that one kill may lose of a bot's day."""
        heads = max(1, len(self.budgets))
        parts = [self.budgets.get(bot, (0, False))[0]]
        parts += [None if self.daily is None else self.daily // heads]
        parts += [None if self.monthly is None else self.monthly // heads // 31]
        known = [part for part in parts if part is not None]
        return min(known) // 64 if known else 20_000


@dataclass(frozen=True)
class Debt:
    """A request that a service may bill yet: while it is open, then until a monotonic time."""

    bot: str
    chars: int
    until: float | None = None


def find_day(now: datetime, zone: str) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


def find_start(day: date, zone: str) -> datetime:
    """The first second of a day, found by looking at the calendar, second by second in effect."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    low, high = noon - 172_800, noon + 172_800
    while low < high:
        middle = (low + high) // 2
        if find_day(datetime.fromtimestamp(middle, UTC), zone) < day:
            low = middle + 1
        else:
            high = middle
    return datetime.fromtimestamp(low, UTC)


def find_month(day: date) -> tuple[int, int]:
    return day.year, day.month


def add_up(debts: list[Debt]) -> Counter[str]:
    total: Counter[str] = Counter()
    for debt in debts:
        total[debt.bot] += debt.chars
    return total


@dataclass
class Book:
    """`used` is the day's charge, `earlier` that of the month's earlier days, removed bots included."""

    rules: Rules
    day: date
    used: Counter[str] = field(default_factory=Counter)
    earlier: Counter[str] = field(default_factory=Counter)
    #: What services may bill, by day and bot, and by month: the truth that has to stay within the limits.
    billed: Counter[tuple[date, str]] = field(default_factory=Counter)
    billed_month: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: By permit number; then those told as failed or of a dead worker; then those of earlier lives.
    open: dict[int, Debt] = field(default_factory=dict)
    doubtful: list[Debt] = field(default_factory=list)
    former: list[Debt] = field(default_factory=list)
    #: What the ledger may take for open of earlier lives, and how long it does.
    fog: Counter[str] = field(default_factory=Counter)
    fog_ends: float = 0.0
    #: How much more than here may be charged, today and on the month's earlier days.
    blur: Counter[str] = field(default_factory=Counter)
    blur_earlier: Counter[str] = field(default_factory=Counter)
    #: The largest slab that a bot had on this day; this book as of the last write that may have reached the disk.
    slabs: Counter[str] = field(default_factory=Counter)
    written: Book | None = None

    # --- time -------------------------------------------------------------------------------------

    def turn(self, now: datetime, monotonic: float) -> None:
        """Let time pass."""
        today = find_day(now, self.rules.zone)
        if today > self.day:
            self._begin(today)
        self.doubtful = [debt for debt in self.doubtful if debt.until > monotonic]
        self.former = [debt for debt in self.former if debt.until > monotonic]
        if self.fog_ends <= monotonic:
            self.fog = Counter()

    def _begin(self, today: date) -> None:
        under_way = [*self.open.values(), *self.doubtful, *self.former]
        if find_month(today) == find_month(self.day):
            self.earlier += self.used
            self.blur_earlier += self.blur
        else:
            self.earlier, self.blur_earlier = Counter(), Counter()
            self.billed_month[find_month(today)] += add_up(under_way).total()
        # What is still under way may be billed today, whatever was charged for it yesterday.
        self.used = add_up(under_way)
        self.blur = self.fog - add_up(self.former)
        for bot, chars in self.used.items():
            self.billed[today, bot] += chars
        self.day, self.slabs = today, Counter()
        self._note_slabs()

    def _note_slabs(self) -> None:
        for bot in {*self.rules.budgets, *self.used, *self.fog}:
            self.slabs[bot] = max(self.slabs[bot], self.rules.find_slab(bot))

    # --- what happens -----------------------------------------------------------------------------

    def edit(self, rules: Rules) -> None:
        self.rules = rules
        self._note_slabs()

    def charge(self, bot: str, chars: int, number: int) -> None:
        self.used[bot] += chars
        self.open[number] = Debt(bot, chars)

    def send(self, number: int) -> None:
        """It has left: a service bills it."""
        debt = self.open[number]
        self.billed[self.day, debt.bot] += debt.chars
        self.billed_month[find_month(self.day)] += debt.chars

    def give_back(self, number: int, *, was_sent: bool = True) -> None:
        debt = self.open.pop(number)
        self.used[debt.bot] -= debt.chars
        if was_sent:
            self.billed[self.day, debt.bot] -= debt.chars
            self.billed_month[find_month(self.day)] -= debt.chars

    def close(self, number: int) -> None:
        del self.open[number]

    def doubt(self, number: int, monotonic: float) -> None:
        self.doubtful.append(replace(self.open.pop(number), until=monotonic + DOUBT))

    def orphan(self, monotonic: float) -> None:
        """All workers are gone."""
        for number in list(self.open):
            self.doubt(number, monotonic)

    # --- the disk -----------------------------------------------------------------------------------

    def write(self) -> None:
        """What is charged by now may be on the disk, with a slab on top."""
        self.written = replace(
            self, used=self.used.copy(), earlier=self.earlier.copy(), open=self.open.copy(), doubtful=[*self.doubtful],
            slabs=self.slabs.copy(), written=None,
        )  # fmt: skip

    def die(self, monotonic: float, *, clean: bool = False) -> None:
        """Go back to what the disk knows. A day that it does not know is forgotten: nothing was granted on it."""
        disk = self.written
        slabs = Counter() if clean else disk.slabs
        most = disk.used + slabs
        self.orphan(monotonic)
        self.former += self.doubtful
        if disk.day < self.day:
            known = Counter({bot: self.billed[disk.day, bot] for bot in most})
            self.billed = Counter({key: chars for key, chars in self.billed.items() if key[0] <= disk.day})
            self.billed_month = Counter({m: n for m, n in self.billed_month.items() if m <= find_month(disk.day)})
            self.day, self.used, self.earlier = disk.day, known, disk.earlier.copy()
            self.blur_earlier = Counter()
        self.blur = most - self.used
        self.fog = add_up([*disk.open.values(), *disk.doubtful]) + disk.fog + slabs
        self.doubtful, self.written, self.slabs = [], None, Counter()
        self._note_slabs()

    def revive(self, monotonic: float) -> None:
        """Begin another life, which can't know for how long the last one has been gone."""
        self.fog_ends = monotonic + DOUBT

    def adopt(self, used: Mapping[str, int], earlier: Mapping[str, int]) -> None:
        """Hold the ledger's charges against the book, and take over what only the ledger can know."""
        _check_between(self.used, used, self.blur)
        _check_between(self.earlier, earlier, self.blur_earlier)
        self.used, self.earlier = Counter(used), Counter(earlier)
        self.blur, self.blur_earlier = Counter(), Counter()

    def check_promise(self) -> None:
        """What services may bill is never more than what is charged."""
        for bot in self.used:
            assert self.billed[self.day, bot] <= self.used[bot], (bot, self.day)
        assert self.billed_month[find_month(self.day)] <= self.month

    # --- limits -----------------------------------------------------------------------------------

    @property
    def month(self) -> int:
        return self.earlier.total() + self.used.total()

    def find_left(self, bot: str, now: datetime, *, addressed: bool) -> list[float]:
        """What each limit leaves `bot` at this moment."""
        budget, even = self.rules.budgets[bot]
        limits = {name: limit for name, (limit, _) in self.rules.budgets.items()}
        gone = self._find_gone(now, self.day, self.day + timedelta(days=1))
        left: list[float] = []
        if budget is not None:
            left.append(budget - self.used[bot])
            if even:
                allowed = budget * (0.25 + 0.75 * gone) if addressed else budget * 2 / 3 * min(1.0, gone + 1 / 6)
                left.append(allowed - self.used[bot])
        if self.rules.daily is not None:
            rest = self.rules.daily - self.used.total()
            left.append(rest - _find_kept(bot, self.rules.daily, gone, limits, lambda name: self.used[name]))
        if self.rules.monthly is not None:
            first = self.day.replace(day=1)
            gone = self._find_gone(now, first, (first + timedelta(days=35)).replace(day=1))
            limits = {name: None if limit is None else limit * 31 for name, limit in limits.items()}
            kept = _find_kept(bot, self.rules.monthly, gone, limits, lambda name: self.earlier[name] + self.used[name])
            left.append(self.rules.monthly - self.month - kept)
        return left

    def _find_gone(self, now: datetime, first: date, after: date) -> float:
        start, end = find_start(first, self.rules.zone).timestamp(), find_start(after, self.rules.zone).timestamp()
        return min(1.0, max(0.0, (now.timestamp() - start) / (end - start)))


def _check_between(least: Counter[str], found: Mapping[str, int], more: Counter[str]) -> None:
    for bot in {*least, *found}:
        assert least[bot] <= found.get(bot, 0) <= least[bot] + more[bot], (bot, least, found, more)


def _find_kept(
    bot: str, cap: int, gone: float, limits: Mapping[str, int | None], find_used: Callable[[str], int]
) -> float:
    """What a shared cap keeps for the other bots."""
    share = 0.8 * cap / max(1, sum(limit != 0 for limit in limits.values()))
    floors = {name: share if limit is None else min(share, limit) for name, limit in limits.items() if name != bot}
    return sum(max(0.0, floor * (1 - gone) - find_used(name)) for name, floor in floors.items())
