"""Invented redditors: together they write something every two seconds, mostly to bots.

They use the forum as Reddit's own web page would, not its API. What they do next depends on the
random stream they are given and on what stands in the forum.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from hotshotd.sandbox.forum import Comment, Forum, Refusal, Submission
from hotshotd.sandbox.markov import find_subjects, load_corpus

#: Seconds between two things that the redditors write, all together.
PACE_SECONDS = 2.0

#: How many of the newest things a redditor looks at.
HORIZON = 30

#: The deepest comment that a redditor still answers.
MAX_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Person:
    """One redditor. `shares` weighs what they do; `habit` is what they often begin with."""

    name: str
    habit: str
    shares: Mapping[str, int]


_TALKER = {"post": 2, "answer_bot": 6, "answer_anyone": 2, "mention": 1}
_POSTER = {"post": 5, "answer_bot": 3, "answer_anyone": 1, "mention": 1}
_TROLL = {"post": 1, "answer_bot": 3, "answer_anyone": 1, "rude": 3}

PEOPLE = (
    Person("knitting_for_geese", "I am knitting while I read this.", _TALKER),
    Person("postman_on_foot", "I am on my round, so keep it short.", _TALKER),
    Person("four_in_the_morning", "It is four in the morning here.", _POSTER),
    Person("prof_of_nothing", "Speaking as a retired professor of nothing in particular.", _TALKER),
    Person("source_please", "Source?", {"answer_bot": 5, "answer_anyone": 4, "mention": 1}),
    Person("so_many_bees", "The bees and I have discussed this.", _POSTER),
    Person("mild_mannered_troll", "", _TROLL),
)

Thing = Submission | Comment


class People:
    """The redditors of one subreddit. `act` makes one of them write; `start` does so again and again."""

    def __init__(
        self,
        forum: Forum,
        *,
        subreddit: str,
        bots: Sequence[str],
        chance: random.Random,
        people: Sequence[Person] = PEOPLE,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        self._forum = forum
        self._subreddit = subreddit
        self._bots = tuple(bots)
        self._bot_names = {name.casefold() for name in bots}
        self._chance = chance
        self._people = tuple(people)
        self._pace_seconds = pace_seconds
        self._lines = load_corpus("people")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        for person in self._people:
            forum.add_account(person.name)
        self._acts: dict[str, Callable[[Person], Thing]] = {
            "post": self._post,
            "answer_bot": self._answer_bot,
            "answer_anyone": self._answer_anyone,
            "mention": self._mention,
            "rude": self._insult,
        }

    def act(self) -> Thing | None:
        """Let one redditor write one thing and give it; None if the forum refused it (a locked thread, say)."""
        person = self._chance.choice(self._people)
        (deed,) = self._chance.choices(list(person.shares), weights=list(person.shares.values()))
        try:
            return self._acts[deed](person)
        except Refusal:
            return None

    def start(self) -> None:
        """Write in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._live, name="people", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the one who is writing finish; returns when nobody writes any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        # A refused act is made up for at once: the pace is a promise.
        while not self._stopping.wait(self._pace_seconds):
            for _ in range(5):
                if self.act() is not None:
                    break

    # --- what they do --------------------------------------------------------------------------

    def _post(self, person: Person) -> Submission:
        text = self._pick("posts") if self._chance.random() < 0.7 else ""
        return self._forum.submit(person.name, self._subreddit, self._pick("titles"), self._with_habit(person, text))

    def _answer_bot(self, person: Person) -> Thing:
        return self._answer(person, [thing for thing in self._recent(person) if self._is_bot(thing.author)])

    def _answer_anyone(self, person: Person) -> Thing:
        return self._answer(person, self._recent(person))

    def _answer(self, person: Person, things: Sequence[Thing]) -> Thing:
        if not things:
            return self._post(person)
        chosen = self._choose(things)
        return self._forum.comment(person.name, chosen.fullname, self._with_habit(person, self._make_reply(chosen)))

    def _mention(self, person: Person) -> Thing:
        things = self._recent(person)
        if not things or not self._bots:
            return self._post(person)
        chosen = self._choose(things)
        text = self._fill("mentions", chosen).replace("{bot}", self._chance.choice(self._bots))
        return self._forum.comment(person.name, chosen.fullname, text)

    def _insult(self, person: Person) -> Thing:
        things = [thing for thing in self._recent(person) if self._is_bot(thing.author)]
        if not things:
            return self._post(person)
        chosen = self._choose(things)
        return self._forum.comment(person.name, chosen.fullname, self._fill("rude", chosen))

    # --- how they choose -----------------------------------------------------------------------

    def _recent(self, person: Person) -> list[Thing]:
        """What may still be answered, newest first."""
        comments = islice(self._forum.comments(subreddit=self._subreddit), HORIZON)
        posts = islice(self._forum.submissions(subreddit=self._subreddit), HORIZON // 2)
        found: list[Thing] = [comment for comment in comments if comment.level < MAX_LEVEL]
        found.extend(posts)
        found.sort(key=lambda thing: thing.made_at, reverse=True)
        return [thing for thing in found if thing.author != person.name and not (thing.deleted or thing.removed)]

    def _choose(self, things: Sequence[Thing]) -> Thing:
        # The newest are seen most: the square pulls towards the front of the list.
        return things[int(len(things) * self._chance.random() ** 2)]

    def _is_bot(self, name: str) -> bool:
        return name.casefold() in self._bot_names

    # --- what they say -------------------------------------------------------------------------

    def _pick(self, section: str) -> str:
        return self._chance.choice(self._lines[section])

    def _make_reply(self, thing: Thing) -> str:
        return self._fill("replies", thing) if self._chance.random() < 0.6 else self._pick("comments")

    def _fill(self, section: str, thing: Thing) -> str:
        title = thing.title if isinstance(thing, Submission) else ""
        subjects = find_subjects(f"{title} {thing.text}") or ("that",)
        return self._pick(section).replace("{word}", self._chance.choice(subjects[:4]))

    def _with_habit(self, person: Person, text: str) -> str:
        if not person.habit or self._chance.random() > 0.25:
            return text
        return f"{person.habit} {text}".strip()
