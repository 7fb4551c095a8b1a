"""The local Reddit's state, without HTTP and with a clock of our own."""

from __future__ import annotations

import threading

import pytest
from virtual import HandClock

from hotshotd.sandbox.forum import Event, Forum, Refusal, base36
from hotshotd.sandbox.reddit_auth import Leave, RateMeter, Tokens


@pytest.fixture
def clock() -> HandClock:
    return HandClock(seconds=1000.0)


@pytest.fixture
def forum(clock: HandClock) -> Forum:
    forum = Forum(clock)
    forum.add_subreddit("bots")
    return forum


def kinds(forum: Forum, name: str) -> list[str]:
    """Give the kinds of someone's unread notices, newest first."""
    return [notice.kind for notice, _ in forum.inbox(name, unread=True)]


def test_ids__grow_and_time_never_runs_back(forum: Forum, clock: HandClock) -> None:
    """Ids grow in base 36; `created_utc` is whole seconds and stays when the clock jumps back."""
    first = forum.submit("ann", "bots", "1")
    clock.seconds -= 500.5
    second = forum.submit("ann", "bots", "2")
    assert int(second.id, 36) == int(first.id, 36) + 1
    assert second.created_utc == first.created_utc == int(first.created_utc)
    assert second.made_at < first.made_at


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (36**5, "100000")])
def test_base36(number: int, text: str) -> None:
    """Digits then lower-case letters."""
    assert base36(number) == text


def test_comment__notifies_the_one_answered(forum: Forum) -> None:
    """The author above gets one notice, and nobody notifies themselves."""
    post = forum.submit("Ann", "bots", "t")
    one = forum.comment("bob", post.fullname, "hi u/ann")
    forum.comment("ann", one.fullname, "hello")
    forum.comment("ann", post.fullname, "to myself, u/ann")
    assert kinds(forum, "ann") == ["post_reply"]
    assert kinds(forum, "BOB") == ["comment_reply"]
    assert [comment.level for comment in forum.comments()] == [1, 2, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("u/cat", True),
        ("/u/CAT, look", True),
        ("(u/cat)", True),
        ("http://example.org/u/cat", False),
        ("you/cat", False),
        ("u/cat_2", False),
        ("u/cat u/d1 u/d2", True),
        ("u/cat u/d1 u/d2 u/d3", False),
    ],
)
def test_mention__tells_who_is_named(forum: Forum, text: str, told: bool) -> None:
    """A name in a comment gives a notice, unless more than three are named."""
    forum.add_account("cat")
    forum.comment("bob", forum.submit("ann", "bots", "t").fullname, text)
    assert kinds(forum, "cat") == (["username_mention"] if told else [])


def test_submission__without_sendreplies_stays_quiet(forum: Forum) -> None:
    """Who asked for no inbox replies gets none."""
    forum.comment("bob", forum.submit("ann", "bots", "t", sends_replies=False).fullname, "hi")
    assert kinds(forum, "ann") == []


def test_mark_read__only_what_was_named(forum: Forum) -> None:
    """Read things leave the unread inbox and stay in the inbox."""
    post = forum.submit("ann", "bots", "t")
    first, _ = (forum.comment("bob", post.fullname, text) for text in ("1", "2"))
    forum.mark_read("ANN", (first.fullname, "t1_zzz"))
    assert [thing.text for _, thing in forum.inbox("ann", unread=True)] == ["2"]
    assert len(forum.inbox("ann")) == 2


def test_refusal__leaves_nothing_behind(forum: Forum) -> None:
    """A refused write makes no thing, no notice and no event."""
    post = forum.submit("ann", "bots", "t")
    forum.lock(post.fullname)
    before = forum.events()
    with pytest.raises(Refusal) as caught:
        forum.comment("bob", post.fullname, "hi")
    assert caught.value.error_type == "THREAD_LOCKED"
    assert (forum.comments(), kinds(forum, "ann"), forum.events()) == ((), [], before)


@pytest.mark.parametrize("parent", ["t1_zzz", "t3_zzz", "t4_zzz", "nonsense", ""])
def test_comment__unknown_parent(forum: Forum, parent: str) -> None:
    """There is nothing to answer."""
    with pytest.raises(Refusal) as caught:
        forum.comment("bob", parent, "hi")
    assert caught.value.status == 404


def test_suspended__writes_nothing(forum: Forum) -> None:
    """A suspended account is refused everywhere, until it is let back in."""
    forum.add_account("bot", "pw")
    forum.suspend("bot")
    with pytest.raises(Refusal) as caught:
        forum.submit("Bot", "bots", "t")
    assert caught.value.status == 403
    forum.suspend("bot", suspended=False)
    assert forum.submit("Bot", "bots", "t").author == "bot"


def test_values__are_as_they_were(forum: Forum) -> None:
    """What was handed out does not change; asking again gives the new state."""
    post = forum.submit("ann", "bots", "t")
    forum.vote(post.fullname, -3)
    assert post.score == 1
    now = forum.thing(post.fullname)
    assert now is not None
    assert now.score == -2


def test_subscribe__gets_events_in_order_until_ended(forum: Forum) -> None:
    """A listener hears who wrote what to whom, in order; ending twice is harmless."""
    heard: list[Event] = []
    end = forum.subscribe(heard.append)
    post = forum.submit("ann", "bots", "title", "text")
    forum.comment("bob", post.fullname, "hi")
    end()
    end()
    forum.comment("bob", post.fullname, "unheard")
    assert [(e.what, e.author, e.to, e.title, e.text) for e in heard] == [
        ("submit", "ann", "", "title", "text"),
        ("comment", "bob", "ann", "title", "hi"),
    ]
    assert [e.number for e in forum.events()] == [1, 2, 3]


def test_wait_for__past_and_future_events(forum: Forum) -> None:
    """A past event is found at once; a coming one wakes the waiter; none is a TimeoutError that says what came."""
    post = forum.submit("ann", "bots", "t")
    assert forum.wait_for(lambda e: e.what == "submit").thing == post.fullname
    writer = threading.Thread(target=forum.comment, args=("bob", post.fullname, "hi"))
    writer.start()
    assert forum.wait_for(lambda e: e.what == "comment").text == "hi"
    writer.join()
    with pytest.raises(TimeoutError, match="comment"):
        forum.wait_for(lambda e: e.what == "ban", timeout_seconds=0)


def test_writing__from_many_threads(forum: Forum) -> None:
    """Threads don't lose or double anything."""
    post = forum.submit("ann", "bots", "t").fullname
    threads = [threading.Thread(target=lambda: [forum.comment("bob", post, "x") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({comment.id for comment in forum.comments()}) == forum.comment_count(post) == 200
    assert len(forum.inbox("ann", unread=True)) == 200


def test_tokens__expire(clock: HandClock) -> None:
    """A token is good until its lifetime is over, to the second."""
    tokens = Tokens(lifetime_seconds=3600)
    token = tokens.issue("bot", "app", now=clock.seconds)
    caller = tokens.find(token, now=clock.seconds + 3599.9)
    assert caller is not None
    assert (caller.account, caller.client_id) == ("bot", "app")
    assert tokens.find(token, now=clock.seconds + 3600) is None
    assert tokens.find(None, now=0) is None


def test_tokens__refresh_only_for_their_app() -> None:
    """Another app's refresh token is of no use, nor is a spent code."""
    tokens = Tokens(lifetime_seconds=1)
    leave = Leave("bot", "app")
    refresh, code = tokens.add_refresh("bot", "app"), tokens.add_code(leave)
    assert (tokens.refresh_account(refresh, "app"), tokens.refresh_account(refresh, "other")) == ("bot", None)
    assert (tokens.spend_code(code, "app"), tokens.spend_code(code, "app")) == (leave, None)


def test_rate__window_starts_anew() -> None:
    """Each app has its own count, which starts anew when its window is over."""
    meter = RateMeter(limit=2, window_seconds=600, is_enforced=True)
    assert [meter.count("app", now=0)[0] for _ in range(3)] == [True, True, False]
    assert meter.count("other", now=0)[0]
    within, headers = meter.count("app", now=600)
    assert within
    assert dict(headers) == {
        "x-ratelimit-remaining": "1.0",
        "x-ratelimit-used": "1",
        "x-ratelimit-reset": "600",
    }
