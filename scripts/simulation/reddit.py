"""A Reddit in memory: listings that lag, inboxes, answers that get lost, a rate, and accounts that can be suspended."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from hotshotd.admission import RateHeaders
from hotshotd.errors import Down, PlatformError, QuotaUnavailable, Refused, Retry, Unknown
from hotshotd.platform import (
    CLOCK_TOLERANCE_SECONDS,
    Author,
    Draft,
    Identity,
    Item,
    Kind,
    Limits,
    Notice,
    Reason,
    Ref,
    Thread,
)
from simulation.loop import Gone, Process, SimClock, SimLoop
from simulation.promises import AMISS_SECONDS, Promises
from simulation.quota import SimQuotaClient

E = TypeVar("E", bound=PlatformError)

#: Things of a listing that are kept, and the page that is shown.
_SHELF, _PAGE = 600, 100
#: Seconds that things are kept for threads.
_KEEP_SECONDS = 60 * 86_400.0
#: Reddit's window.
_WINDOW_SECONDS = 600.0


class Shelf:
    """One listing, oldest first; `first` is the number of its first entry since the beginning."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, Item]] = []
        self.first = 0

    @property
    def end(self) -> int:
        return self.first + len(self.entries)

    def add(self, visible_at: float, item: Item) -> None:
        self.entries.append((visible_at, item))
        if len(self.entries) > 2 * _SHELF:
            del self.entries[:_SHELF]
            self.first += _SHELF

    def get(self, number: int) -> tuple[float, Item]:
        return self.entries[number - self.first]

    def newest(self, now: float, *, limit: int = _PAGE) -> tuple[Item, ...]:
        """Give what a page shows, or several of them, newest first."""
        shown: list[Item] = []
        for visible_at, item in reversed(self.entries):
            if visible_at <= now:
                shown.append(item)
                if len(shown) == limit:
                    break
        return tuple(shown)


@dataclass(slots=True)
class AccountState:
    """An account as Reddit knows it."""

    name: str
    client: str
    suspended: bool = False
    ratelimited_until: float = 0.0
    inbox: dict[Ref, tuple[float, Notice]] = field(default_factory=dict)
    shelves: dict[Kind, Shelf] = field(default_factory=lambda: {Kind.SUBMISSION: Shelf(), Kind.COMMENT: Shelf()})
    blocked: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Rate:
    begun: float = -1e9
    used: int = 0


class Reddit:
    """The site. Writes take effect at a moment of their own, whatever has become of who sent them."""

    def __init__(
        self, loop: SimLoop, clock: SimClock, promises: Promises, *, chance: random.Random, lag: float, limit: int
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.promises = promises
        self.accounts: dict[str, AccountState] = {}
        self.places: dict[str, dict[Kind, Shelf]] = {}
        self.things: dict[Ref, Item] = {}
        self.down_until = 0.0
        self.slow_until = 0.0
        self.read_faults = 0.0
        self.write_faults = 0.0
        self._chance = chance
        self._lag = lag
        self._limit = limit
        self._rates: dict[str, _Rate] = {}
        self._order: deque[tuple[float, Ref]] = deque()
        self._count = 0
        #: Told of each thing that a bot publishes.
        self.on_own: list[Callable[[AccountState, Item], None]] = []

    def add_account(self, name: str, client: str) -> AccountState:
        account = self.accounts[name.casefold()] = AccountState(name, client)
        return account

    def make(
        self, kind: Kind, author: str, place: str, text: str, *, parent: Item | None = None, title: str = ""
    ) -> Item:
        """Take in a thing that somebody wrote just now."""
        self._count += 1
        top = (
            parent
            if parent is None or parent.kind is Kind.SUBMISSION
            else self.things.get(parent.submission or Ref(""))
        )
        item = Item(
            ref=Ref(f"{'t3' if kind is Kind.SUBMISSION else 't1'}_{self._count:x}"),
            kind=kind,
            author=Author(author),
            text=text,
            place=place,
            created_at=self.clock.true_now(),
            title=title,
            parent=parent.ref if parent else None,
            submission=top.ref if top else None,
            submission_author=top.author if top else None,
            score=1,
        )
        self.things[item.ref] = item
        now = self.loop.elapsed
        self._order.append((now, item.ref))
        while self._order and self._order[0][0] < now - _KEEP_SECONDS:
            self.things.pop(self._order.popleft()[1], None)
        visible_at = now + self._chance.uniform(0, self._lag)
        shelves = self.places.setdefault(place, {Kind.SUBMISSION: Shelf(), Kind.COMMENT: Shelf()})
        shelves[kind].add(visible_at, item)
        writer = self.accounts.get(author.casefold())
        if writer is not None:
            writer.shelves[kind].add(visible_at, item)
        self._notify(item, parent, visible_at)
        return item

    def _notify(self, item: Item, parent: Item | None, visible_at: float) -> None:
        told: set[str] = set()
        assert item.author is not None
        if parent is not None and parent.author is not None and parent.author.key in self.accounts:
            reason = Reason.POST_REPLY if parent.kind is Kind.SUBMISSION else Reason.COMMENT_REPLY
            told.add(parent.author.key)
            self._put(self.accounts[parent.author.key], item, reason, visible_at)
        for word in item.text.split():
            key = word.removeprefix("u/").rstrip(".,!?").casefold() if word.startswith("u/") else ""
            if key in self.accounts and key not in told and key != item.author.key:
                told.add(key)
                self._put(self.accounts[key], item, Reason.MENTION, visible_at)

    def _put(self, account: AccountState, item: Item, reason: Reason, visible_at: float) -> None:
        if item.author is not None and item.author.key in (account.name.casefold(), *account.blocked):
            return
        account.inbox[item.ref] = (visible_at, Notice(item.ref, reason, item))
        self.promises.note_notice(account.name, item, reason)

    def take_request(self, client: str) -> RateHeaders | None:
        """Count a request; None when the client id has used its window up."""
        rate = self._rates.setdefault(client, _Rate())
        now = self.loop.elapsed
        if now >= rate.begun + _WINDOW_SECONDS:
            rate.begun, rate.used = now, 0
        if rate.used >= self._limit:
            return None
        rate.used += 1
        return RateHeaders(rate.used, self._limit - rate.used, rate.begun + _WINDOW_SECONDS - now)

    def comment(self, account: AccountState, parent: Item, text: str) -> Ref:
        """Accept a reply."""
        item = self.make(Kind.COMMENT, account.name, parent.place, text, parent=parent)
        self.promises.note_reply(account.name, parent, item)
        self._tell(account, item)
        return item.ref

    def submit(self, account: AccountState, draft: Draft, slot: str) -> Ref:
        """Accept a submission."""
        item = self.make(Kind.SUBMISSION, account.name, draft.place, draft.text, title=draft.title)
        self.promises.note_post(account.name, item, slot, has_picture=draft.picture is not None)
        self._tell(account, item)
        return item.ref

    def list_above(self, item: Item) -> list[Item]:
        """Give what stands above a thing, the nearest first."""
        above: list[Item] = []
        next_up = self.things.get(item.parent or Ref(""))
        while next_up is not None:
            above.append(next_up)
            next_up = self.things.get(next_up.parent or Ref(""))
        return above

    def _tell(self, account: AccountState, item: Item) -> None:
        for tell in self.on_own:
            tell(account, item)


class SimPlatform:
    """`hotshotd.platform.Platform` as one worker process has it."""

    limits = Limits()

    def __init__(
        self,
        site: Reddit,
        account: AccountState,
        process: Process,
        quota: SimQuotaClient,
        *,
        places: Sequence[str],
        chance: random.Random,
        client: str,
    ) -> None:
        self._site = site
        self._account = account
        self._process = process
        self._quota = quota
        self._places = list(places)
        self._chance = chance
        self._client = client
        self._given: dict[tuple[str, Kind], tuple[int, set[int]]] = {}
        self._fed: list[Item] = []
        #: The slot of the post that is being made.
        self.slot = ""
        #: Called when the bot's own submissions were read: with that its start is over.
        self.on_own_read: Callable[[], None] = lambda: None

    def leave(self, place: str) -> None:
        """Read nothing there any more."""
        self._places = [name for name in self._places if name.casefold() != place.casefold()]

    async def whoami(self) -> Identity:
        await self._read("whoami", for_all=True)
        return Identity(self._account.name, suspended=self._account.suspended)

    async def feed(self) -> tuple[Item, ...]:
        self._site.promises.note_poll(self._account.name)
        for _ in Kind.SUBMISSION, Kind.COMMENT:
            await self._read("feed")
        items = [
            item
            for place in self._places
            for kind in (Kind.SUBMISSION, Kind.COMMENT)
            for item in self._take(place, kind)
        ]
        # Whom the account has blocked it does not see.
        items = [item for item in items if item.author is None or item.author.key not in self._account.blocked]
        items.sort(key=lambda item: item.created_at)
        self._fed += items
        return self._tell_times(items)

    def _take(self, place: str, kind: Kind) -> list[Item]:
        shelf = self._site.places.get(place, {}).get(kind)
        if shelf is None:
            return []
        now = self._site.loop.elapsed
        floor, ahead = self._given.get((place, kind), (max(0, shelf.end - _PAGE), set()))
        floor = max(floor, shelf.first)
        new = []
        for number in range(floor, shelf.end):
            visible_at, item = shelf.get(number)
            if number not in ahead and visible_at <= now:
                ahead.add(number)
                new.append(item)
        while floor in ahead:
            ahead.discard(floor)
            floor += 1
        self._given[place, kind] = (floor, ahead)
        return new

    async def inbox(self) -> tuple[Notice, ...]:
        await self._read("inbox")
        now = self._site.loop.elapsed
        notices = tuple(notice for visible_at, notice in self._account.inbox.values() if visible_at <= now)[:_PAGE]
        told = self._tell_times([notice.item for notice in notices])
        # Only now: what the listings gave waits until the inbox can be read.
        given: list[tuple[Item, Reason | None]] = [(item, None) for item in self._fed]
        self._fed = []
        self._site.promises.note_given(self._process, given + [(notice.item, notice.reason) for notice in notices])
        return tuple(replace(notice, item=item) for notice, item in zip(notices, told, strict=True))

    async def done(self, notices: Sequence[Ref]) -> None:
        await self._read("done")
        for ref in notices:
            self._account.inbox.pop(ref, None)
            self._site.promises.note_marked(self._account.name, ref)

    async def thread(self, item: Item) -> Thread:
        await self._read("thread")
        above = self._site.list_above(item)
        if not above or above[-1].kind is not Kind.SUBMISSION:
            raise Refused("the thread is gone", why="not_found")
        *levels, top = self._tell_times(above)
        return Thread(top, tuple(reversed(levels)), item)

    async def own(self, kind: Kind, *, since: datetime | None = None) -> tuple[Item, ...]:
        await self._read("own")
        if kind is Kind.SUBMISSION:
            self._site.loop.call_soon(self.on_own_read, context=_OUTSIDE)
        limit = _PAGE if since is None else 1000
        shown = self._tell_times(self._account.shelves[kind].newest(self._site.loop.elapsed, limit=limit))
        return tuple(
            item for number, item in enumerate(shown) if number < _PAGE or (since and item.created_at >= since)
        )

    async def reply(self, parent: Item, text: str) -> Ref:
        return await self._write(lambda: self._site.comment(self._account, parent, text))

    async def post(self, draft: Draft) -> Ref:
        slot = self.slot
        return await self._write(lambda: self._site.submit(self._account, draft, slot))

    async def delete(self, ref: Ref) -> None:  # noqa: ARG002 - no bot of a run deletes
        await self._read("delete")

    async def block(self, author: Author) -> None:
        await self._read("block")
        self._account.blocked.add(author.key)
        self._account.inbox = {
            ref: entry for ref, entry in self._account.inbox.items() if entry[1].item.author != author
        }
        self._site.promises.note_block(self._account.name, author.key)

    async def resolve(self, url: str) -> Item:
        await self._read("resolve")
        raise Refused(f"nothing at {url}", why="not_found")

    def close(self) -> None:
        """Nothing is open."""

    def _tell_times(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Give things with their times by the machine's clock, as the adapter does."""
        ahead = self._site.clock.offset
        if abs(ahead) < timedelta(seconds=CLOCK_TOLERANCE_SECONDS):
            return tuple(items)
        return tuple(replace(item, created_at=item.created_at + ahead) for item in items)

    # -- a request -----------------------------------------------------------------------------

    def _check_alive(self) -> None:
        if self._process.dead:
            raise Gone

    def _begin(self, *, write: bool) -> None:
        self._check_alive()
        try:
            wait = self._quota.acquire(write=write)
        except QuotaUnavailable as exc:
            # As the adapter does: nothing is written while nobody counts.
            raise self._note(Retry(str(exc), after=5.0)) from exc
        if wait > 0:
            raise self._note(Retry("the shared rate is used up", after=wait))

    def _note(self, error: E) -> E:
        wait = error.after if isinstance(error, Retry) else 0.0
        what = "403" if isinstance(error, Refused) and error.forbidden else error.code
        bot = self._site.promises.get_bot(self._account.name)
        self._site.promises.causes.note_amiss(bot, f"reddit: {what}", seconds=wait + AMISS_SECONDS)
        return error

    def _knock(self) -> RateHeaders:
        headers = self._site.take_request(self._client)
        if headers is None:
            self._site.promises.count("429 of Reddit")
            raise self._note(Retry("429", after=30.0))
        return headers

    async def _wait(self) -> None:
        slow = self._site.slow_until > self._site.loop.elapsed
        await asyncio.sleep(self._chance.uniform(5.0, 15.0) if slow else self._chance.uniform(0.05, 0.6))
        self._check_alive()

    async def _read(self, what: str, *, for_all: bool = False) -> None:
        self._begin(write=False)
        await self._wait()
        site = self._site
        if site.down_until > site.loop.elapsed or self._chance.random() < site.read_faults:
            site.promises.count("failed reads")
            raise self._note(Down(f"{what}: 503"))
        self._quota.observe(self._knock())
        if self._account.suspended and not for_all:
            raise self._note(Refused(f"{what}: 403", why="forbidden", forbidden=True))

    async def _write(self, act: Callable[[], Ref]) -> Ref:
        self._begin(write=True)
        site, now = self._site, self._site.loop.elapsed
        fault = "" if self._chance.random() >= site.write_faults else self._chance.choice(_WRITE_FAULTS)
        if fault == "unreachable":
            await self._wait()
            raise self._note(Down("connection refused"))
        if fault == "vanishes":
            await self._wait()
            site.promises.count("writes lost")
            raise self._note(Unknown("reset before the write arrived"))
        if site.down_until > now:
            await self._wait()
            raise self._note(Unknown("503 to a write"))
        answer: asyncio.Future[Ref] = site.loop.create_future()
        # Outside of this process: what was sent arrives, whoever dies meanwhile.
        site.loop.call_later(self._chance.uniform(0.02, 0.3), self._arrive, act, answer, context=_OUTSIDE)
        self._process.meet("write")
        await self._wait_for(answer)
        if fault == "arrives":
            site.promises.count("answers lost")
            raise self._note(Unknown("reset after the write was accepted"))
        return answer.result()

    async def _wait_for(self, answer: asyncio.Future[Ref]) -> None:
        await asyncio.wait([answer])
        await self._wait()
        if answer.exception() is not None:
            answer.result()

    def _arrive(self, act: Callable[[], Ref], answer: asyncio.Future[Ref]) -> None:
        try:
            self._admit()
            answer.set_result(act())
        except (Retry, Refused) as exc:
            answer.set_exception(exc)
            answer.exception()

    def _admit(self) -> None:
        self._knock()
        if self._account.suspended:
            self._site.promises.note_forbidden(self._process)
            raise self._note(Refused("403", why="forbidden", forbidden=True))
        rest = self._account.ratelimited_until - self._site.loop.elapsed
        if rest > 0:
            self._site.promises.count("RATELIMIT")
            raise self._note(Retry("RATELIMIT: take a break", after=rest + 1.0))


#: What belongs to no process.
_OUTSIDE = Context()

_WRITE_FAULTS = ("unreachable", "vanishes", "arrives", "arrives")
