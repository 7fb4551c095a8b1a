"""Reddit behind the platform port: eleven calls, each run by one thread, none of which sleeps or repeats a write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from hotshotd.admission import Pace
from hotshotd.clock import Clock
from hotshotd.errors import Down, Refused, Unknown
from hotshotd.platform import Author, Draft, Identity, Item, Kind, Limits, Notice, Ref, Thread
from hotshotd.reddit.account import AccountCredentials, Sites, is_loopback
from hotshotd.reddit.client import RedditClient
from hotshotd.reddit.feed import MAX_MORE_PAGES, PAGE_SIZE, Feed, Stream
from hotshotd.reddit.links import parse_link
from hotshotd.reddit.outcome import error_of_answer
from hotshotd.reddit.parse import (
    Page,
    first_item,
    move_time,
    number_levels,
    parse_branch,
    parse_identity,
    parse_items,
    parse_lease,
    parse_new_ref,
    parse_notices,
    parse_page,
)
from hotshotd.reddit.places import Places
from hotshotd.reddit.requestor import CallLimits

#: Ancestors that Reddit shows above a comment in one answer.
CONTEXT_LEVELS = 8

#: Answers that are asked for at most to reach the top of a thread.
MAX_BRANCHES = 6

#: Pages of own things that are read at most: Reddit's listings end at a thousand.
MAX_OWN_PAGES = 10

#: Notices taken off the inbox in one request.
NOTICES_PER_REQUEST = 25

#: Types of the pictures that Reddit takes, by the ending of their name.
_PICTURE_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}

T = TypeVar("T")


class Log(Protocol):
    """What the adapter needs of a structured logger."""

    def debug(self, event: str, **facts: Any) -> Any: ...

    def warning(self, event: str, **facts: Any) -> Any: ...


class RedditPlatform:
    """The platform port for one bot account. Make it anywhere; it opens nothing before its first call.

    The first call makes a thread and a Reddit object in the calling process, so it may be made before a fork
    and used after it. A call waits for the one under way. Cancelling a caller takes its call back only
    while it waits; once it runs it goes on to its end.
    """

    def __init__(
        self,
        account: AccountCredentials,
        *,
        sites: Sites,
        subreddits: Sequence[str],
        operator: str,
        pace: Pace,
        clock: Clock,
        log: Log,
        reads_comments: bool = True,
        reads_submissions: bool = True,
        call_limits: CallLimits | None = None,
        on_refresh_token: Callable[[str], None] | None = None,
        on_unreadable: Callable[[str, str | None], None] | None = None,
    ) -> None:
        """Keep what is needed for the first call.

        Args:
            reads_comments, reads_submissions: Which listings `feed` reads; each costs a request.
            on_refresh_token: Told a new refresh token that Reddit gave; called in the adapter's thread.
            on_unreadable: Told a subreddit and why it can't be read, or None when it can again; in that thread.
        """
        self._account, self._sites, self._operator = account, sites, operator
        self._pace, self._clock, self._log = pace, clock, log
        self._call_limits = call_limits or CallLimits()
        self._on_refresh_token, self._on_unreadable = on_refresh_token, on_unreadable
        self._name = account.username
        names = tuple(name.strip("/").removeprefix("r/") for name in subreddits)
        self._places = Places(names, clock=clock, on_place=self._report_place)
        streams = {Stream.SUBMISSIONS: reads_submissions, Stream.COMMENTS: reads_comments}
        self._feed = Feed([stream for stream, is_read in streams.items() if is_read], on_drop=self._report_drop)
        self._executor: ThreadPoolExecutor | None = None
        self._client: RedditClient | None = None
        self._is_closed = False
        self._starting = threading.Lock()

    @property
    def limits(self) -> Limits:
        """The longest texts that Reddit takes."""
        return Limits()

    @property
    def in_flight(self) -> float | None:
        """When the HTTP request under way must be over, in seconds of the clock, or None. Any thread."""
        client = self._client
        return client.in_flight if client is not None else None

    @property
    def requests_per_poll(self) -> int:
        """The requests of one feed and one inbox call where nothing is amiss; for the pace."""
        return len(self._feed.streams) + 1

    def leave(self, place: str) -> None:
        """Read a subreddit no more in this process (the account is banned there)."""
        self._places.leave(place)

    async def whoami(self) -> Identity:
        """Sign in and tell who we are. One request, never cached; raises as the port says."""
        return await self._run(self._whoami)

    async def feed(self) -> tuple[Item, ...]:
        """Give what is new in the subreddits, oldest first; two requests where there is no gap.

        A subreddit that can't be read is left out and told to `on_unreadable`.
        """
        return await self._run(self._read_feed)

    async def inbox(self) -> tuple[Notice, ...]:
        """Give the unread notices, oldest first; one request for each hundred."""
        return await self._run(self._read_inbox)

    async def done(self, notices: Sequence[Ref]) -> None:
        """Mark notices read; one request for each 25. Harmless when repeated."""
        refs = tuple(notices)
        await self._run(lambda: self._mark_read(refs))

    async def thread(self, item: Item) -> Thread:
        """Give what stands above an item; one request for a comment at most eight levels deep, none for others."""
        return await self._run(lambda: self._read_thread(item))

    async def own(self, kind: Kind, *, since: datetime | None = None) -> tuple[Item, ...]:
        """Give the account's newest comments or submissions, newest first; one request for each hundred."""
        return await self._run(lambda: self._read_own(kind, since))

    async def reply(self, parent: Item, text: str) -> Ref:
        """Answer a thing; one request, sent once."""
        return await self._run(lambda: self._reply(parent, text))

    async def post(self, draft: Draft) -> Ref:
        """Make a submission; one request, sent once, and two before it for a picture."""
        return await self._run(lambda: self._post(draft))

    async def delete(self, ref: Ref) -> None:
        """Delete an own comment or submission; one request."""
        await self._run(lambda: self._write("api/del/", {"id": ref}))

    async def block(self, author: Author) -> None:
        """Put somebody on the account's block list; one request."""
        await self._run(lambda: self._write("api/block_user/", {}, params={"name": author.name}))

    async def resolve(self, url: str) -> Item:
        """Give the thing behind a permalink; one request. The address itself is never fetched."""
        return await self._run(lambda: self._resolve(url))

    def close(self) -> None:
        """Close sockets and thread; waits for the call under way, drops those that wait for it."""
        with self._starting:
            self._is_closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # Everything below runs in the adapter's thread.

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._start(), call)

    def _start(self) -> ThreadPoolExecutor:
        with self._starting:
            if self._is_closed:
                raise Down("the connection to Reddit is closed")
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reddit")
            return self._executor

    def _reddit(self) -> RedditClient:
        if self._client is None:
            self._client = RedditClient(
                account=self._account,
                sites=self._sites,
                operator=self._operator,
                pace=self._pace,
                clock=self._clock,
                limits=self._call_limits,
                on_refresh_token=self._on_refresh_token,
            )
        return self._client

    def _report_drop(self, what: str) -> None:
        self._log.debug("reddit.child_dropped", reason=what)

    def _report_place(self, place: str, why: str | None) -> None:
        if why is not None:
            self._log.warning("reddit.place_unreadable", subreddit=place, reason=why)
        if self._on_unreadable is not None:
            self._on_unreadable(place, why)

    def _whoami(self) -> Identity:
        try:
            identity = parse_identity(self._reddit().get("api/v1/me"))
        except Refused as refusal:
            raise Down(f"Reddit does not say who is signed in: {refusal}") from refusal
        self._name = identity.name
        return identity

    def _read_feed(self) -> tuple[Item, ...]:
        self._places.recheck(self._probe_place)
        # Each pass sets at least one place aside, so this ends.
        while self._places.readable:
            try:
                return tuple(map(self._tell_time, self._feed.poll(self._fetch_page)))
            except Refused as refusal:
                self._blame(refusal)
        return ()

    def _blame(self, refusal: Refused) -> None:
        try:
            self._places.isolate(refusal, self._probe_place)
        except Refused as exc:
            raise Down(f"Reddit refuses the subreddits together and none of them alone: {exc}") from exc

    def _fetch_page(self, stream: Stream, after: str | None) -> Page:
        return self._read_page(f"r/{'+'.join(self._places.readable)}/{_STREAM_PATHS[stream]}", after=after)

    def _probe_place(self, place: str) -> None:
        self._reddit().get(f"r/{place}/new", {"limit": 1})

    def _read_page(self, path: str, *, after: str | None = None, **params: str | int) -> Page:
        if after is not None:
            params["after"] = after
        answer = self._reddit().get(path, {"limit": PAGE_SIZE, **params})
        return parse_page(answer, what=path)

    def _read_inbox(self) -> tuple[Notice, ...]:
        page = self._read_page("message/unread/", mark="false")
        children = list(page.children)
        for _ in range(MAX_MORE_PAGES):
            if page.after is None:
                break
            page = self._read_page("message/unread/", after=page.after, mark="false")
            children += page.children
        notices = parse_notices(children, on_drop=self._report_drop)
        told = (replace(notice, item=self._tell_time(notice.item)) for notice in notices)
        return tuple(sorted(told, key=lambda notice: notice.item.created_at))

    def _mark_read(self, refs: Sequence[Ref]) -> None:
        for start in range(0, len(refs), NOTICES_PER_REQUEST):
            self._write("api/read_message/", {"id": ",".join(refs[start : start + NOTICES_PER_REQUEST])})

    def _read_thread(self, item: Item) -> Thread:
        if item.kind is not Kind.COMMENT:
            return Thread(item, ())
        if item.submission is None:
            item = self._look_up(item.ref)
        branch = self._read_branch(item, item.ref)
        levels = branch.levels
        for _ in range(MAX_BRANCHES - 1):
            if not levels or levels[0].parent is None or levels[0].parent == branch.submission.ref:
                break
            above = self._read_branch(item, levels[0].ref)
            if not above.levels:
                break
            levels = (*above.levels, *levels)
        return replace(branch, levels=number_levels(levels))

    def _read_branch(self, item: Item, ref: Ref) -> Thread:
        link, short = _short(item.submission or ""), _short(ref)
        answer = self._reddit().get(f"comments/{link}/_/{short}", {"context": CONTEXT_LEVELS})
        branch = parse_branch(answer, ref=ref)
        if branch is None:
            raise Refused(f"Reddit does not show {ref} any more: deleted or removed", why="not_found")
        now = branch.item and self._tell_time(branch.item)
        return Thread(self._tell_time(branch.submission), tuple(map(self._tell_time, branch.levels)), now)

    def _read_own(self, kind: Kind, since: datetime | None) -> tuple[Item, ...]:
        path = f"user/{_segment(self._name)}/{_OWN_PATHS[kind]}"
        page = self._read_page(path, sort="new")
        items = self._parse_own(page)
        for _ in range(MAX_OWN_PAGES - 1):
            if since is None or page.after is None or not items or items[-1].created_at < since:
                break
            page = self._read_page(path, after=page.after, sort="new")
            items = [*items, *self._parse_own(page)]
        return tuple(items)

    def _parse_own(self, page: Page) -> list[Item]:
        return [self._tell_time(item) for item in parse_items(page.children, on_drop=self._report_drop)]

    def _reply(self, parent: Item, text: str) -> Ref:
        answer = self._write("api/comment/", {"thing_id": parent.ref, "text": text})
        return _made(answer, kind=Kind.COMMENT)

    def _post(self, draft: Draft) -> Ref:
        form: dict[str, Any] = {
            "sr": draft.place.strip("/").removeprefix("r/"),
            "title": draft.title,
            "nsfw": False,
            "spoiler": False,
            "resubmit": True,
            "sendreplies": True,
            "validate_on_submit": True,
        }
        if draft.flair_id is not None:
            form["flair_id"] = draft.flair_id
        if draft.picture is None:
            return _made(self._write("api/submit/", form | {"kind": "self", "text": draft.text}), kind=Kind.SUBMISSION)
        return self._post_picture(draft, form, draft.picture)

    def _post_picture(self, draft: Draft, form: dict[str, Any], content: bytes) -> Ref:
        form |= {"kind": "image", "url": self._upload(draft.picture_name, content)}
        if draft.text:
            form["text"] = draft.text
        answer = self._write("api/submit/", form)
        made = parse_new_ref(answer, kind=Kind.SUBMISSION)
        if made is not None:
            return made
        # Reddit makes the post later and tells its name on a web socket only: the caller looks for it.
        raise Unknown("Reddit took the picture and does not say yet what became of it")

    def _upload(self, name: str, content: bytes) -> str:
        mimetype = _PICTURE_TYPES.get(name.rpartition(".")[2].lower(), "image/png")
        lease = parse_lease(self._write("api/media/asset.json", {"filepath": name, "mimetype": mimetype}))
        action = self._upload_address(lease.action)
        self._reddit().upload(action, fields=lease.fields, name=name, content=content)
        return f"{action}/{lease.key}"

    def _upload_address(self, action: str) -> str:
        """Give the store's address with a scheme: https, or plain http where Reddit itself is on loopback."""
        bare = action.removeprefix("https:").removeprefix("http:")
        is_local = is_loopback(f"http:{bare}") and is_loopback(self._sites.oauth_url)
        scheme = "http" if is_local and self._sites.oauth_url.startswith("http:") else "https"
        return f"{scheme}:{bare}"

    def _resolve(self, url: str) -> Item:
        return self._look_up(parse_link(url, site_url=self._sites.reddit_url))

    def _look_up(self, ref: Ref) -> Item:
        return self._tell_time(first_item(self._reddit().get("api/info/", {"id": ref}), ref=ref))

    def _tell_time(self, item: Item) -> Item:
        """Give a thing with its time told by our clock: whoever compares it does so with that one."""
        ahead = self._reddit().ahead
        return move_time(item, ahead) if ahead else item

    def _write(self, path: str, data: dict[str, Any], *, params: dict[str, str | int] | None = None) -> Any:
        answer = self._reddit().post(path, data, params)
        error = error_of_answer(answer)
        if error is not None:
            raise error
        return answer


_STREAM_PATHS = {Stream.SUBMISSIONS: "new", Stream.COMMENTS: "comments/"}

_OWN_PATHS = {Kind.COMMENT: "comments", Kind.SUBMISSION: "submitted"}


def _short(ref: str) -> str:
    return _segment(ref.partition("_")[2])


def _segment(text: str) -> str:
    """Make a path segment of a name that came from outside."""
    return quote(text, safe="")


def _made(answer: object, *, kind: Kind) -> Ref:
    ref = parse_new_ref(answer, kind=kind)
    if ref is None:
        raise Unknown("Reddit answered without saying what it made")
    return ref
