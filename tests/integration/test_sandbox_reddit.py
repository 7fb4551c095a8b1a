"""The real PRAW against the local Reddit: every operation that a bot uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import praw
import prawcore
import pytest
import requests
from praw.exceptions import ClientException, RedditAPIException
from praw.models import PostMedia
from requests.adapters import HTTPAdapter

from hotshotd.sandbox.faults import Action, Rule, When
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.reddit import RateMeter, RedditServer

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 3000 + b"\r\n--boundary-like\r\n"


class LoopbackAdapter(HTTPAdapter):
    """Sends https://127.0.0.1 as plain http, as PRAW's hard-wired upload address needs."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        assert "//127.0.0.1:" in request.url, "a test left the machine"
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture
def sessions() -> Iterator[list[requests.Session]]:
    """HTTP sessions to be closed at the end: an open socket is a warning, and so an error."""
    made: list[requests.Session] = []
    yield made
    for session in made:
        session.close()


@pytest.fixture
def forum() -> Forum:
    """A forum with two accounts and two subreddits."""
    forum = Forum()
    forum.add_client("app", "app-secret")
    forum.add_account("Bot", "hunter2")
    forum.add_account("ann", "pw")
    forum.add_subreddit("bots", flairs=("Talk", "Picture"))
    forum.add_subreddit("other")
    forum.add_subreddit("hidden", is_private=True)
    return forum


@pytest.fixture
def server(forum: Forum) -> Iterator[RedditServer]:
    """A running server; a handler that raised fails the test."""
    with RedditServer(forum) as server:
        yield server
    assert server.http.failures == []


def sign_in(server: RedditServer, sessions: list[requests.Session], **credentials: Any) -> praw.Reddit:
    """Make a PRAW client as the daemon would."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, LoopbackAdapter())
    sessions.append(session)
    settings = {
        "client_id": "app", "client_secret": "app-secret", "username": "Bot", "password": "hunter2",
        "refresh_token": None, "user_agent": "linux:test:1 (by u/x)", "check_for_updates": False,
        "ratelimit_seconds": -1, **credentials,
    }  # fmt: skip
    return praw.Reddit(
        reddit_url=server.base_url, oauth_url=server.base_url, requestor_kwargs={"session": session}, **settings
    )


@pytest.fixture
def reddit(server: RedditServer, sessions: list[requests.Session]) -> praw.Reddit:
    """PRAW, signed in as Bot."""
    return sign_in(server, sessions)


@pytest.fixture
def http(server: RedditServer, sessions: list[requests.Session]) -> requests.Session:
    """A bare client with Bot's token, for what PRAW would repeat or hide."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"bearer {server.tokens.issue('Bot', 'app', now=server.http.now())}"
    sessions.append(session)
    return session


class TestSigningIn:
    def test_me__tells_who_the_token_belongs_to(self, reddit: praw.Reddit, server: RedditServer) -> None:
        """`me` is flat and complete: no second request for any of its attributes."""
        me = reddit.user.me()
        assert (me.name, me.is_suspended, me.inbox_count, me.has_mail) == ("Bot", False, 0, False)
        assert [r.path for r in server.log.requests()] == ["/api/v1/access_token", "/api/v1/me"]

    def test_password__wrong_one_is_invalid_grant(self, server: RedditServer, sessions: Any) -> None:
        """Reddit answers 200 with an error, which PRAW raises as OAuthException."""
        with pytest.raises(prawcore.OAuthException) as caught:
            sign_in(server, sessions, password="wrong").user.me()
        assert caught.value.error == "invalid_grant"

    def test_client__wrong_secret_is_401(self, server: RedditServer, sessions: Any) -> None:
        """A wrong app is told apart from a wrong password."""
        with pytest.raises(prawcore.ResponseException) as caught:
            sign_in(server, sessions, client_secret="wrong").user.me()
        assert caught.value.response.status_code == 401

    def test_refresh_token__signs_in(self, server: RedditServer, sessions: Any) -> None:
        """A refresh token stands for its account."""
        token = server.tokens.add_refresh("Bot", "app")
        reddit = sign_in(server, sessions, username=None, password=None, refresh_token=token)
        assert reddit.user.me().name == "Bot"

    def test_refresh_token__revoked_is_400(self, server: RedditServer, sessions: Any) -> None:
        """A revoked refresh token is of no use."""
        token = server.tokens.add_refresh("Bot", "app")
        server.tokens.revoke_account("bot")
        reddit = sign_in(server, sessions, username=None, password=None, refresh_token=token)
        with pytest.raises(prawcore.ResponseException) as caught:
            reddit.user.me()
        assert caught.value.response.status_code == 400

    def test_refresh_token__can_be_rotated(self, server: RedditServer, sessions: Any) -> None:
        """With rotation each refresh gives a new token and ends the old one."""
        server.rotates_refresh_tokens = True
        old = server.tokens.add_refresh("Bot", "app")
        reddit = sign_in(server, sessions, username=None, password=None, refresh_token=old)
        assert reddit.user.me().name == "Bot"
        new = reddit._core._authorizer.refresh_token
        assert new != old
        assert server.tokens.refresh_account(old, "app") is None
        assert server.tokens.refresh_account(new, "app") == "Bot"

    def test_authorize__code_becomes_a_refresh_token(self, server: RedditServer, sessions: Any) -> None:
        """The consent page's code is exchanged once."""
        reddit = sign_in(server, sessions, username=None, password=None, redirect_uri="http://127.0.0.1:1/back")
        url = reddit.auth.url(scopes=["*"], state="s1", duration="permanent")
        page = sessions[0].get(url + "&sandbox_user=Bot", allow_redirects=False)
        code = page.headers["location"].partition("code=")[2].removesuffix("#_")
        assert "state=s1" in page.headers["location"]
        assert reddit.auth.authorize(code)
        assert reddit.user.me().name == "Bot"
        with pytest.raises(prawcore.OAuthException):
            reddit.auth.authorize(code)

    def test_read_only__reads_and_has_no_name(self, server: RedditServer, forum: Forum, sessions: Any) -> None:
        """An app on its own reads, and is nobody."""
        forum.submit("ann", "bots", "Hello")
        reddit = sign_in(server, sessions, username=None, password=None)
        assert [post.title for post in reddit.subreddit("bots").new()] == ["Hello"]
        with pytest.raises(prawcore.Forbidden):
            reddit.get("api/v1/me")

    def test_revoked_token__is_renewed_and_the_write_done_once(
        self, reddit: praw.Reddit, server: RedditServer, forum: Forum
    ) -> None:
        """401 with `invalid_token` makes PRAW sign in again."""
        post = forum.submit("ann", "bots", "Hello")
        reddit.user.me()
        server.plan.add(Rule(Action.REVOKE, path="/api/comment*", count=1))
        reddit.submission(post.id).reply("hi")
        assert [comment.text for comment in forum.comments()] == ["hi"]
        assert len(server.log.requests("access_token")) == 2

    def test_suspended__sees_itself_and_nothing_else(self, reddit: praw.Reddit, forum: Forum) -> None:
        """A suspended account signs in; its writes and own listings are 403."""
        post = forum.submit("ann", "bots", "Hello")
        forum.suspend("Bot")
        assert reddit.user.me().is_suspended is True
        with pytest.raises(prawcore.Forbidden):
            reddit.submission(post.id).reply("hi")
        with pytest.raises(prawcore.Forbidden):
            list(reddit.redditor("Bot").comments.new())
        assert reddit.redditor("Bot").is_suspended is True


class TestListings:
    def test_new__joins_subreddits_and_serves_what_bots_read(
        self, reddit: praw.Reddit, server: RedditServer, forum: Forum
    ) -> None:
        """One request for several subreddits; no attribute costs another."""
        forum.submit("ann", "bots", "First", "some & text")
        forum.submit("ann", "other", "Second", url="https://example.org/a.png")
        second, first = reddit.subreddit("bots+other").new(limit=100)
        assert (first.title, first.selftext, first.is_self, first.author.name) == ("First", "some & text", True, "ann")
        assert (second.url, second.is_self, second.post_hint) == ("https://example.org/a.png", False, "link")
        names = "permalink created_utc locked archived num_comments over_18 link_flair_text link_flair_template_id"
        for name in [*names.split(), "removed_by_category", "score", "subreddit", "subreddit_id"]:
            getattr(first, name)
        assert len(server.log.requests("^/r/|^/comments")) == 1

    def test_listing__texts_are_escaped_without_raw_json(self, http: requests.Session, server: Any, forum: Any) -> None:
        """Who does not ask for raw JSON gets `&amp;`."""
        forum.submit("ann", "bots", "a < b")
        page = http.get(server.base_url + "/r/bots/new").json()
        assert page["data"]["children"][0]["data"]["title"] == "a &lt; b"

    def test_new__pages_through_hundreds(self, reddit: praw.Reddit, server: RedditServer, forum: Forum) -> None:
        """`after` leads through everything, newest first, without gap or repetition."""
        made = [forum.submit("ann", "bots", f"n{n}").id for n in range(230)]
        assert [post.id for post in reddit.subreddit("bots").new(limit=None)] == made[::-1]
        assert len(server.log.requests("/r/bots/new")) == 3

    def test_before__gives_the_page_next_to_the_anchor(self, reddit: praw.Reddit, forum: Forum) -> None:
        """`before` gives what is newer; a deleted anchor gives nothing."""
        old, middle, new = (forum.submit("ann", "bots", title) for title in "abc")
        listing = reddit.subreddit("bots").new(limit=1, params={"before": old.fullname})
        assert [post.id for post in listing] == [middle.id]
        forum.delete(new.fullname)
        assert list(reddit.subreddit("bots").new(params={"before": new.fullname})) == []

    def test_comments__are_complete(self, reddit: praw.Reddit, server: RedditServer, forum: Forum) -> None:
        """A comment of a listing has every attribute, for PRAW fetches none."""
        post = forum.submit("ann", "bots", "Hello")
        forum.comment("Bot", forum.comment("ann", post.fullname, "one").fullname, "two")
        two, one = reddit.subreddit("bots+other").comments(limit=100)
        assert (two.body, two.parent_id, two.link_id) == ("two", one.fullname, post.fullname)
        assert (one.is_submitter, two.is_submitter, one.link_title, one.link_author) == (True, False, "Hello", "ann")
        assert (one.locked, one.permalink, one.subreddit.display_name) == (False, f"{post.permalink}{one.id}/", "bots")
        assert two.parent().fullname == one.fullname
        assert len(server.log.requests()) == 2

    def test_removed_and_deleted__leave_the_listings(self, reddit: praw.Reddit, forum: Forum) -> None:
        """What is gone is not listed, but can be asked for by name."""
        post = forum.submit("ann", "bots", "Hello")
        comment = forum.comment("ann", post.fullname, "one")
        forum.remove(post.fullname)
        forum.delete(comment.fullname)
        assert list(reddit.subreddit("bots").new()) == list(reddit.subreddit("bots").comments()) == []
        found = list(reddit.info(fullnames=[post.fullname, comment.fullname, "t1_zzz"]))
        assert [thing.fullname for thing in found] == [post.fullname, comment.fullname]
        assert found[0].removed_by_category == "moderator"
        assert found[1].author is None

    def test_subreddit__private_and_unknown(self, reddit: praw.Reddit) -> None:
        """A private subreddit is forbidden; an unknown one redirects to the search."""
        with pytest.raises(prawcore.Forbidden) as caught:
            list(reddit.subreddit("hidden").new())
        assert caught.value.response.json()["reason"] == "private"
        with pytest.raises(prawcore.Redirect) as redirect:
            list(reddit.subreddit("nowhere").new())
        assert redirect.value.path.startswith("/subreddits/search")

    def test_own_histories__newest_first(self, reddit: praw.Reddit, forum: Forum) -> None:
        """What a bot wrote itself; a removed comment is still there for its author."""
        post = forum.submit("Bot", "bots", "Mine")
        comments = [forum.comment("Bot", post.fullname, f"c{n}") for n in range(3)]
        forum.remove(comments[1].fullname)
        forum.delete(comments[2].fullname)
        assert [c.body for c in reddit.redditor("bot").comments.new(limit=100)] == ["c1", "c0"]
        assert [s.title for s in reddit.redditor("Bot").submissions.new(limit=100)] == ["Mine"]
        assert len(list(reddit.redditor("Bot").comments.new(limit=1))) == 1

    def test_user_and_subreddit_about(self, reddit: praw.Reddit, forum: Forum) -> None:
        """`about` answers for those that exist."""
        forum.ban("Bot", "bots")
        assert reddit.redditor("ann").created_utc > 0
        assert reddit.subreddit("bots").user_is_banned is True
        assert reddit.subreddit("other").user_is_banned is False
        with pytest.raises(prawcore.NotFound):
            _ = reddit.redditor("nobody").created_utc

    def test_lag__hides_what_is_young(self, reddit: praw.Reddit, server: RedditServer, forum: Forum) -> None:
        """Under listing lag a fresh comment exists and is not listed."""
        comment = forum.comment("Bot", forum.submit("ann", "bots", "Hello").fullname, "hi")
        lag = server.plan.add(Rule(Action.LAG, path="/user/*/comments", seconds=60))
        assert list(reddit.redditor("Bot").comments.new()) == []
        assert reddit.comment(comment.id).body == "hi"
        server.plan.remove(lag)
        assert [c.id for c in reddit.redditor("Bot").comments.new()] == [comment.id]


class TestThreads:
    def test_submission__comment_tree(self, reddit: praw.Reddit, forum: Forum) -> None:
        """A post's page holds its tree; a deleted comment with answers stays as a stump."""
        post = forum.submit("ann", "bots", "Hello")
        one = forum.comment("ann", post.fullname, "one")
        two = forum.comment("Bot", one.fullname, "two")
        gone = forum.comment("ann", post.fullname, "gone")
        forum.delete(gone.fullname)
        forum.delete(one.fullname)
        top = list(reddit.submission(post.id).comments)
        assert [(c.id, c.body, c.author) for c in top] == [(one.id, "[deleted]", None)]
        assert [c.id for c in top[0].replies] == [two.id]

    def test_more__is_fetched(self, reddit: praw.Reddit, forum: Forum) -> None:
        """What a page leaves out stands behind `more`, and can be had."""
        post = forum.submit("ann", "bots", "Hello")
        made = [forum.comment("ann", post.fullname, f"c{n}") for n in range(40)]
        for parent in made[30:]:
            forum.comment("Bot", parent.fullname, "below")
        submission = reddit.submission(post.id)
        submission.comment_limit = 20
        submission.comments.replace_more(limit=None)
        assert len(submission.comments.list()) == 50

    def test_refresh__wraps_the_comment_in_its_ancestors(self, reddit: Any, server: Any, forum: Forum) -> None:
        """After one refresh all ancestors are at hand without further requests."""
        post = forum.submit("ann", "bots", "Hello")
        above = post.fullname
        chain = [above := forum.comment("ann", above, f"level {n}").fullname for n in range(1, 6)]
        forum.comment("ann", chain[1], "a sibling that is not shown")
        forum.comment("Bot", chain[-1], "an answer")
        comment = next(c for c in reddit.subreddit("bots").comments() if c.body == "level 5")
        comment.refresh()
        assert [reply.body for reply in comment.replies] == ["an answer"]
        seen, asked = [comment], len(server.log.requests())
        while not seen[-1].is_root:
            seen.append(seen[-1].parent())
            assert seen[-1].body
        assert [c.body for c in seen] == [f"level {n}" for n in (5, 4, 3, 2, 1)]
        assert len(server.log.requests()) == asked

    def test_context__is_capped_at_eight_ancestors(self, http: Any, server: Any, forum: Forum) -> None:
        """However much context is asked for, Reddit shows eight levels above."""
        above = forum.submit("ann", "bots", "Hello").fullname
        link = above
        for n in range(12):
            above = forum.comment("ann", above, f"c{n}").fullname
        page = http.get(f"{server.base_url}/comments/{link[3:]}/_/{above[3:]}?context=100").json()
        assert page[1]["data"]["children"][0]["data"]["body"] == "c3"

    def test_unknown__things_are_not_found(self, reddit: praw.Reddit, forum: Forum) -> None:
        """An unknown post is 404; an unknown comment is missing from a page that exists."""
        post = forum.submit("ann", "bots", "Hello")
        with pytest.raises(prawcore.NotFound):
            _ = reddit.submission("zzzzzz").title
        with pytest.raises(ClientException):
            _ = reddit.comment("zzzzzz").body
        other = forum.comment("ann", forum.submit("ann", "bots", "B").fullname, "elsewhere")
        comment = reddit.comment(other.id)
        comment._submission = reddit.submission(post.id)
        with pytest.raises(ClientException):
            comment.refresh()


class TestInbox:
    def test_unread__replies_mentions_and_messages(self, reddit: praw.Reddit, forum: Forum) -> None:
        """Each way to speak to a bot gives one unread notice of its kind, in Reddit's odd shape."""
        mine = forum.submit("Bot", "bots", "Mine")
        own = forum.comment("Bot", forum.submit("ann", "other", "Hers").fullname, "mine")
        forum.comment("ann", mine.fullname, "to the post")
        forum.comment("ann", own.fullname, "to the comment, u/Bot")
        forum.comment("ann", forum.submit("ann", "other", "X").fullname, "hey /u/bot!")
        forum.send("ann", "Bot", "hello", "a message")
        message, mention, reply, post_reply = reddit.inbox.unread(limit=100)
        assert (message.subject, message.author.name, message.body) == ("hello", "ann", "a message")
        assert [n.type for n in (mention, reply, post_reply)] == ["username_mention", "comment_reply", "post_reply"]
        assert (reply.parent_id, reply.was_comment, reply.new) == (own.fullname, True, True)
        assert (reply.submission.title, post_reply.submission.id) == ("Hers", mine.id)
        assert not {"link_id", "permalink"} & vars(reply).keys()
        assert reply.refresh().body == "to the comment, u/Bot"
        assert [
            len(list(box()))
            for box in (
                reddit.inbox.all,
                reddit.inbox.mentions,
                reddit.inbox.comment_replies,
                reddit.inbox.submission_replies,
                reddit.inbox.messages,
            )
        ] == [4, 1, 1, 1, 1]

    def test_mark_read__takes_off_the_unread(self, reddit: praw.Reddit, forum: Forum) -> None:
        """Marked things are no longer unread; marking again is harmless."""
        mine = forum.submit("Bot", "bots", "Mine")
        for n in range(30):
            forum.comment("ann", mine.fullname, f"c{n}")
        unread = list(reddit.inbox.unread(limit=None))
        assert len(unread) == 30
        reddit.inbox.mark_read(unread[:26])
        reddit.inbox.mark_read(unread[:2])
        assert [c.body for c in reddit.inbox.unread()] == ["c3", "c2", "c1", "c0"]
        reddit.inbox.mark_all_read()
        assert list(reddit.inbox.unread()) == []
        assert len(list(reddit.inbox.all(limit=None))) == 30

    def test_block__spares_further_notices(self, reddit: praw.Reddit, forum: Forum) -> None:
        """Nothing of a blocked person reaches the inbox; the block list remembers them."""
        mine = forum.submit("Bot", "bots", "Mine")
        reddit.redditor("ann").block()
        reddit.redditor("ann").block()
        forum.comment("ann", mine.fullname, "hello?")
        assert list(reddit.inbox.unread()) == []
        assert [who.name for who in reddit.user.blocked()] == ["ann"]

    def test_compose__reaches_the_other(self, reddit: praw.Reddit, forum: Forum) -> None:
        """A message is delivered; a reply to it comes back."""
        reddit.redditor("ann").message(subject="s", message="m")
        ((_, sent),) = forum.inbox("ann")
        forum.answer_message("ann", sent.fullname, "thanks")
        answer = next(iter(reddit.inbox.unread()))
        assert (answer.body, answer.subject) == ("thanks", "re: s")
        answer.reply("welcome")
        assert [thing.text for _, thing in forum.inbox("ann")] == ["welcome", "m"]


class TestWriting:
    def test_reply__to_post_and_comment(self, reddit: praw.Reddit, server: RedditServer, forum: Forum) -> None:
        """A reply is one request and gives the whole comment."""
        post = forum.submit("ann", "bots", "Hello")
        reddit.user.me()
        before = len(server.log.requests())
        top = reddit.submission(post.id).reply("one é ✓")
        below = reddit.comment(top.id).reply("two")
        assert len(server.log.requests()) == before + 2
        assert (top.body, top.author.name, top.parent_id) == ("one é ✓", "Bot", post.fullname)
        assert (below.parent_id, below.link_id) == (top.fullname, post.fullname)
        assert [c.text for c in forum.comments()] == ["two", "one é ✓"]

    @pytest.mark.parametrize(
        ("spoil", "error"),
        [
            (lambda forum, post, comment: forum.lock(post), "THREAD_LOCKED"),
            (lambda forum, post, comment: forum.lock(comment), "THREAD_LOCKED"),
            (lambda forum, post, comment: forum.delete(comment), "DELETED_COMMENT"),
            (lambda forum, post, comment: forum.delete(post), "DELETED_LINK"),
            (lambda forum, post, comment: forum.archive(post), "TOO_OLD"),
        ],
    )
    def test_reply__refused(self, reddit: praw.Reddit, forum: Forum, spoil: Any, error: str) -> None:
        """What can't be answered any more is refused by name, and nothing is written."""
        post = forum.submit("ann", "bots", "Hello")
        comment = forum.comment("ann", post.fullname, "one")
        spoil(forum, post.fullname, comment.fullname)
        with pytest.raises(RedditAPIException) as caught:
            reddit.comment(comment.id).reply("two")
        assert [item.error_type for item in caught.value.items] == [error]
        assert len(forum.comments()) == 1

    @pytest.mark.parametrize(("text", "error"), [("x" * 10_001, "TOO_LONG"), (" ", "NO_TEXT")])
    def test_reply__length(self, reddit: praw.Reddit, forum: Forum, text: str, error: str) -> None:
        """A comment has 1 to 10,000 characters."""
        post = forum.submit("ann", "bots", "Hello")
        with pytest.raises(RedditAPIException) as caught:
            reddit.submission(post.id).reply(text)
        assert caught.value.items[0].error_type == error
        assert reddit.submission(post.id).reply("é" * 10_000).id

    def test_reply__banned_is_forbidden(self, reddit: praw.Reddit, forum: Forum) -> None:
        """Who is banned reads, and writes nothing."""
        post = forum.submit("ann", "bots", "Hello")
        forum.ban("Bot", "bots")
        assert next(iter(reddit.subreddit("bots").new())).id == post.id
        with pytest.raises(prawcore.Forbidden):
            reddit.submission(post.id).reply("hi")
        with pytest.raises(RedditAPIException) as caught:
            reddit.subreddit("bots").submit("t", selftext="x")
        assert caught.value.items[0].error_type == "SUBREDDIT_NOTALLOWED"

    def test_submit__text_and_link(self, reddit: praw.Reddit, forum: Forum) -> None:
        """A new post is known by id, and read back whole."""
        text = reddit.subreddit("bots").submit("A title", selftext="body")
        link = reddit.subreddit("bots").submit("A link", url="https://example.org/")
        assert (text.title, text.selftext, link.url) == ("A title", "body", "https://example.org/")
        assert [post.title for post in forum.submissions()] == ["A link", "A title"]

    def test_submit__flair(self, reddit: praw.Reddit) -> None:
        """A post takes one of the subreddit's flairs, and no other."""
        place = reddit.subreddit("bots")
        template = next(t for t in place.flair.link_templates if t["text"] == "Picture")
        assert place.submit("t", selftext="", flair_id=template["id"]).link_flair_text == "Picture"
        with pytest.raises(RedditAPIException) as caught:
            place.submit("t", selftext="", flair_id="nope")
        assert caught.value.items[0].error_type == "BAD_FLAIR_TEMPLATE_ID"

    def test_submit__validation_is_a_400(self, reddit: praw.Reddit, forum: Forum) -> None:
        """A subreddit's own rules come as 400 with fields, explanation and reason."""
        forum.add_subreddit("strict", flairs=("A",), flair_required=True)
        with pytest.raises(RedditAPIException) as caught:
            reddit.subreddit("strict").submit("t", selftext="")
        item = caught.value.items[0]
        assert (item.error_type, item.field) == ("SUBMIT_VALIDATION_FLAIR_REQUIRED", "flair")

    @pytest.mark.parametrize(
        ("place", "title", "text", "error"),
        [
            ("bots", "t" * 301, "", "TOO_LONG"),
            ("bots", "t", "x" * 40_001, "TOO_LONG"),
            ("bots", " ", "", "NO_TEXT"),
            ("nowhere", "t", "", "SUBREDDIT_NOEXIST"),
            ("hidden", "t", "", "SUBREDDIT_NOTALLOWED"),
        ],
    )
    def test_submit__refused(
        self, reddit: praw.Reddit, forum: Forum, place: str, title: str, text: str, error: str
    ) -> None:
        """What breaks a limit is refused by name, and nothing is written."""
        with pytest.raises(RedditAPIException) as caught:
            reddit.subreddit(place).submit(title, selftext=text)
        assert caught.value.items[0].error_type == error
        assert forum.submissions() == ()

    def test_submit__image(self, reddit: praw.Reddit, server: RedditServer, forum: Forum) -> None:
        """Lease, upload, submit; the id is then found in the own history, and the picture is served."""
        made = reddit.subreddit("bots").submit("Look", image=PostMedia(PNG, name="a.png"), without_websockets=True)
        assert made is None
        post = next(iter(reddit.redditor("Bot").submissions.new(limit=5)))
        assert (post.title, post.is_self, post.post_hint) == ("Look", False, "image")
        with requests.get(post.url, timeout=5) as picture:
            assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
        assert forum.submissions()[0].is_picture

    def test_edit_and_delete(self, reddit: praw.Reddit, forum: Forum) -> None:
        """Own things can be changed and deleted, twice too; other people's can't."""
        post = forum.submit("ann", "bots", "Hello")
        comment = reddit.submission(post.id).reply("one")
        assert comment.edit("two").body == "two"
        comment.delete()
        comment.delete()
        assert forum.comments()[0].deleted
        with pytest.raises(prawcore.Forbidden):
            reddit.submission(post.id).delete()
        with pytest.raises(prawcore.Forbidden):
            reddit.submission(post.id).edit("mine now")


class TestFaults:
    """Each kind does what it says. Bare HTTP, for PRAW repeats what fails."""

    @pytest.fixture
    def reply(self, http: requests.Session, server: RedditServer, forum: Forum) -> Any:
        """Post a comment as Bot, with one fault in the way."""
        post = forum.submit("ann", "bots", "Hello")

        def reply(**rule: Any) -> requests.Response:
            server.plan.add(Rule(path="/api/comment*", **rule))
            form = {"thing_id": post.fullname, "text": "hi", "api_type": "json"}
            return http.post(server.base_url + "/api/comment/", data=form, timeout=0.5)

        return reply

    @pytest.mark.parametrize(("when", "written"), [(When.BEFORE, 0), (When.AFTER, 1)])
    def test_reset__leaves_the_write_or_not(self, reply: Any, forum: Forum, when: When, written: int) -> None:
        """A reset after the write was accepted leaves the comment in place."""
        with pytest.raises(requests.ConnectionError):
            reply(action=Action.RESET, when=when)
        assert len(forum.comments()) == written

    @pytest.mark.parametrize(("when", "written"), [(When.BEFORE, 0), (When.AFTER, 1)])
    def test_status__body_and_headers(self, reply: Any, forum: Forum, when: When, written: int) -> None:
        """A status comes with the body and headers of the rule."""
        answer = reply(action=Action.STATUS, status=502, body="oops", headers={"Retry-After": "7"}, when=when)
        assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (502, "oops", "7")
        assert len(forum.comments()) == written

    def test_truncate__breaks_off_after_the_write(self, reply: Any, forum: Forum) -> None:
        """The body ends early though more was promised."""
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            reply(action=Action.TRUNCATE, bytes=10)
        assert len(forum.comments()) == 1

    @pytest.mark.parametrize(("when", "written"), [(When.BEFORE, 0), (When.AFTER, 1)])
    def test_hang__outlasts_the_client(self, reply: Any, forum: Forum, when: When, written: int) -> None:
        """A hung request times out; the server's stop does not wait for it."""
        with pytest.raises(requests.ReadTimeout):
            reply(action=Action.HANG, seconds=600, when=when)
        assert len(forum.comments()) == written

    def test_slow__arrives_whole(self, reply: Any) -> None:
        """A slow body is late, and complete."""
        answer = reply(action=Action.SLOW, seconds=0.2)
        assert answer.elapsed.total_seconds() < 0.2
        assert answer.json()["json"]["errors"] == []

    def test_content_type__is_wrong_and_the_body_right(self, reply: Any) -> None:
        """Only the header lies."""
        answer = reply(action=Action.CONTENT_TYPE, content_type="text/html")
        assert answer.headers["content-type"] == "text/html"
        assert answer.json()["json"]["errors"] == []

    @pytest.mark.parametrize(
        ("body", "size"), [("html", 40), ("empty", 0), ("array", 2), ("null", 4), ("huge", 100_002), ("{]", 2)]
    )
    def test_absurd__bodies(self, reply: Any, forum: Forum, body: str, size: int) -> None:
        """A 200 that is no answer."""
        answer = reply(action=Action.ABSURD, body=body, bytes=100_000, when=When.AFTER)
        assert (answer.status_code, len(answer.content)) == (200, size)
        assert len(forum.comments()) == 1

    @pytest.mark.parametrize(("seconds", "text"), [(9, "9 seconds"), (60, "1 minute"), (540, "9 minutes")])
    def test_ratelimit__says_how_long(self, reddit: Any, server: Any, forum: Forum, seconds: int, text: str) -> None:
        """PRAW reads the break from Reddit's sentence; nothing is written."""
        post = forum.submit("ann", "bots", "Hello")
        server.plan.add(Rule(Action.RATELIMIT, path="/api/comment*", seconds=seconds))
        with pytest.raises(RedditAPIException) as caught:
            reddit.submission(post.id).reply("hi")
        assert caught.value.items[0].error_type == "RATELIMIT"
        assert text in caught.value.items[0].message
        reddit.config.ratelimit_seconds = 1000
        assert reddit._handle_rate_limit(caught.value) == seconds + 1
        assert forum.comments() == ()

    def test_account__strikes_only_its_own(self, server: RedditServer, sessions: Any) -> None:
        """A rule for one account leaves the others alone, at sign-in too."""
        server.plan.add(Rule(Action.STATUS, account="bot", status=403))
        assert sign_in(server, sessions, username="ann", password="pw").user.me().name == "ann"
        with pytest.raises(prawcore.ResponseException):
            sign_in(server, sessions).user.me()


class TestRate:
    def test_headers__only_when_switched_on(self, http: requests.Session, server: RedditServer) -> None:
        """Without a meter there are none; with one they count per app."""
        url = server.base_url + "/api/v1/me"
        assert "x-ratelimit-used" not in http.get(url).headers
        server.rate = RateMeter(limit=2, is_enforced=True)
        answers = [http.get(url) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert [a.headers["x-ratelimit-remaining"] for a in answers] == ["1.0", "0.0", "0.0"]
        assert [a.headers["x-ratelimit-used"] for a in answers] == ["1", "2", "3"]
        assert 590 <= int(answers[0].headers["x-ratelimit-reset"]) <= 600


class TestControl:
    def test_verbs__do_what_the_forum_does(self, server: RedditServer, forum: Forum, http: requests.Session) -> None:
        """Another process can write, moderate, and read everything but passwords."""
        base = server.base_url + "/__sandbox/"
        post = http.post(base + "submit", json={"author": "zoe", "subreddit": "bots", "title": "Hi"}).json()["result"]
        parent = "t3_" + post["id"]
        http.post(base + "comment", json={"author": "zoe", "parent": parent, "text": "one"}).raise_for_status()
        http.post(base + "lock", json={"thing": parent}).raise_for_status()
        refused = http.post(base + "comment", json={"author": "zoe", "parent": parent, "text": "two"})
        assert (refused.status_code, refused.json()["message"]) == (409, "THREAD_LOCKED: Comments are locked.")
        assert http.post(base + "comment", json={"nonsense": 1}).status_code == 400
        state = http.get(base + "state")
        assert "hunter2" not in state.text
        assert [c["text"] for c in state.json()["comments"]] == ["one"]
        assert forum.submissions()[0].locked

    def test_events__wait_for_news(self, server: RedditServer, forum: Forum, http: requests.Session) -> None:
        """A listener gets what it missed at once, in order."""
        forum.comment("ann", forum.submit("Bot", "bots", "Hi").fullname, "one")
        url = server.base_url + "/__sandbox/events"
        events = http.get(url, params={"since": 0, "timeout": 5}).json()["events"]
        assert [(e["what"], e["author"], e["to"]) for e in events] == [("submit", "Bot", ""), ("comment", "ann", "Bot")]
        assert http.get(url, params={"since": events[-1]["number"], "timeout": 0}).json()["events"] == []

    def test_fault__can_be_added_and_cleared(self, server: RedditServer, http: requests.Session) -> None:
        """Faults come and go while the server runs; a wrong one is refused."""
        base = server.base_url + "/__sandbox/"
        assert http.post(base + "fault", json={"action": "explode"}).status_code == 400
        http.post(base + "fault", json={"action": "status", "status": 500, "path": "/api/v1/me"}).raise_for_status()
        assert http.get(server.base_url + "/api/v1/me").status_code == 500
        http.post(base + "faults_clear", json={}).raise_for_status()
        assert http.get(server.base_url + "/api/v1/me").status_code == 200
