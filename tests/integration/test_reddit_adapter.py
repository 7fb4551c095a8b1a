"""The Reddit adapter with the real PRAW, over real HTTP, against the local Reddit and its faults."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import CapturingLogger

import hotshotd
from hotshotd.admission import RateHeaders
from hotshotd.clock import SystemClock
from hotshotd.errors import AuthDead, Down, PlatformError, QuotaUnavailable, Refused, Retry, Unknown
from hotshotd.platform import Author, Draft, Identity, Item, Kind, Reason, Ref
from hotshotd.reddit.account import AccountCredentials, Sites
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.reddit.requestor import CallLimits
from hotshotd.sandbox.faults import Action, Plan, Rule, When
from hotshotd.sandbox.forum import Comment, Forum, Submission
from hotshotd.sandbox.reddit import RateMeter, RedditServer

BOT, PASSWORD, APP, SECRET = "pond-bot", "hunter2", "app", "app-secret"
SHORT = CallLimits(connect_seconds=0.5, read_seconds=0.4, max_bytes=1024 * 1024)
TOKEN_PATH = "/api/v1/access_token"

T = TypeVar("T")


class FreePace:
    """A pace that allows everything unless told to wait, and remembers what it heard."""

    def __init__(self) -> None:
        self.wait_seconds = 0.0
        self.error: Exception | None = None
        self.taken: list[bool] = []
        self.heard: list[RateHeaders] = []

    def acquire(self, *, write: bool) -> float:
        if self.error is not None:
            raise self.error
        if not self.wait_seconds:
            self.taken.append(write)
        return self.wait_seconds

    def observe(self, headers: RateHeaders) -> None:
        self.heard.append(headers)

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:
        return interval_seconds * max(1, requests_per_poll // 100)


class World:
    """A local Reddit with two subreddits, people and one bot, and adapters for that bot."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.forum = Forum()
        self.forum.add_client(APP, SECRET)
        for name in ("ann", "bob"):
            self.forum.add_account(name)
        self.forum.add_account(BOT, PASSWORD)
        for place in ("pond", "lake"):
            self.forum.add_subreddit(place, flairs=("news",))
        self.plan = Plan()
        self.server = RedditServer(self.forum, plan=self.plan)
        self.pace = FreePace()
        self.log = CapturingLogger()
        self.unreadable: list[tuple[str, bool]] = []
        self.refresh_tokens: list[str] = []
        self._made: list[RedditPlatform] = []

    def platform(self, **changes: Any) -> RedditPlatform:
        """Make an adapter; `changes` go to the account or the adapter, by name."""
        account = {"username": BOT, "client_id": APP, "client_secret": SECRET, "password": PASSWORD}
        account |= {key: changes.pop(key) for key in list(changes) if key in (*account, "refresh_token")}
        settings: dict[str, Any] = {
            "sites": Sites(self.server.base_url, self.server.base_url),
            "subreddits": ("pond", "lake"),
            "operator": "op",
            "pace": self.pace,
            "clock": SystemClock(),
            "log": self.log,
            "call_limits": SHORT,
            "on_unreadable": lambda place, why: self.unreadable.append((place, why is None)),
            "on_refresh_token": self.refresh_tokens.append,
        }
        made = RedditPlatform(AccountCredentials(**account), **(settings | changes))
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()
        self.server.stop()
        assert self.server.http.failures == []

    def requests(self) -> list[tuple[str, str]]:
        """Give method and path of each API request so far, sign-ins left out."""
        log = self.server.log.requests()
        return [(request.method, request.path) for request in log if request.path != TOKEN_PATH]

    def sign_ins(self) -> int:
        return len(self.server.log.requests(f"^{TOKEN_PATH}$"))

    def fault(self, action: Action, path: str, **more: Any) -> None:
        self.plan.add(Rule(action, path=path, **more))


@pytest.fixture(autouse=True)
def nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No call may sleep in the adapter's thread, neither ours nor PRAW's."""
    sleep, slept = time.sleep, []

    def watched(seconds: float) -> None:
        if not threading.current_thread().name.startswith("reddit_"):
            sleep(seconds)
        else:
            slept.append(seconds)

    monkeypatch.setattr(time, "sleep", watched)
    yield
    assert slept == []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.server.start()
    yield made
    made.close()


def run(call: Awaitable[T]) -> T:
    async def within_time() -> T:
        return await asyncio.wait_for(call, 20)

    return asyncio.run(within_time())


def fail(call: Awaitable[Any], kind: type[PlatformError]) -> Any:
    """Run a call that must raise exactly `kind`; give the error."""
    with pytest.raises(PlatformError) as caught:
        run(call)
    assert type(caught.value) is kind, repr(caught.value)
    assert PASSWORD not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


def as_item(thing: Submission | Comment) -> Item:
    kind = Kind.COMMENT if isinstance(thing, Comment) else Kind.SUBMISSION
    return Item(Ref(thing.fullname), kind, Author(thing.author), thing.text, thing.subreddit, SystemClock().now())


# Reading


def test_poll__costs_three_requests(world: World) -> None:
    """Two listings and the inbox, after one sign-in, whatever the number of subreddits."""
    platform = world.platform()
    run(platform.feed())
    run(platform.inbox())
    world.server.log.clear()
    for _ in range(3):
        run(platform.feed())
        run(platform.inbox())
    assert (
        world.requests()
        == [
            ("GET", "/r/pond+lake/new"),
            ("GET", "/r/pond+lake/comments/"),
            ("GET", "/message/unread/"),
        ]
        * 3
    )
    assert world.sign_ins() == 0
    assert platform.requests_per_poll == 3


def test_poll__of_a_bot_that_reads_posts_only_costs_two(world: World) -> None:
    """A listing that nobody needs is not asked for."""
    platform = world.platform(reads_comments=False)
    run(platform.feed())
    run(platform.inbox())
    assert [path for _, path in world.requests()] == ["/r/pond+lake/new", "/message/unread/"]
    assert platform.requests_per_poll == 2


def test_requests__carry_our_user_agent_and_raw_json(world: World) -> None:
    """Reddit's rules want the operator's name; texts come without HTML entities."""
    world.forum.submit("ann", "pond", "a < b & c", "x")
    assert run(world.platform().feed())[0].title == "a < b & c"
    request = world.server.log.requests("/new")[0]
    assert "(by /u/op) for /u/pond-bot" in request.headers["user-agent"]
    assert request.params["raw_json"] == "1"


def test_connection__is_kept_alive(world: World) -> None:
    """Twenty polls use one connection besides the sign-in's."""
    platform = world.platform()
    made: list[Any] = []
    accept = world.server.http._accept

    def counting(listener: socket.socket) -> None:
        made.append(listener)
        accept(listener)

    world.server.http._accept = counting  # type: ignore[method-assign]
    for _ in range(20):
        run(platform.feed())
    assert len(made) == 2


def test_feed__gives_posts_and_comments_once_oldest_first(world: World) -> None:
    """What is new in both places since the last call."""
    platform = world.platform()
    first = world.forum.submit("ann", "pond", "first", "x")
    assert [item.ref for item in run(platform.feed())] == [first.fullname]
    comment = world.forum.comment("bob", first.fullname, "hello")
    deeper = world.forum.comment("ann", comment.fullname, "hi")
    second = world.forum.submit("bob", "lake", "second", url="https://example.org/x.png")
    items = {item.ref: item for item in run(platform.feed())}
    assert set(items) == {comment.fullname, deeper.fullname, second.fullname}
    assert items[Ref(comment.fullname)].level == 1
    assert items[Ref(comment.fullname)].submission_author == Author("ann")
    assert items[Ref(second.fullname)].is_picture
    assert run(platform.feed()) == ()


def test_feed__burst_is_found_whole(world: World) -> None:
    """250 comments between two polls: two more pages."""
    platform = world.platform()
    post = world.forum.submit("ann", "pond", "first", "x")
    world.forum.comment("ann", post.fullname, "seen")
    run(platform.feed())
    made = [world.forum.comment("bob", post.fullname, f"c{n}").fullname for n in range(250)]
    world.server.log.clear()
    assert [item.ref for item in run(platform.feed())] == made
    assert len(world.requests()) == 4


def test_feed__after_an_outage_nothing_is_lost(world: World) -> None:
    """The comments listing fails after the posts were read: the next call gives both."""
    platform = world.platform()
    run(platform.feed())
    post = world.forum.submit("ann", "pond", "t", "x")
    comment = world.forum.comment("bob", post.fullname, "c")
    world.fault(Action.STATUS, "/r/*/comments*", status=503, count=1)
    fail(platform.feed(), Down)
    assert {item.ref for item in run(platform.feed())} == {post.fullname, comment.fullname}


def test_feed__place_that_is_private_or_missing_is_left_out(world: World) -> None:
    """Together they are refused; each is asked once; the rest is read; a redirect means that it does not exist."""
    world.forum.add_subreddit("cave", is_private=True)
    world.fault(Action.STATUS, "/r/pond+cave+nowhere/*", status=403)
    platform = world.platform(subreddits=("pond", "cave", "nowhere"))
    post = world.forum.submit("ann", "pond", "t", "x")
    assert [item.ref for item in run(platform.feed())] == [post.fullname]
    assert world.unreadable == [("cave", False), ("nowhere", False)]
    world.server.log.clear()
    run(platform.feed())
    assert [path for _, path in world.requests()] == ["/r/pond/new", "/r/pond/comments/"]


def test_feed__lone_private_place_gives_nothing_and_says_so(world: World) -> None:
    """A bot whose only place is closed goes on without asking all the time."""
    world.forum.add_subreddit("cave", is_private=True)
    platform = world.platform(subreddits=("cave",))
    assert run(platform.feed()) == ()
    world.server.log.clear()
    assert run(platform.feed()) == ()
    assert world.requests() == []
    assert world.unreadable == [("cave", False)]


def test_feed__left_place_is_read_no_more(world: World) -> None:
    """A place that banned the bot."""
    platform = world.platform()
    platform.leave("Lake")
    world.forum.submit("ann", "lake", "t", "x")
    assert run(platform.feed()) == ()


def test_feed__page_that_blocks_us_is_an_outage(world: World) -> None:
    """Reddit's front door answers 403 with HTML: that says nothing of the subreddits."""

    def door(request: Any, handle: Any) -> Any:
        answer = handle(request)
        if "/r/" not in request.path:
            return answer
        return type(answer)(403, b"<html>blocked</html>", "text/html; charset=UTF-8")

    world.server.http.middleware = door
    fail(world.platform().feed(), Down)
    assert world.unreadable == []


def test_inbox__gives_unread_notices_oldest_first_and_done_takes_them_off(world: World) -> None:
    """Replies, mentions and messages, with reasons; 30 of them are two requests to mark."""
    post = world.forum.submit(BOT, "pond", "mine", "x")
    own = world.forum.comment(BOT, post.fullname, "mine too")
    made = [
        world.forum.comment("ann", post.fullname, "to the post").fullname,
        world.forum.comment("ann", own.fullname, "to the comment").fullname,
        world.forum.comment("bob", world.forum.submit("ann", "lake", "t").fullname, f"hi u/{BOT}").fullname,
        world.forum.send("bob", BOT, "subject", "psst").fullname,
    ]
    platform = world.platform()
    notices = run(platform.inbox())
    assert {notice.ref for notice in notices} == set(made)
    assert [notice.item.created_at for notice in notices] == sorted(notice.item.created_at for notice in notices)
    reasons = {notice.ref: notice.reason for notice in notices}
    assert [reasons[Ref(ref)] for ref in made] == [
        Reason.POST_REPLY,
        Reason.COMMENT_REPLY,
        Reason.MENTION,
        Reason.MESSAGE,
    ]
    assert all(n.item.submission is not None for n in notices if n.item.kind is Kind.COMMENT)
    world.server.log.clear()
    run(platform.done([notice.ref for notice in notices] + [Ref(f"t1_no{n}") for n in range(26)]))
    assert world.requests() == [("POST", "/api/read_message/")] * 2
    assert run(platform.inbox()) == ()


def test_inbox__more_than_a_page_is_read_whole(world: World) -> None:
    """130 unread notices: two requests, the oldest first."""
    post = world.forum.submit(BOT, "pond", "mine", "x")
    made = [world.forum.comment("ann", post.fullname, f"c{n}").fullname for n in range(130)]
    platform = world.platform()
    assert {notice.ref for notice in run(platform.inbox())} == set(made)
    assert len(world.requests()) == 2


def test_thread__is_one_request(world: World) -> None:
    """The submission and the comments above, from the top; not the comment itself."""
    post = world.forum.submit("ann", "pond", "t", "body")
    chain = [world.forum.comment("bob", post.fullname, "level 1")]
    for level in range(2, 6):
        chain.append(world.forum.comment("ann", chain[-1].fullname, f"level {level}"))
    world.forum.comment("ann", chain[0].fullname, "a brother")
    platform = world.platform()
    item = next(item for item in run(platform.feed()) if item.ref == chain[-1].fullname)
    world.server.log.clear()
    thread = run(platform.thread(item))
    assert thread.submission.text == "body"
    assert [(above.text, above.level) for above in thread.levels] == [(f"level {n}", n) for n in range(1, 5)]
    assert len(world.requests()) == 1


def test_thread__deeper_than_reddit_shows_is_completed(world: World) -> None:
    """Twenty levels need three requests, and all are there."""
    post = world.forum.submit("ann", "pond", "t", "body")
    chain = [world.forum.comment("bob", post.fullname, "level 1")]
    for level in range(2, 21):
        chain.append(world.forum.comment("ann", chain[-1].fullname, f"level {level}"))
    platform = world.platform()
    item = next(item for item in run(platform.feed()) if item.ref == chain[-1].fullname)
    world.server.log.clear()
    assert [above.level for above in run(platform.thread(item)).levels] == list(range(1, 20))
    assert len(world.requests()) == 3


def test_thread__of_top_level_comment_and_of_submission(world: World) -> None:
    """A top-level comment has its submission; a submission is its own thread, without a request."""
    post = world.forum.submit("ann", "pond", "t", "body")
    comment = world.forum.comment(BOT, post.fullname, "top")
    reply = world.forum.comment("ann", comment.fullname, "answer")
    platform = world.platform()
    notice = run(platform.inbox())[0]
    assert notice.ref == reply.fullname
    assert [above.ref for above in run(platform.thread(notice.item)).levels] == [comment.fullname]
    top = run(platform.resolve(f"t1_{comment.id}"))
    thread = run(platform.thread(top))
    assert (thread.submission.ref, thread.levels) == (post.fullname, ())
    world.server.log.clear()
    assert run(platform.thread(thread.submission)).submission is thread.submission
    assert world.requests() == []


def test_thread__comment_that_is_gone_is_refused(world: World) -> None:
    """Unknown comments are no outage."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    item = Item(Ref("t1_zzzz"), Kind.COMMENT, None, "", "pond", SystemClock().now(), submission=Ref(post.fullname))
    assert fail(platform.thread(item), Refused).why == "not_found"
    lost = Item(Ref("t1_zzzz"), Kind.COMMENT, None, "", "pond", SystemClock().now())
    assert fail(platform.thread(lost), Refused).why == "not_found"


def test_own__newest_first_one_request_each(world: World) -> None:
    """Own comments tell whom they answered; own posts their titles."""
    post = world.forum.submit("ann", "pond", "t", "body")
    first, second = (world.forum.comment(BOT, post.fullname, text) for text in ("one", "two"))
    mine = world.forum.submit(BOT, "lake", "mine", "x")
    platform = world.platform()
    comments = run(platform.own(Kind.COMMENT))
    assert [(item.ref, item.parent) for item in comments] == [
        (second.fullname, post.fullname),
        (first.fullname, post.fullname),
    ]
    assert [item.title for item in run(platform.own(Kind.SUBMISSION))] == ["mine"]
    assert mine.fullname == run(platform.own(Kind.SUBMISSION))[0].ref
    assert world.server.log.requests("/comments$")[0].params["limit"] == "100"


def test_own__reads_on_for_as_long_as_is_asked(world: World) -> None:
    """More than a hundred own comments since a moment: a request for each hundred, none for older ones."""
    post = world.forum.submit("ann", "pond", "Ponds").fullname
    for number in range(230):
        world.forum.comment(BOT, post, f"Quack {number}")
    platform = world.platform()
    begin = datetime.now(UTC) - timedelta(hours=1)
    assert len(run(platform.own(Kind.COMMENT))) == 100
    before = len(world.requests())
    everything = run(platform.own(Kind.COMMENT, since=begin))
    assert [item.text for item in everything] == [f"Quack {number}" for number in reversed(range(230))]
    assert len(world.requests()) - before == 3
    assert len(run(platform.own(Kind.COMMENT, since=datetime.now(UTC) + timedelta(hours=1)))) == 100


def test_resolve__permalink_of_the_site_and_of_reddit(world: World) -> None:
    """The thing is looked up by name; the address itself is never fetched."""
    post = world.forum.submit("ann", "pond", "t", "body")
    comment = world.forum.comment("bob", post.fullname, "c")
    platform = world.platform()
    local = f"{world.server.base_url}{post.permalink}{comment.id}/"
    assert run(platform.resolve(local)).ref == comment.fullname
    assert run(platform.resolve(f"https://www.reddit.com{post.permalink}")).title == "t"
    assert {path for _, path in world.requests()} == {"/api/info/"}
    assert fail(platform.resolve("https://www.reddit.com/r/pond/comments/zzzzzz/x/"), Refused).why == "not_found"
    assert fail(platform.resolve("https://example.org/r/pond/s/abc"), Refused).why == "bad_link"


class OffClock(SystemClock):
    """A machine's clock that is off by `off`."""

    def __init__(self, off: timedelta) -> None:
        self.off = off

    def now(self) -> datetime:
        return super().now() + self.off


def _read_everything(world: World, platform: RedditPlatform) -> list[Item]:
    """Give a thing of each call that gives things."""
    [notice] = run(platform.inbox())
    [own] = run(platform.own(Kind.SUBMISSION))
    thread = run(platform.thread(notice.item))
    assert thread.item is not None
    link = f"{world.server.base_url}{notice.item.permalink}"
    return [*run(platform.feed()), notice.item, own, thread.submission, thread.item, run(platform.resolve(link))]


@pytest.mark.parametrize("hours", [3, -3, 24 * 90, -24 * 365 * 30])
def test_times__are_told_by_our_clock_however_far_it_is_off(world: World, hours: int) -> None:
    """A thing that was made just now is new, by whatever clock we have, and so is one after that was set."""
    world.forum.comment("ann", world.forum.submit(BOT, "pond", "mine", "x").fullname, "hi")
    clock = OffClock(timedelta(hours=hours))
    for off in (clock.off, timedelta(), clock.off):
        clock.off = off
        things = _read_everything(world, world.platform(clock=clock))
        assert len(things) == 7
        for item in things:
            assert abs(clock.now() - item.created_at) < timedelta(seconds=10)


def test_times__follow_a_clock_that_is_set(world: World) -> None:
    """In the same worker, with the next answer; a difference that a slow answer can make counts as none."""
    world.forum.submit(BOT, "pond", "mine", "x")
    clock = OffClock(timedelta())
    platform = world.platform(clock=clock)
    told = []
    for seconds in (0, 7200, 7220, 25, 0):
        clock.off = timedelta(seconds=seconds)
        told.append(run(platform.own(Kind.SUBMISSION))[0].created_at)
    moved = [round((moment - told[0]).total_seconds()) for moment in told]
    assert (moved[0], moved[3], moved[4]) == (0, 0, 0)
    assert moved[1] == moved[2] in (7200, 7201)


def test_times__stay_as_they_are_where_reddit_tells_no_time(world: World) -> None:
    """What was known is kept; with nothing known they are Reddit's own."""
    world.forum.submit(BOT, "pond", "mine", "x")
    clock = OffClock(timedelta(hours=3))
    platform, other = world.platform(clock=clock), world.platform(clock=clock)
    known = run(platform.own(Kind.SUBMISSION))
    world.server.http.tell_date = lambda: "some day"  # type: ignore[method-assign]
    assert run(platform.own(Kind.SUBMISSION)) == known
    assert known[0].created_at - run(other.own(Kind.SUBMISSION))[0].created_at > timedelta(hours=2)


def test_own__since_is_told_by_our_clock(world: World) -> None:
    """Pages are read back to it, and no further."""
    post = world.forum.submit("ann", "pond", "Ponds").fullname
    for number in range(130):
        world.forum.comment(BOT, post, f"Quack {number}")
    clock = OffClock(timedelta(hours=3))
    platform = world.platform(clock=clock)
    assert len(run(platform.own(Kind.COMMENT, since=clock.now() - timedelta(hours=1)))) == 130
    assert len(run(platform.own(Kind.COMMENT, since=clock.now() + timedelta(hours=1)))) == 100


# Writing


def test_reply__gives_the_new_comment(world: World) -> None:
    """One request, to a post and to a comment."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    ref = run(platform.reply(as_item(post), "first & <last>"))
    comment = world.forum.thing(ref)
    assert isinstance(comment, Comment)
    assert (comment.parent, comment.author, comment.text) == (post.fullname, BOT, "first & <last>")
    below = run(platform.reply(as_item(comment), "below"))
    assert world.forum.thing(below).parent == comment.fullname  # type: ignore[union-attr]
    assert world.requests() == [("POST", "/api/comment/")] * 2
    assert world.pace.taken == [True, True]


def test_post__gives_the_new_submission_with_its_flair(world: World) -> None:
    """A text post; the flair is an id."""
    flair = world.forum.subreddit("pond").flairs[0]  # type: ignore[union-attr]
    ref = run(world.platform().post(Draft("r/pond", "title", "text", flair_id=flair.id)))
    post = world.forum.thing(ref)
    assert isinstance(post, Submission)
    assert (post.title, post.text, post.subreddit, post.flair) == ("title", "text", "pond", flair)


def test_post__picture_over_plain_http_is_found_afterwards(world: World) -> None:
    """Reddit does not name the post of a picture: the outcome is unknown until one looks; bytes arrive whole."""
    platform = world.platform()
    fail(platform.post(Draft("pond", "a picture", picture=b"\x89PNG bytes", picture_name="x.png")), Unknown)
    item = run(platform.own(Kind.SUBMISSION))[0]
    assert (item.title, item.is_picture) == ("a picture", True)
    assert [part.data for part in world.server.uploads.values()] == [b"\x89PNG bytes"]
    upload = world.server.log.requests("__s3")[0]
    assert "authorization" not in upload.headers


def test_delete_and_block__are_one_request_each(world: World) -> None:
    """Both may be repeated."""
    post = world.forum.submit("ann", "pond", "t", "body")
    comment = world.forum.comment(BOT, post.fullname, "mine")
    platform = world.platform()
    for _ in range(2):
        run(platform.delete(Ref(comment.fullname)))
        run(platform.block(Author("Ann")))
    assert world.forum.thing(comment.fullname).deleted  # type: ignore[union-attr]
    assert world.forum.account(BOT).blocked == {"ann"}  # type: ignore[union-attr]
    assert len(world.requests()) == 4


AFTER_COMMIT = [
    ("reset", {"action": Action.RESET, "when": When.AFTER}),
    ("500", {"action": Action.STATUS, "status": 500, "when": When.AFTER}),
    ("503", {"action": Action.STATUS, "status": 503, "when": When.AFTER}),
    ("504", {"action": Action.STATUS, "status": 504, "when": When.AFTER}),
    ("408", {"action": Action.STATUS, "status": 408, "when": When.AFTER}),
    ("520", {"action": Action.STATUS, "status": 520, "when": When.AFTER}),
    ("truncated", {"action": Action.TRUNCATE}),
    ("hang", {"action": Action.HANG, "when": When.AFTER, "seconds": 30.0}),
    ("drip", {"action": Action.SLOW, "seconds": 6.0}),
    ("html", {"action": Action.ABSURD, "body": "html", "when": When.AFTER}),
    ("empty", {"action": Action.ABSURD, "body": "empty", "when": When.AFTER}),
    ("null", {"action": Action.ABSURD, "body": "null", "when": When.AFTER}),
    ("array", {"action": Action.ABSURD, "body": "array", "when": When.AFTER}),
    ("no things", {"action": Action.ABSURD, "body": '{"json":{"errors":[],"data":{"things":[]}}}', "when": When.AFTER}),
    ("huge", {"action": Action.ABSURD, "body": "huge", "bytes": 3 * 1024 * 1024, "when": When.AFTER}),
    ("nested", {"action": Action.ABSURD, "body": "[" * 100_000, "when": When.AFTER}),
]


@pytest.mark.parametrize("fault", [fault for _, fault in AFTER_COMMIT], ids=[name for name, _ in AFTER_COMMIT])
def test_reply__lost_after_it_was_done_is_unknown_and_done_once(world: World, fault: dict[str, Any]) -> None:
    """Whatever goes wrong after Reddit wrote it: one request, one comment, `Unknown`; a look finds it."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    run(platform.whoami())
    world.plan.add(Rule(path="/api/comment*", count=1, **fault))
    fail(platform.reply(as_item(post), "once"), Unknown)
    assert len(world.server.log.requests("/api/comment")) == 1
    assert [comment.text for comment in world.forum.comments()] == ["once"]
    assert [item.text for item in run(platform.own(Kind.COMMENT))] == ["once"]


@pytest.mark.parametrize("fault", [fault for _, fault in AFTER_COMMIT], ids=[name for name, _ in AFTER_COMMIT])
def test_post__lost_after_it_was_done_is_unknown_and_done_once(world: World, fault: dict[str, Any]) -> None:
    """The same for submissions."""
    platform = world.platform()
    run(platform.whoami())
    world.plan.add(Rule(path="/api/submit*", count=1, **fault))
    fail(platform.post(Draft("pond", "once", "x")), Unknown)
    assert [post.title for post in world.forum.submissions()] == ["once"]


@pytest.mark.parametrize("fault", [fault for _, fault in AFTER_COMMIT], ids=[name for name, _ in AFTER_COMMIT])
def test_read__that_fails_is_down_after_one_request(world: World, fault: dict[str, Any]) -> None:
    """Reads are not repeated inside a call either, and nothing odd escapes."""
    platform = world.platform()
    run(platform.whoami())
    world.server.log.clear()
    world.plan.add(Rule(path="/message/unread*", count=1, **fault))
    fail(platform.inbox(), Down)
    assert len(world.requests()) == 1
    assert run(platform.inbox()) == ()


def test_done__that_fails_is_down_and_may_be_repeated(world: World) -> None:
    """A repeatable write is no case for looking first."""
    platform = world.platform()
    run(platform.whoami())
    world.fault(Action.RESET, "/api/read_message*", when=When.AFTER, count=1)
    fail(platform.done([Ref("t1_a")]), Down)
    run(platform.done([Ref("t1_a")]))


def test_write__that_never_left_is_down(world: World) -> None:
    """Nobody listens: nothing was sent, so nothing can have been written."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    run(platform.whoami())
    world.server.stop()
    fail(platform.reply(as_item(post), "x"), Down)
    fail(platform.feed(), Down)


def test_write__to_a_name_that_does_not_resolve_is_down(world: World) -> None:
    """A failed look-up of the name is not a lost write."""
    world.server.stop()
    sites = Sites(world.server.base_url, "https://name.invalid")
    fail(world.platform(sites=sites).post(Draft("pond", "t")), Down)


def test_write__refused_token_is_renewed_and_sent_again(world: World) -> None:
    """A 401 means that nothing was done: a new token, the same request, one comment, no sleep in between."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    run(platform.whoami())
    world.fault(Action.REVOKE, "/api/comment*", count=1)
    run(platform.reply(as_item(post), "once"))
    assert [comment.text for comment in world.forum.comments()] == ["once"]
    assert world.sign_ins() == 2


@pytest.mark.parametrize("headers", [{}, {"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'}])
def test_token__refused_for_ever_is_auth_dead(world: World, headers: dict[str, str]) -> None:
    """Two tries, with and without the header that PRAW stumbles over when it is missing."""
    world.fault(Action.STATUS, "/api/comment*", status=401, headers=headers)
    post = world.forum.submit("ann", "pond", "t", "body")
    fail(world.platform().reply(as_item(post), "x"), AuthDead)
    assert len(world.server.log.requests("/api/comment")) == 2
    assert world.forum.comments() == ()


def test_reply__ratelimit_is_retry_with_its_seconds(world: World) -> None:
    """One request, no sleep; Reddit's own number of seconds."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    for seconds in (2.0, 540.0):
        world.fault(Action.RATELIMIT, "/api/comment*", seconds=seconds, count=1)
        assert fail(platform.reply(as_item(post), "x"), Retry).after == seconds
    assert len(world.server.log.requests("/api/comment")) == 2


@pytest.mark.parametrize(("header", "seconds"), [({"retry-after": "7"}, 7), ({}, 60), ({"retry-after": "soon"}, 60)])
def test_429__is_retry(world: World, header: dict[str, str], seconds: float) -> None:
    """For reads and writes; nothing sleeps, nothing is repeated."""
    world.fault(Action.STATUS, "/api/comment*", status=429, headers=header)
    world.fault(Action.STATUS, "/message/*", status=429, headers=header)
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    assert fail(platform.reply(as_item(post), "x"), Retry).after == seconds
    assert fail(platform.inbox(), Retry).after == seconds
    assert len(world.requests()) == 2


def _lock(world: World, post: Submission) -> None:
    world.forum.lock(post.fullname)


def _delete(world: World, post: Submission) -> None:
    world.forum.delete(post.fullname)


def _ban(world: World, post: Submission) -> None:
    world.forum.ban(BOT, post.subreddit)


@pytest.mark.parametrize(
    ("happens", "why", "forbidden"),
    [(_lock, "thread_locked", False), (_delete, "deleted_link", False), (_ban, "forbidden", True)],
)
def test_reply__final_refusals(world: World, happens: Callable[..., None], why: str, forbidden: bool) -> None:
    """A stable word each; only a ban says that the place refuses the account."""
    post = world.forum.submit("ann", "pond", "t", "body")
    happens(world, post)
    refusal = fail(world.platform().reply(as_item(post), "x"), Refused)
    assert (refusal.why, refusal.forbidden) == (why, forbidden)
    assert len(world.requests()) == 1


def test_write__too_long_empty_and_unknown_place_are_refused(world: World) -> None:
    """What Reddit's validation says becomes a word."""
    post = world.forum.submit("ann", "pond", "t", "body")
    platform = world.platform()
    assert fail(platform.reply(as_item(post), "x" * 10_001), Refused).why == "too_long"
    assert fail(platform.reply(as_item(post), ""), Refused).why == "no_text"
    assert fail(platform.post(Draft("nowhere", "t")), Refused).why == "subreddit_noexist"


# Signing in


def test_whoami__is_asked_every_time(world: World) -> None:
    """A suspension shows at once, for nothing is cached; writes are then forbidden."""
    platform = world.platform()
    assert run(platform.whoami()) == Identity(BOT)
    world.forum.suspend(BOT)
    assert run(platform.whoami()) == Identity(BOT, suspended=True)
    assert fail(platform.inbox(), Refused).forbidden


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"client_secret": "wrong"}, {"refresh_token": "wrong"}])
def test_sign_in__refused_credentials_are_auth_dead(world: World, change: dict[str, str]) -> None:
    """One try each; a restart can't mend it."""
    fail(world.platform(**change).whoami(), AuthDead)
    assert world.sign_ins() == 1
    assert world.requests() == []


def test_sign_in__without_any_credentials_never_reads_as_nobody(world: World) -> None:
    """PRAW would go on read-only."""
    fail(world.platform(password=None).whoami(), AuthDead)
    fail(world.platform(client_secret=None).whoami(), AuthDead)
    assert world.server.log.requests() == ()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"action": Action.STATUS, "status": 503}, Down),
        ({"action": Action.STATUS, "status": 403}, Down),
        ({"action": Action.STATUS, "status": 429}, Retry),
        ({"action": Action.STATUS, "status": 302, "headers": {"location": "http://127.0.0.1:1/steal"}}, Down),
        ({"action": Action.RESET, "when": When.AFTER}, Down),
        ({"action": Action.HANG, "seconds": 30.0}, Down),
        ({"action": Action.ABSURD, "body": "html"}, Down),
        ({"action": Action.ABSURD, "body": '{"access_token": "x"}'}, Down),
        ({"action": Action.ABSURD, "body": "null"}, Down),
    ],
)
def test_sign_in__passing_faults_are_down_or_retry_also_for_a_write(
    world: World, fault: dict[str, Any], kind: type[PlatformError]
) -> None:
    """Before there is a token nothing can have been written: never `Unknown`, never `AuthDead`; one try."""
    post = world.forum.submit("ann", "pond", "t", "body")
    world.plan.add(Rule(path=TOKEN_PATH, count=1, **fault))
    platform = world.platform()
    fail(platform.reply(as_item(post), "x"), kind)
    assert (world.sign_ins(), world.requests()) == (1, [])
    run(platform.reply(as_item(post), "x"))


def test_refresh_token__works_and_its_successor_is_told(world: World) -> None:
    """Reddit may replace it at each refresh; the new one must be kept."""
    world.server.stop()
    world.server = RedditServer(world.forum, rotates_refresh_tokens=True).start()
    token = world.server.tokens.add_refresh(BOT, APP)
    platform = world.platform(refresh_token=token, password=None)
    assert run(platform.whoami()).name == BOT
    assert len(world.refresh_tokens) == 1
    assert world.server.tokens.refresh_account(world.refresh_tokens[0], APP) == BOT
    run(platform.whoami())
    assert len(world.refresh_tokens) == 1


def test_redirect__is_never_followed_with_the_token(world: World) -> None:
    """A redirect answer sends nothing to where it points."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        location = f"http://127.0.0.1:{trap.getsockname()[1]}/x"
        world.fault(Action.STATUS, "/api/v1/me", status=302, headers={"location": location})
        world.fault(Action.STATUS, "/api/comment*", status=307, headers={"location": location})
        post = world.forum.submit("ann", "pond", "t", "body")
        platform = world.platform()
        fail(platform.whoami(), Down)
        assert fail(platform.reply(as_item(post), "x"), Refused).why == "redirected"
        with pytest.raises(TimeoutError):
            trap.accept()


# Pace


def test_pace__no_turn_sends_nothing(world: World) -> None:
    """A wait is a Retry with that many seconds, for reads and writes."""
    platform = world.platform()
    run(platform.whoami())
    world.server.log.clear()
    world.pace.wait_seconds = 12.5
    assert fail(platform.feed(), Retry).after == 12.5
    assert fail(platform.post(Draft("pond", "t")), Retry).after == 12.5
    assert world.server.log.requests() == ()


def test_pace__away_sends_nothing(world: World) -> None:
    """Without the quota process there is no turn."""
    world.pace.error = QuotaUnavailable("the quota process is away")
    platform = world.platform()
    fail(platform.feed(), Retry)
    assert world.requests() == []


def test_pace__hears_the_headers_and_nothing_sleeps(world: World) -> None:
    """Each answer's headers are passed on; PRAW alone would sleep ten minutes here."""
    world.server.rate = RateMeter(limit=2, window_seconds=600)
    platform = world.platform()
    for _ in range(3):
        run(platform.whoami())
    assert [(heard.used, heard.remaining) for heard in world.pace.heard] == [(1, 1), (2, 0), (3, 0)]
    assert world.pace.taken == [False] * 3


def test_pace__hears_the_headers_of_refusals_too(world: World) -> None:
    """A 429 is the answer whose headers matter most."""
    world.server.rate = RateMeter(limit=1, window_seconds=600, is_enforced=True)
    platform = world.platform()
    run(platform.whoami())
    assert fail(platform.whoami(), Retry).after > 500
    assert world.pace.heard[-1].remaining == 0


def test_pace__nonsense_headers_are_ignored(world: World) -> None:
    """Figures that are none must neither crash nor count."""
    names = ("used", "remaining", "reset")
    for value in ("x", "nan", "inf", "-1", ""):
        headers = {f"x-ratelimit-{name}": value for name in names}
        world.fault(Action.STATUS, "/api/v1/me", status=503, headers=headers, count=1)
        fail(world.platform().whoami(), Down)
    assert world.pace.heard == []


# The process around it


def test_environment__has_no_say(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No praw.ini, no praw_* variable, no .netrc, no proxy for loopback."""
    world.forum.add_account("evil", "evil")
    trap = "http://127.0.0.1:1"
    for place in (world.tmp_path, world.tmp_path / "config"):
        place.mkdir(exist_ok=True)
        (place / "praw.ini").write_text(
            f"[DEFAULT]\nreddit_url={trap}\noauth_url={trap}\nusername=evil\npassword=evil\ncomment_kind=t9\n[x]\na=b\n"
        )
    netrc = world.tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    netrc.chmod(0o600)
    monkeypatch.chdir(world.tmp_path)
    settings = {
        "HOME": str(world.tmp_path), "XDG_CONFIG_HOME": str(world.tmp_path / "config"), "NETRC": str(netrc),
        "praw_site": "x", "praw_username": "evil", "praw_password": "evil", "praw_refresh_token": "evil",
        "praw_client_id": "evil", "praw_check_for_updates": "True", "HTTP_PROXY": trap, "http_proxy": trap,
        "ALL_PROXY": trap, "PRAWCORE_TIMEOUT": "0.0001",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert run(world.platform().whoami()).name == BOT
    assert [request.headers["authorization"][:6].lower() for request in world.server.log.requests()] == [
        "basic ",
        "bearer",
    ]


@pytest.mark.parametrize("text", ["[DEFAULT]\noauth_url=http://127.0.0.1:1\n", "this is no ini file"])
def test_praw_ini__of_the_working_directory_is_not_even_read(tmp_path: Path, text: str) -> None:
    """In a fresh process: no warning about its addresses, no error about its faults."""
    (tmp_path / "praw.ini").write_text(text)
    command = [sys.executable, "-W", "error", "-c", "from hotshotd.reddit.client import warm_up; warm_up()"]
    environment = {**os.environ, "PYTHONPATH": str(Path(hotshotd.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_in_flight__names_the_deadline_of_the_call_under_way(world: World) -> None:
    """The heartbeat must know of a long remote call; between calls there is none."""
    world.fault(Action.HANG, "/api/v1/me", when=When.AFTER, seconds=0.3)
    limits = CallLimits(connect_seconds=5.0, read_seconds=10.0)
    platform = world.platform(call_limits=limits)
    clock = SystemClock()
    assert platform.in_flight is None

    async def watch() -> float | None:
        call = asyncio.ensure_future(platform.whoami())
        await asyncio.to_thread(world.server.log.wait_for, lambda request: request.path == "/api/v1/me")
        deadline = platform.in_flight
        await call
        return deadline

    before = clock.monotonic()
    deadline = run(watch())
    assert deadline is not None
    assert before < deadline <= clock.monotonic() + limits.connect_seconds + limits.read_seconds
    assert platform.in_flight is None


def test_calls__run_one_at_a_time_in_one_thread(world: World) -> None:
    """Many callers, one thread, no call lost."""
    platform = world.platform()

    async def many() -> list[Identity]:
        return await asyncio.gather(*(platform.whoami() for _ in range(20)))

    before = {thread.name for thread in threading.enumerate()}
    assert run(many()) == [Identity(BOT)] * 20
    ours = {t.name for t in threading.enumerate() if t.name.startswith("reddit_")} - before
    assert len(ours) == 1


def test_close__ends_thread_and_refuses_more(world: World) -> None:
    """After close there is no thread, and a call says why."""
    platform = world.platform()
    run(platform.whoami())
    platform.close()
    platform.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reddit_")]
    fail(platform.whoami(), Down)


FORKING = """
import asyncio, os, sys
from hotshotd.clock import SystemClock
from hotshotd.reddit.account import AccountCredentials, Sites
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.reddit.client import warm_up

class Pace:
    def acquire(self, *, write):
        return 0.0
    def observe(self, headers):
        pass

warm_up()
url, *refs = sys.argv[1:]
account = AccountCredentials("pond-bot", client_id="app", client_secret="app-secret", password="hunter2")
platform = RedditPlatform(account, sites=Sites(url, url), subreddits=(), operator="op", pace=Pace(),
                          clock=SystemClock(), log=None)

async def look(ref):
    for _ in range(25):
        assert (await platform.resolve(ref)).ref == ref

def child(ref):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            asyncio.run(look(ref))
            platform.close()
            code = 0
        finally:
            os._exit(code)
    return pid

pids = [child(ref) for ref in refs]
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(refs)
"""


def test_fork__object_made_before_it_serves_every_child(world: World) -> None:
    """Nothing is opened before the first call: children of one object get their own answers."""
    refs = [world.forum.submit("ann", "pond", f"t{n}").fullname for n in range(4)]
    command = [sys.executable, "-W", "error", "-c", FORKING, world.server.base_url, *refs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert world.sign_ins() == len(refs)


def test_warm_up__opens_no_socket_and_starts_no_thread() -> None:
    """The supervisor forks afterwards; PRAW and the TLS context are there, nothing else."""
    program = """
import os, sys, threading
before = set(os.listdir("/proc/self/fd"))
from hotshotd.reddit.client import warm_up
from hotshotd.reddit.transport import shared_tls_context
warm_up()
assert shared_tls_context.cache_info().currsize == 1
assert "praw" in sys.modules and threading.active_count() == 1, threading.enumerate()
assert set(os.listdir("/proc/self/fd")) <= before, os.listdir("/proc/self/fd")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# Answers as they travel


class RawServer:
    """Answers each connection with the same bytes, piece by piece, and closes it."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                for piece in self._pieces:
                    connection.sendall(piece)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("is_whole", [True, False])
def test_body__chunked_and_compressed_is_read_or_found_cut(world: World, is_whole: bool) -> None:
    """Reddit sends gzip in chunks; a last chunk that is missing is no answer."""
    body = gzip.compress(b'{"name": "pond-bot"}')
    end = b"0\r\n\r\n" if is_whole else b""
    head = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = RawServer(head, _chunk(body[:9]), _chunk(body[9:]), end)
    try:
        platform = world.platform(sites=Sites(world.server.base_url, server.url))
        if is_whole:
            assert run(platform.whoami()) == Identity(BOT)
        else:
            fail(platform.whoami(), Down)
    finally:
        server.close()


def test_body__that_unpacks_to_a_flood_is_refused(world: World) -> None:
    """The limit counts what comes out of the compression."""
    body = gzip.compress(b'"' + b"x" * 50_000_000 + b'"')
    server = RawServer(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    try:
        error = fail(world.platform(sites=Sites(world.server.base_url, server.url)).whoami(), Down)
        assert "larger" in str(error)
    finally:
        server.close()


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *words.split(), *names], check=True, capture_output=True)
    return cert, key


class TlsDoor:
    """Takes TLS connections on 127.0.0.1 and passes the bytes on to a plain server."""

    def __init__(self, cert: Path, key: Path, target_port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            client = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            back = threading.Thread(target=self._pump, args=(server, client))
            back.start()
            self._pump(client, server)
            back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def test_tls__stranger_is_refused_and_own_authority_is_honoured(
    world: World, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared context verifies; REQUESTS_CA_BUNDLE wins over it; a refused certificate is never `Unknown`."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    door = TlsDoor(*certificate, world.server.http.port)
    try:
        sites = Sites(door.url, door.url)
        stranger = world.platform(sites=sites)
        assert "REQUESTS_CA_BUNDLE" in str(fail(stranger.post(Draft("pond", "t")), Down))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
        friend = world.platform(sites=sites)
        assert run(friend.whoami()).name == BOT
        stranger.close()
        friend.close()
    finally:
        door.close()
    assert world.forum.submissions() == ()
