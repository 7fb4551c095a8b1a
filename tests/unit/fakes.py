"""A platform in memory and services that follow a script, for tests of the bot's mind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from virtual import VirtualClock

from hotshotd._types import Chars, Role
from hotshotd.admission import charge
from hotshotd.config.schema import BotConfig
from hotshotd.errors import Unknown
from hotshotd.inference.base import Candidates, Judgement, Picture, Prompt
from hotshotd.platform import Author, Draft, Identity, Item, Kind, Limits, Notice, Ref, Thread

#: A write that arrives although its answer is lost, and one that is lost on its way.
ARRIVES = "arrives"
VANISHES = "vanishes"
WELL = None

Outcome = Exception | str | float | None


class MemoryPlatform:
    """`hotshotd.platform.Platform` over lists. Each call takes the next entry of its script, and is well without one.

    An entry is an error to raise, seconds that the call takes, or for writes ARRIVES or VANISHES (both raise
    Unknown). `calls` holds (seconds, name, what) of every call in order.
    """

    limits = Limits()

    def __init__(self, clock: VirtualClock, *, me: str = "BotName") -> None:
        self._clock = clock
        self._me = Author(me)
        self.script: dict[str, list[Outcome]] = {}
        self.calls: list[tuple[float, str, str]] = []
        self.comments: list[Item] = []
        self.submissions: list[Item] = []
        self.threads: dict[Ref, Thread] = {}
        self.marked: list[Ref] = []
        self.blocked: list[str] = []
        self.found: dict[str, Item] = {}
        self.drafts: list[Draft] = []
        self.deleted: list[Ref] = []

    def times(self, name: str) -> list[float]:
        """Give when a call was made, in seconds from the start."""
        return [when for when, called, _ in self.calls if called == name]

    async def whoami(self) -> Identity:
        await self._step("whoami", "")
        return Identity(self._me.name)

    async def feed(self) -> tuple[Item, ...]:
        await self._step("feed", "")
        return ()

    async def inbox(self) -> tuple[Notice, ...]:
        await self._step("inbox", "")
        return ()

    async def done(self, notices: Sequence[Ref]) -> None:
        await self._step("done", ",".join(notices))
        self.marked.extend(notices)

    async def thread(self, item: Item) -> Thread:
        await self._step("thread", item.ref)
        return self.threads[item.ref]

    async def own(self, kind: Kind, *, since: datetime | None = None) -> tuple[Item, ...]:
        await self._step("own", kind.value)
        return tuple(reversed(self.comments if kind is Kind.COMMENT else self.submissions))

    async def reply(self, parent: Item, text: str) -> Ref:
        def write() -> Ref:
            ref = Ref(f"t1_own{len(self.comments)}")
            made = replace(parent, ref=ref, kind=Kind.COMMENT, author=self._me, text=text, parent=parent.ref)
            self.comments.append(
                replace(made, submission=parent.submission or parent.ref, created_at=self._clock.now())
            )
            return ref

        return await self._write("reply", parent.ref, write)

    async def post(self, draft: Draft) -> Ref:
        def write() -> Ref:
            self.drafts.append(draft)
            ref = Ref(f"t3_own{len(self.submissions)}")
            made = Item(ref, Kind.SUBMISSION, self._me, draft.text, draft.place, self._clock.now(), title=draft.title)
            self.submissions.append(made)
            return ref

        return await self._write("post", draft.title, write)

    async def delete(self, ref: Ref) -> None:
        await self._step("delete", ref)
        self.deleted.append(ref)

    async def block(self, author: Author) -> None:
        await self._step("block", author.name)
        self.blocked.append(author.key)

    async def resolve(self, url: str) -> Item:
        await self._step("resolve", url)
        return self.found[url]

    def close(self) -> None:
        """Nothing is open."""

    async def _step(self, name: str, what: str) -> Outcome:
        self.calls.append((self._clock.monotonic(), name, what))
        entry = self.script[name].pop(0) if self.script.get(name) else WELL
        if isinstance(entry, Exception):
            raise entry
        # At least one turn of the loop, as every call over a network takes.
        await asyncio.sleep(entry if isinstance(entry, float) else 0)
        return entry

    async def _write(self, name: str, what: str, write: Callable[[], Ref]) -> Ref:
        entry = await self._step(name, what)
        if entry == VANISHES:
            raise Unknown("the answer was lost")
        ref = write()
        if entry == ARRIVES:
            raise Unknown("the answer was lost")
        return ref


class ScriptedText:
    """`AsyncText`: gives the script's entries in order (texts, one or several, or an error), the last one for ever."""

    name = "text"
    metered = True

    def __init__(
        self, *script: str | tuple[str, ...] | Exception, seconds: float = 1.0, of_messages: bool = False
    ) -> None:
        self.script = list(script)
        self._seconds = seconds
        self._of_messages = of_messages
        self.prompts: list[Prompt] = []

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        self.prompts.append(prompt)
        await asyncio.sleep(self._seconds)
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        texts = (entry,) if isinstance(entry, str) else entry
        charge(len(prompt.text))
        return Candidates(texts, Chars(len(prompt.text)), "fake", "model", of_messages=self._of_messages)


class ScriptedRanker:
    """`AsyncRanker`: a score by text, or an error for all."""

    name = "ranker"

    def __init__(self, scores: dict[str, float] | Exception) -> None:
        self._scores = scores
        self.asked: list[str] = []

    async def score(self, context: Sequence[str], reply: str) -> float:
        self.asked.append(reply)
        if isinstance(self._scores, Exception):
            raise self._scores
        return self._scores[reply]


class ScriptedModerator:
    """`AsyncModerator`: refuses texts that hold one of the words; raises the script's errors first."""

    def __init__(self, *bad_words: str, errors: Iterable[Exception] = (), name: str = "moderator") -> None:
        self.name = name
        self._bad_words = bad_words
        self._errors = list(errors)
        self.asked: list[str] = []

    async def judge(self, text: str) -> Judgement:
        self.asked.append(text)
        if self._errors:
            raise self._errors.pop(0)
        return Judgement(not any(word in text for word in self._bad_words), self.name, "TOXICITY 0.95")


class ScriptedTopics:
    """`AsyncTopics`: scores by text, or an error for all."""

    name = "topics"

    def __init__(self, scores: dict[str, dict[str, float]] | Exception) -> None:
        self._scores = scores
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def classify(self, text: str, labels: Sequence[str]) -> dict[str, float]:
        self.asked.append((text, tuple(labels)))
        if isinstance(self._scores, Exception):
            raise self._scores
        return self._scores[text]


class ScriptedCaptioner:
    """`AsyncCaptioner`: gives the script's entries in order, or raises them; the last one for ever."""

    name = "captioner"

    def __init__(self, *script: str | Exception) -> None:
        self._script = list(script)
        self.asked: list[str] = []

    async def describe(self, url: str) -> str:
        self.asked.append(url)
        await asyncio.sleep(1.0)
        entry = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(entry, Exception):
            raise entry
        return entry


class ScriptedPictures:
    """`AsyncPainter` and `AsyncUpscaler`: the script's entries in order, the last one for ever."""

    name = "pictures"

    def __init__(self, *script: Picture | Exception) -> None:
        self._script = list(script)
        self.asked: list[str | Picture] = []

    async def paint(self, prompt: str) -> Picture:
        return self._take(prompt)

    async def enlarge(self, picture: Picture) -> Picture:
        return self._take(picture)

    def _take(self, what: str | Picture) -> Picture:
        self.asked.append(what)
        entry = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(entry, Exception):
            raise entry
        return entry


class Diary:
    """`News` that is kept."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.troubles: list[str] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.places: list[str] = []
        self.without: dict[Role, str | None] = {}

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def trouble(self, message: str) -> None:
        self.troubles.append(message)

    def degraded(self, role: Role, *, why: str | None) -> None:
        self.without[role] = why

    def forbidden(self, place: str) -> None:
        self.places.append(place)

    def event(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    def ends(self, event: str) -> list[tuple[object, object]]:
        """Give (outcome, reason) of every event of that name."""
        return [(facts.get("outcome"), facts.get("reason")) for name, facts in self.events if name == event]


def make_config(*, reply: dict[str, Any] | None = None, post: dict[str, Any] | None = None, **rest: Any) -> BotConfig:
    """Give a bot's configuration; what is not said is the default."""
    account = {"username": "BotName", "operator": "me", "subreddits": ["bots"]}
    account |= {"password": "x", "client_id": "x", "client_secret": "x"}
    sections = {name: section for name, section in (("reply", reply), ("post", post)) if section is not None}
    basics = {
        "name": "iama",
        "reddit": account,
        "backstory": "I keep a lighthouse.",
        "safety": {"moderators": ["local"]},
    }
    return BotConfig.model_validate(basics | sections | rest)


def make_comment(clock: VirtualClock, ref: str = "t1_one", **changes: Any) -> Item:
    """Give a top-level comment by alice under the bot's post t3_mine, a minute old."""
    fields: dict[str, Any] = {
        "ref": Ref(ref),
        "kind": Kind.COMMENT,
        "author": Author("alice"),
        "text": "How high is the tower?",
        "place": "bots",
        "created_at": clock.now() - timedelta(minutes=1),
        "parent": Ref("t3_mine"),
        "submission": Ref("t3_mine"),
        "submission_author": Author("BotName"),
    }
    return Item(**(fields | changes))


async def both(*work: Awaitable[Any]) -> list[Any]:
    """Run several things at once; give their results in order."""
    return list(await asyncio.gather(*work))
