"""What can be read of the local Reddit: listings, threads, inboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from hotshotd.clock import Clock
from hotshotd.sandbox.forum import Account, Comment, Forum, Message, Notice, Submission, Subreddit, forbidden, not_found
from hotshotd.sandbox.http import Answered, Request, Response, json_response
from hotshotd.sandbox.reddit_answers import MAX_PAGE, Action, as_user, cut, number
from hotshotd.sandbox.reddit_auth import Caller
from hotshotd.sandbox.reddit_json import (
    DEFAULT_THREAD_LIMIT,
    MAX_THREAD_LIMIT,
    Shapes,
    Trees,
    flair_json,
    listing,
    things,
)

#: Nobody gets further back than this into a listing.
LISTING_DEPTH = 1000

#: Which kinds of notices stand in which box.
_BOXES: dict[str, tuple[str, ...]] = {
    "inbox": ("comment_reply", "post_reply", "username_mention", "unknown"),
    "comments": ("comment_reply",),
    "selfreply": ("post_reply",),
    "mentions": ("username_mention",),
    "messages": ("unknown",),
}


class Reads:
    """The reading endpoints."""

    def __init__(self, forum: Forum, shapes: Shapes, clock: Clock, *, base_url: Callable[[], str]) -> None:
        self.forum = forum
        self._shapes = shapes
        self._trees = Trees(forum, shapes)
        self._clock = clock
        self._base_url = base_url

    def routes(self) -> list[tuple[str, Action]]:
        """Give the paths that are got, and what answers them."""
        return [
            ("/api/v1/me", as_user(self.forum, self._me, even_suspended=True)),
            ("/r/{places}/new", self._new),
            ("/r/{places}/comments", self._new_comments),
            ("/comments/{link}", self._thread),
            ("/comments/{link}/{slug}/{comment}", self._comment_page),
            ("/r/{place}/comments/{link}", self._thread),
            ("/r/{place}/comments/{link}/{slug}", self._thread),
            ("/r/{place}/comments/{link}/{slug}/{comment}", self._comment_page),
            ("/api/info", self._info),
            ("/message/unread", as_user(self.forum, self._unread)),
            ("/message/{box}", as_user(self.forum, self._inbox)),
            ("/user/{name}/comments", self._user_comments),
            ("/user/{name}/submitted", self._user_submissions),
            ("/user/{name}/about", self._user_about),
            ("/r/{place}/about", self._subreddit_about),
            ("/r/{place}/api/link_flair_v2", self._flairs),
            ("/prefs/blocked", as_user(self.forum, self._blocked)),
        ]

    def more_children(self, request: Request, _caller: Caller) -> Response:
        """Give the comments that a `more` stood for; the one read that is posted."""
        self._post(request.form.get("link_id", "").removeprefix("t3_"))
        wanted = [number for number in request.form.get("children", "").split(",") if number]
        return json_response(
            things(self._trees.flat(wanted, sort=request.form.get("sort", "confidence"), limit=MAX_PAGE))
        )

    def _me(self, _request: Request, account: Account) -> Response:
        return json_response(self._shapes.me(account))

    def _new(self, request: Request, caller: Caller) -> Response:
        places = self._places(request.variables["places"])
        posts = [
            post
            for post in self.forum.submissions()
            if post.subreddit.casefold() in places and not post.deleted and not post.removed
        ]
        return self._page(request, posts, caller)

    def _new_comments(self, request: Request, caller: Caller) -> Response:
        places = self._places(request.variables["places"])
        comments = [
            comment
            for comment in self.forum.comments()
            if comment.subreddit.casefold() in places and not comment.deleted and not comment.removed
        ]
        return self._page(request, comments, caller)

    def _places(self, names: str) -> set[str]:
        wanted = [name for name in names.split("+") if name]
        if len(wanted) == 1:
            return {self._readable(wanted[0]).name.casefold()}
        # Not known of Reddit: of several, the missing and private ones are left out silently.
        found = [place for name in wanted if (place := self.forum.subreddit(name)) and not place.is_private]
        if not found:
            raise not_found()
        return {place.name.casefold() for place in found}

    def _readable(self, name: str) -> Subreddit:
        place = self.forum.subreddit(name)
        if place is None:
            location = f"{self._base_url()}/subreddits/search?q={quote(name)}"
            raise Answered(Response(302, headers=(("location", location),)))
        if place.is_private:
            raise forbidden("private")
        return place

    def _page(self, request: Request, found: Sequence[Submission | Comment | Message], caller: Caller) -> Response:
        horizon = self._horizon(request)
        shown = [thing for thing in found if thing.made_at <= horizon][:LISTING_DEPTH]
        page, after = cut(request, shown, key=lambda thing: thing.fullname)
        return json_response(listing([self._shapes.thing(thing, viewer=caller.account) for thing in page], after=after))

    def _horizon(self, request: Request) -> float:
        return self._clock.now().timestamp() - float(request.notes.get("lag_seconds", float("-inf")))

    def _thread(self, request: Request, _caller: Caller) -> Response:
        post = self._post(request.variables["link"])
        sort, limit = _thread_options(request)
        return json_response([listing([self._shapes.submission(post)]), self._trees.page(post, sort=sort, limit=limit)])

    def _comment_page(self, request: Request, _caller: Caller) -> Response:
        post = self._post(request.variables["link"])
        comment = self.forum.thing("t1_" + request.variables["comment"])
        sort, limit = _thread_options(request)
        below = listing([])
        if isinstance(comment, Comment) and comment.link == post.fullname:
            context = number(request.params.get("context"), default=0)
            below = self._trees.around(comment, context=context, sort=sort, limit=limit)
        return json_response([listing([self._shapes.submission(post)]), below])

    def _post(self, number: str) -> Submission:
        post = self.forum.thing("t3_" + number)
        if not isinstance(post, Submission):
            raise not_found()
        self._readable(post.subreddit)
        return post

    def _info(self, request: Request, caller: Caller) -> Response:
        wanted = request.params.get("id", "").split(",")[:MAX_PAGE]
        found = [thing for name in wanted if (thing := self.forum.thing(name)) and not isinstance(thing, Message)]
        return json_response(listing([self._shapes.thing(thing, viewer=caller.account) for thing in found]))

    def _unread(self, request: Request, account: Account) -> Response:
        answer = self._notices(request, self.forum.inbox(account.name, unread=True))
        if request.params.get("mark", "").casefold() == "true":
            self.forum.mark_read(account.name)
        return answer

    def _inbox(self, request: Request, account: Account) -> Response:
        wanted = _BOXES.get(request.variables["box"])
        if wanted is None:
            raise not_found()
        return self._notices(request, [pair for pair in self.forum.inbox(account.name) if pair[0].kind in wanted])

    def _notices(self, request: Request, found: Sequence[tuple[Notice, Comment | Message]]) -> Response:
        horizon = self._horizon(request)
        # What a moderator removed does not reach the inbox any more.
        shown = [
            pair
            for pair in found
            if pair[1].made_at <= horizon and not (isinstance(pair[1], Comment) and pair[1].removed)
        ]
        page, after = cut(request, shown[:LISTING_DEPTH], key=lambda pair: pair[1].fullname)
        return json_response(listing([self._shapes.notice(*pair) for pair in page], after=after))

    def _user(self, name: str) -> Account:
        account = self.forum.account(name)
        if account is None:
            raise not_found()
        return account

    def _user_comments(self, request: Request, caller: Caller) -> Response:
        return self._history(request, caller, self.forum.comments)

    def _user_submissions(self, request: Request, caller: Caller) -> Response:
        return self._history(request, caller, self.forum.submissions)

    def _history(
        self, request: Request, caller: Caller, read: Callable[..., Iterable[Submission | Comment]]
    ) -> Response:
        account = self._user(request.variables["name"])
        if account.is_suspended:
            raise forbidden()
        is_own = caller.account.casefold() == account.name.casefold()
        written = read(author=account.name)
        return self._page(
            request, [thing for thing in written if not thing.deleted and (is_own or not thing.removed)], caller
        )

    def _user_about(self, request: Request, _caller: Caller) -> Response:
        return json_response(self._shapes.account(self._user(request.variables["name"])))

    def _subreddit_about(self, request: Request, caller: Caller) -> Response:
        return json_response(self._shapes.subreddit(self._readable(request.variables["place"]), viewer=caller.account))

    def _flairs(self, request: Request, _caller: Caller) -> Response:
        return json_response([flair_json(flair) for flair in self._readable(request.variables["place"]).flairs])

    def _blocked(self, _request: Request, account: Account) -> Response:
        who = [found for name in sorted(account.blocked) if (found := self.forum.account(name))]
        children = [
            {"date": other.created_utc, "rel_id": f"r9_{other.id}", "name": other.name, "id": f"t2_{other.id}"}
            for other in who
        ]
        return json_response({"kind": "UserList", "data": {"children": children}})


def _thread_options(request: Request) -> tuple[str, int]:
    limit = number(request.params.get("limit"), default=DEFAULT_THREAD_LIMIT)
    return request.params.get("sort", "confidence"), min(max(limit, 1), MAX_THREAD_LIMIT)
