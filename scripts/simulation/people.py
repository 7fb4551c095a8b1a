"""People who write under bots' posts, answer them, mention them, or talk among themselves."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from hotshotd.platform import Item, Kind
from simulation.loop import SimLoop
from simulation.reddit import AccountState, Reddit
from simulation.seen import KEYWORD, STOP
from simulation.services import make_sentence

#: How many people there are at a time.
_PEOPLE = 40
#: How many of those who speak to a bot say stop soon afterwards, and within how many seconds: before it has answered.
_REGRET, _REGRET_SECONDS = 0.03, 240.0


class People:
    """Whoever is not a bot. Times between two of their acts are exponential."""

    def __init__(
        self, site: Reddit, loop: SimLoop, *, a_day: float, chance: random.Random, bots: list[tuple[str, str]]
    ) -> None:
        self._site = site
        self._loop = loop
        self._seconds = 86_400.0 / max(a_day * len(bots), 0.001)
        self._chance = chance
        self._bots = bots
        self._posts: dict[str, deque[Item]] = {name: deque(maxlen=4) for name, _ in bots}
        self._comments: dict[str, deque[Item]] = {name: deque(maxlen=6) for name, _ in bots}
        self._threads: deque[Item] = deque(maxlen=8)
        self._names = [f"reader_{number}" for number in range(_PEOPLE)]
        self._come = _PEOPLE
        self._acts: tuple[tuple[Callable[[str, str], None], float], ...] = (
            (self._comment_on_post, 5),
            (self._answer_comment, 3),
            (self._mention, 1.5),
            (self._post, 1),
            (self._chatter, 1.5),
        )
        site.on_own.append(self._note_own)

    def begin(self) -> None:
        self._loop.call_later(self._chance.expovariate(1 / self._seconds), self._act)

    def _act(self) -> None:
        acts, weights = zip(*self._acts, strict=True)
        self._chance.choices(acts, weights)[0](*self._chance.choice(self._bots))
        self.begin()

    def _note_own(self, account: AccountState, item: Item) -> None:
        (self._posts if item.kind is Kind.SUBMISSION else self._comments)[account.name].append(item)

    def _write(
        self, parent: Item | None, place: str, text: str, kind: Kind = Kind.COMMENT, *, author: str | None = None
    ) -> Item:
        title = make_sentence(self._chance, words=5) if kind is Kind.SUBMISSION else ""
        author = author or self._chance.choice(self._names)
        return self._site.make(kind, author, place, text, parent=parent, title=title)

    def _say(self) -> str:
        kind = self._chance.random()
        text = make_sentence(self._chance, words=8)
        return STOP if kind < 0.003 else f"{KEYWORD}! {text}" if kind < 0.02 else text

    def _speak_to(self, parent: Item) -> None:
        """Write below something of a bot's."""
        item = self._write(parent, parent.place, self._say())
        if self._chance.random() < _REGRET:
            self._loop.call_later(self._chance.uniform(1, _REGRET_SECONDS), self._regret, item, parent)

    def _regret(self, item: Item, parent: Item) -> None:
        """Say stop, and never come back; somebody else comes."""
        assert item.author is not None
        self._write(parent, parent.place, STOP, author=item.author.name)
        if item.author.name in self._names:
            self._names[self._names.index(item.author.name)] = f"reader_{self._come}"
            self._come += 1

    def _comment_on_post(self, bot: str, _place: str) -> None:
        if self._posts[bot]:
            self._speak_to(self._chance.choice(self._posts[bot]))

    def _answer_comment(self, bot: str, _place: str) -> None:
        if self._comments[bot]:
            self._speak_to(self._chance.choice(self._comments[bot]))

    def _mention(self, bot: str, place: str) -> None:
        top = (
            self._chance.choice(self._threads) if self._threads else self._write(None, place, "Hello.", Kind.SUBMISSION)
        )
        self._write(top, top.place, f"What would u/{bot} say? {make_sentence(self._chance)}")

    def _post(self, _bot: str, place: str) -> None:
        self._threads.append(self._write(None, place, self._say(), Kind.SUBMISSION))

    def _chatter(self, _bot: str, place: str) -> None:
        if self._threads:
            top = self._chance.choice(self._threads)
            self._write(top, top.place, self._say())
        else:
            self._post(_bot, place)
