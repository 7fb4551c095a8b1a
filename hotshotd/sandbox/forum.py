"""The state of a small Reddit, in memory: accounts, subreddits, posts, comments, inboxes.

Knows no HTTP; `hotshotd.sandbox.reddit` serves it. Everything handed out is a frozen value, as it
was at that moment; every change goes through a method of `Forum`. What Reddit would refuse
raises `Refusal`, for people of the sandbox as for bots. Safe from any thread.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from hotshotd.clock import Clock, SystemClock
from hotshotd.sandbox.forum_things import (
    MAX_BODY,
    MAX_COMMENT,
    Account,
    Comment,
    Event,
    Flair,
    Message,
    Notice,
    NoticeKind,
    Refusal,
    Submission,
    Subreddit,
    Thing,
    Written,
    base36,
    check_open,
    check_text,
    check_title,
    chosen_flair,
    forbidden,
    not_found,
)

__all__ = [
    "Account", "Comment", "Event", "Flair", "Forum", "Message", "Notice", "Refusal", "Submission", "Subreddit", "Thing",
    "base36", "forbidden", "not_found",
]  # fmt: skip

#: A comment that names more people than this notifies none of them.
MAX_MENTIONS = 3

#: How many events are remembered; a listener that falls further behind misses some.
EVENTS_KEPT = 20_000

_MENTION = re.compile(r"(?<![\w/-])/?u/([A-Za-z0-9_-]{2,20})", re.IGNORECASE)
_FIRST_ID = 36**5  # six digits in base 36, as real ones have


class Forum:
    """A Reddit. Reading gives frozen values, newest first where it gives several."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._happened = threading.Condition(self._lock)
        self._ids: Counter[str] = Counter()
        self._last_created = 0.0
        self._accounts: dict[str, Account] = {}
        self._subreddits: dict[str, Subreddit] = {}
        self._submissions: dict[str, Submission] = {}
        self._comments: dict[str, Comment] = {}
        self._messages: dict[str, Message] = {}
        self._children: defaultdict[str, list[str]] = defaultdict(list)
        self._comment_counts: Counter[str] = Counter()
        self._inboxes: defaultdict[str, dict[str, Notice]] = defaultdict(dict)
        self._clients: dict[str, str] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._event_number = 0
        self._subscribers: list[Callable[[Event], None]] = []

    # Who and where

    def add_account(self, name: str, password: str = "") -> Account:
        """Make an account, or give an existing one another password."""
        with self._lock:
            known = self._accounts.get(name.casefold())
            account = (
                replace(known, password=password or known.password)
                if known
                else Account(name, self._next_id("t2"), self._created(), password)
            )
            self._accounts[name.casefold()] = account
            return account

    def add_client(self, client_id: str, secret: str) -> None:
        """Register an app: whoever signs in needs its id and secret."""
        with self._lock:
            self._clients[client_id] = secret

    def add_subreddit(
        self,
        name: str,
        *,
        is_private: bool = False,
        over_18: bool = False,
        flairs: tuple[str, ...] = (),
        flair_required: bool = False,
    ) -> Subreddit:
        """Make a subreddit; one that exists already is given as it is."""
        with self._lock:
            known = self._subreddits.get(name.casefold())
            if known is None:
                made = tuple(Flair(f"00000000-0000-4000-8000-{n:012d}", text) for n, text in enumerate(flairs, 1))
                known = Subreddit(name, self._next_id("t5"), self._created(), is_private, over_18, flair_required, made)
                self._subreddits[name.casefold()] = known
            return known

    def client_secret(self, client_id: str) -> str | None:
        """Give an app's secret, None if there is no such app."""
        return self._clients.get(client_id)

    def account(self, name: str) -> Account | None:
        """Give an account; names differ in case only for show."""
        return self._accounts.get(name.casefold())

    def subreddit(self, name: str) -> Subreddit | None:
        """Give a subreddit."""
        return self._subreddits.get(name.casefold())

    def suspend(self, name: str, *, suspended: bool = True) -> None:
        """Suspend an account, or let it back in."""
        with self._lock:
            self._accounts[name.casefold()] = replace(self._known(name), is_suspended=suspended)
            self._tell("suspend", author=name)

    def ban(self, name: str, subreddit: str, *, banned: bool = True) -> None:
        """Ban an account from a subreddit, or let it back in."""
        with self._lock:
            place = self._place(subreddit)
            names = place.banned | {name.casefold()} if banned else place.banned - {name.casefold()}
            self._subreddits[subreddit.casefold()] = replace(place, banned=names)
            self._tell("ban", to=name, subreddit=place.name)

    def block(self, blocker: str, blocked: str) -> None:
        """Spare `blocker` every notice of `blocked`; harmless when repeated."""
        with self._lock:
            account = self._known(blocker)
            who = self._known(blocked)
            self._accounts[blocker.casefold()] = replace(account, blocked=account.blocked | {who.name.casefold()})
            self._tell("block", author=account.name, to=who.name)

    # Writing

    def submit(
        self,
        author: str,
        subreddit: str,
        title: str,
        text: str = "",
        url: str | None = None,
        *,
        is_picture: bool = False,
        flair_id: str | None = None,
        over_18: bool = False,
        spoiler: bool = False,
        sends_replies: bool = True,
    ) -> Submission:
        """Make a post; an unknown author becomes an account that nobody can sign in to.

        Raises:
            Refusal: As Reddit would.
        """
        with self._lock:
            writer = self._writer(author)
            place = self._place_for_post(subreddit, writer)
            check_title(title)
            check_text(text, limit=MAX_BODY, required=False)
            made = Submission(
                id=self._next_id("t3"), author=writer.name, subreddit=place.name, title=title.strip(), text=text,
                url=url, is_picture=is_picture, flair=chosen_flair(place, flair_id), over_18=over_18 or place.over_18,
                spoiler=spoiler, sends_replies=sends_replies, created_utc=self._created(), made_at=self._now(),
            )  # fmt: skip
            self._submissions[made.id] = made
            self._tell("submit", made.fullname, writer.name, subreddit=place.name, title=made.title, text=text)
            return made

    def comment(self, author: str, parent: str, text: str) -> Comment:
        """Answer a post or a comment, named by its fullname; its author and who is mentioned get a notice.

        Raises:
            Refusal: As Reddit would.
        """
        with self._lock:
            writer = self._writer(author)
            above, link = self._open_thread(parent, writer)
            check_text(text, limit=MAX_COMMENT, required=True)
            made = Comment(
                id=self._next_id("t1"), author=writer.name, subreddit=link.subreddit, parent=above.fullname,
                link=link.fullname, text=text, level=above.level + 1 if isinstance(above, Comment) else 1,
                created_utc=self._created(), made_at=self._now(),
            )  # fmt: skip
            self._comments[made.id] = made
            self._children[made.parent].append(made.id)
            self._comment_counts[made.link] += 1
            self._notify(made, above)
            self._tell("comment", made.fullname, writer.name, above.author, link.subreddit, link.title, text)
            return made

    def send(self, author: str, to: str, subject: str, text: str, *, parent: str | None = None) -> Message:
        """Send a private message.

        Raises:
            Refusal: As Reddit would.
        """
        with self._lock:
            writer = self._writer(author)
            reader = self.account(to)
            if reader is None:
                raise Refusal("USER_DOESNT_EXIST", "that user doesn't exist", fieldname="to")
            check_text(text, limit=MAX_COMMENT, required=True)
            made = Message(
                self._next_id("t4"), writer.name, reader.name, subject, text, self._created(), self._now(), parent
            )
            self._messages[made.id] = made
            self._put_notice(reader, made, "unknown")
            self._tell("send", made.fullname, writer.name, reader.name, "", subject, text)
            return made

    def answer_message(self, author: str, message: str, text: str) -> Message:
        """Answer a private message."""
        asked = self.thing(message)
        if not isinstance(asked, Message):
            raise not_found()
        other = asked.author if asked.author.casefold() != author.casefold() else asked.to
        return self.send(author, other, "re: " + asked.subject.removeprefix("re: "), text, parent=asked.fullname)

    def edit(self, thing: str, text: str) -> Submission | Comment:
        """Replace the text of a post or comment."""
        with self._lock:
            limit = MAX_COMMENT if thing.startswith("t1_") else MAX_BODY
            check_text(text, limit=limit, required=thing.startswith("t1_"))
            return self._change("edit", thing, text=text, edited_utc=self._created())

    def delete(self, thing: str) -> None:
        """Delete a thing as its author; harmless when repeated."""
        self._change("delete", thing, deleted=True)

    def remove(self, thing: str, *, removed: bool = True) -> None:
        """Remove a thing as a moderator, or approve it again."""
        self._change("remove", thing, removed=removed)

    def lock(self, thing: str, *, locked: bool = True) -> None:
        """Lock a post or comment, or unlock it."""
        self._change("lock", thing, locked=locked)

    def archive(self, submission: str, *, archived: bool = True) -> None:
        """Archive a post: nobody can comment on it any more."""
        self._change("archive", submission, archived=archived)

    def vote(self, thing: str, points: int = 1) -> None:
        """Add to the score of a thing; negative points take away."""
        with self._lock:
            found = self._voteable(thing)
            self._change("vote", thing, score=found.score + points)

    # Reading

    def accounts(self) -> tuple[Account, ...]:
        """Give all accounts."""
        with self._lock:
            return tuple(self._accounts.values())

    def subreddits(self) -> tuple[Subreddit, ...]:
        """Give all subreddits."""
        with self._lock:
            return tuple(self._subreddits.values())

    def submissions(self, *, subreddit: str | None = None, author: str | None = None) -> tuple[Submission, ...]:
        """Give posts, deleted and removed ones too, newest first."""
        with self._lock:
            return tuple(_chosen(self._submissions, subreddit, author))

    def comments(self, *, subreddit: str | None = None, author: str | None = None) -> tuple[Comment, ...]:
        """Give comments, deleted and removed ones too, newest first."""
        with self._lock:
            return tuple(_chosen(self._comments, subreddit, author))

    def messages(self) -> tuple[Message, ...]:
        """Give all private messages, newest first."""
        with self._lock:
            return tuple(reversed(self._messages.values()))

    def thing(self, fullname: str) -> Thing | None:
        """Give what a fullname names."""
        kind, _, number = fullname.partition("_")
        with self._lock:
            if kind == "t3":
                return self._submissions.get(number)
            return self._comments.get(number) if kind == "t1" else self._messages.get(number) if kind == "t4" else None

    def children(self, fullname: str) -> tuple[Comment, ...]:
        """Give the direct answers to a post or comment, oldest first."""
        with self._lock:
            return tuple(self._comments[number] for number in self._children.get(fullname, ()))

    def comment_count(self, submission: str) -> int:
        """Tell how many comments a post has."""
        return self._comment_counts[submission]

    def inbox(self, name: str, *, unread: bool = False) -> tuple[tuple[Notice, Comment | Message], ...]:
        """Give someone's notices and what they are about, newest first."""
        with self._lock:
            found = []
            for notice in reversed(self._inboxes[name.casefold()].values()):
                thing = self.thing(notice.thing)
                if (notice.is_new or not unread) and isinstance(thing, Comment | Message):
                    found.append((notice, thing))
            return tuple(found)

    def mark_read(self, name: str, things: tuple[str, ...] | None = None) -> None:
        """Take things off someone's unread inbox, all without `things`; harmless when repeated."""
        with self._lock:
            notices = self._inboxes[name.casefold()]
            for key in notices if things is None else [thing for thing in things if thing in notices]:
                notices[key] = replace(notices[key], is_new=False)

    # Watching

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have `callback` called with each event, in order; gives what ends it.

        It runs in the thread that did the thing, under the forum's lock: it may read the forum, and
        must be quick and never wait for another thread.
        """
        with self._lock:
            self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def events(self, since: int = 0) -> tuple[Event, ...]:
        """Give the events with a number above `since`, oldest first."""
        with self._lock:
            return tuple(event for event in self._events if event.number > since)

    def wait_for(self, predicate: Callable[[Event], bool], *, since: int = 0, timeout_seconds: float = 5.0) -> Event:
        """Block until an event, past ones included, satisfies `predicate`; give the first.

        Raises:
            TimeoutError: With the last events that did happen.
        """
        with self._happened:
            found: list[Event] = []

            def is_there() -> bool:
                found[:] = [event for event in self.events(since) if predicate(event)]
                return bool(found)

            if not self._happened.wait_for(is_there, timeout_seconds):
                last = "\n  ".join(str(event)[:200] for event in list(self._events)[-8:]) or "nothing"
                raise TimeoutError(f"not within {timeout_seconds} s; the last that happened:\n  {last}")
            return found[0]

    # Inside

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _created(self) -> float:
        self._last_created = max(self._last_created, float(int(self._now())))
        return self._last_created

    def _next_id(self, kind: str) -> str:
        self._ids[kind] += 1
        return base36(_FIRST_ID + self._ids[kind])

    def _known(self, name: str) -> Account:
        account = self.account(name)
        if account is None:
            raise not_found()
        return account

    def _place(self, name: str) -> Subreddit:
        place = self.subreddit(name)
        if place is None:
            raise not_found()
        return place

    def _writer(self, name: str) -> Account:
        writer = self.account(name) or self.add_account(name)
        if writer.is_suspended:
            raise forbidden("suspended")
        return writer

    def _place_for_post(self, name: str, writer: Account) -> Subreddit:
        place = self.subreddit(name)
        if place is None:
            raise Refusal("SUBREDDIT_NOEXIST", "Hmm, that community doesn't exist. Try checking the spelling.",
                          fieldname="sr")  # fmt: skip
        if place.is_private or writer.name.casefold() in place.banned:
            raise Refusal("SUBREDDIT_NOTALLOWED", "you aren't allowed to post there.", fieldname="sr")
        return place

    def _open_thread(self, parent: str, writer: Account) -> tuple[Submission | Comment, Submission]:
        above = self.thing(parent)
        if above is None or isinstance(above, Message):
            raise not_found()
        link = above if isinstance(above, Submission) else self.thing(above.link)
        if not isinstance(link, Submission):
            raise not_found()
        place = self._place(link.subreddit)
        if place.is_private or writer.name.casefold() in place.banned:
            raise forbidden("private" if place.is_private else "banned")
        check_open(above, link)
        return above, link

    def _notify(self, comment: Comment, above: Submission | Comment) -> None:
        told = {comment.author.casefold()}
        wants = above.sends_replies if isinstance(above, Submission) else True
        reader = self.account(above.author)
        if reader and wants and not above.deleted and above.author.casefold() not in told:
            self._put_notice(reader, comment, "comment_reply" if isinstance(above, Comment) else "post_reply")
            told.add(above.author.casefold())
        named = dict.fromkeys(name.casefold() for name in _MENTION.findall(comment.text))
        if len(named) > MAX_MENTIONS:
            return
        for name in named:
            mentioned = self.account(name)
            if mentioned and name not in told:
                self._put_notice(mentioned, comment, "username_mention")

    def _put_notice(self, reader: Account, thing: Comment | Message, kind: NoticeKind) -> None:
        if thing.author.casefold() not in reader.blocked:
            self._inboxes[reader.name.casefold()][thing.fullname] = Notice(thing.fullname, kind)

    def _voteable(self, fullname: str) -> Submission | Comment:
        found = self.thing(fullname)
        if found is None or isinstance(found, Message):
            raise not_found()
        return found

    def _change(self, what: str, fullname: str, **changes: object) -> Submission | Comment:
        with self._lock:
            found = self._voteable(fullname)
            changed = replace(found, **changes)  # type: ignore[arg-type]
            if isinstance(changed, Submission):
                self._submissions[changed.id] = changed
            else:
                self._comments[changed.id] = changed
            self._tell(what, fullname, changed.author, subreddit=changed.subreddit, text=changed.text)
            return changed

    def _tell(
        self, what: str, thing: str = "", author: str = "", to: str = "", subreddit: str = "", title: str = "",
        text: str = "",
    ) -> None:  # fmt: skip
        self._event_number += 1
        event = Event(self._event_number, what, thing, author, to, subreddit, title, text, self._now())
        self._events.append(event)
        self._happened.notify_all()
        for callback in tuple(self._subscribers):
            callback(event)


def _chosen(things: dict[str, Written], subreddit: str | None, author: str | None) -> Iterator[Written]:
    for thing in reversed(things.values()):
        in_place = subreddit is None or thing.subreddit.casefold() == subreddit.casefold()
        if in_place and (author is None or thing.author.casefold() == author.casefold()):
            yield thing
