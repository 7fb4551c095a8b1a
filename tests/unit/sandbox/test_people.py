"""The invented redditors."""

from __future__ import annotations

import random
import threading
from collections import Counter

from hotshotd.sandbox.forum import Comment, Forum, Submission
from hotshotd.sandbox.people import PEOPLE, People
from hotshotd.sandbox.textmodels import is_rude

BOT = "SomeBot"


def make_people(*, seed: int = 1, **more: float) -> tuple[Forum, People]:
    forum = Forum()
    forum.add_subreddit("Sand")
    forum.add_account(BOT)
    people = People(forum, subreddit="Sand", bots=[BOT], chance=random.Random(seed), **more)  # type: ignore[arg-type]
    return forum, people


def written(forum: Forum) -> list[tuple[str, str, str]]:
    return [(event.author, event.title, event.text) for event in forum.events()]


def test_people__are_at_least_five() -> None:
    """The sandbox promises five redditors; each has a name of its own."""
    assert len({person.name for person in PEOPLE}) >= 5


def test_act__posts_when_there_is_nothing_to_answer() -> None:
    """The first thing in an empty subreddit is a post."""
    _, people = make_people()
    assert isinstance(people.act(), Submission)


def test_act__repeats_with_its_seed() -> None:
    """The same seed gives the same people, words and threads."""
    texts = []
    for seed in (7, 7, 8):
        forum, people = make_people(seed=seed)
        for _ in range(30):
            people.act()
        texts.append(written(forum))
    assert texts[0] == texts[1] != texts[2]


def test_act__writes_to_bots_and_people_and_now_and_then_rudely() -> None:
    """Bots are answered most; people answer each other, mention bots, and some are rude."""
    forum, people = make_people()
    forum.submit(BOT, "Sand", "A post of the bot", "It is about a goat.")
    for n in range(200):
        made = people.act()
        if n % 4 == 0 and isinstance(made, Comment):
            forum.comment(BOT, made.fullname, "The bot says that the stairs are long.")
    seen = Counter(event.to for event in forum.events() if event.what == "comment" and event.author != BOT)
    assert seen[BOT] == max(seen.values())
    assert len(seen) > 5
    comments = [comment for comment in forum.comments() if comment.author != BOT]
    assert any(f"u/{BOT}" in comment.text for comment in comments)
    assert 0 < sum(is_rude(comment.text) for comment in comments) < len(comments) / 4
    assert not any("{" in comment.text for comment in comments)


def test_act__nobody_answers_themselves_or_too_deep() -> None:
    """A person's comment stands under somebody else's thing, at level six at most."""
    forum, people = make_people()
    for _ in range(300):
        people.act()
    for comment in forum.comments():
        above = forum.thing(comment.parent)
        assert above is not None
        assert above.author != comment.author
        assert comment.level <= 6


def test_act__gives_none_where_the_forum_refuses() -> None:
    """A locked thread is no error: the person writes nothing."""
    forum, people = make_people()
    forum.lock(forum.submit(BOT, "Sand", "Locked").fullname)
    made = [people.act() for _ in range(40)]
    assert None in made


def test_stop__returns_when_nobody_writes_any_more() -> None:
    """Somebody writes at the pace until `stop`, and its thread is gone when that returns."""
    forum, people = make_people(pace_seconds=0.001)
    people.start()
    forum.wait_for(lambda event: event.number > 10)
    people.stop()
    assert not any(thread.name == "people" for thread in threading.enumerate())
